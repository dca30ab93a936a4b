"""What every request and answer must keep to: how deep JSON may be, and what browsers are told."""

import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.problems import answer, said

TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
"""Strings, whose brackets do not count, and brackets."""
HEADERS: Final = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
"""For every answer."""
NO_STORE: Final = (b"cache-control", b"no-store")


def depth(body: bytes, most: int) -> int:
    """How deep a JSON text is nested; past `most` it is not looked at further."""
    found = now = 0
    for token in TOKENS.finditer(body):
        first = body[token.start()]
        if first in b"[{":
            now += 1
            found = max(found, now)
            if found > most:
                break
        elif first in b"]}":
            now -= 1
    return found


class Bounds:
    """Middleware: refuses JSON that is nested too deep before anybody parses it, and adds headers."""

    def __init__(self, app: ASGIApp, max_depth: int) -> None:
        self.app = app
        self.max_depth = max_depth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = _Telling(send, scope["path"])
        kind = dict(scope["headers"]).get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != b"application/json" and not kind.endswith(b"+json"):
            await self.app(scope, receive, told)
            return
        reader = _Reading(receive)
        if await reader.whole() and depth(reader.body, self.max_depth) > self.max_depth:
            problem = said(422, "invalid_request", f"the JSON is nested deeper than {self.max_depth} levels")
            await answer(problem)(scope, receive, told)
            return
        await self.app(scope, reader, told)


class _Reading:
    """A request's body, read once and given again."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.body = b""
        self.given = False

    async def whole(self) -> bool:
        """Read it; False when its sender has left."""
        parts: list[bytes] = []
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                return False
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                self.body = b"".join(parts)
                return True

    async def __call__(self) -> Message:
        """The body, then whatever comes after it."""
        if self.given:
            return await self.receive()
        self.given = True
        return {"type": "http.request", "body": self.body, "more_body": False}


class _Telling:
    """Adds headers to an answer."""

    def __init__(self, send: Send, path: str) -> None:
        self.send = send
        self.path = path

    async def __call__(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message.get("headers", [])}
            more = [(name, value) for name, value in HEADERS.items() if name not in there]
            if self.path.startswith("/v1") and NO_STORE[0] not in there:
                more.append(NO_STORE)
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await self.send(message)
