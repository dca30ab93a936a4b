"""What every request and answer must keep to: how deep JSON may be, and what browsers are told."""

import json
import math
import re
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.problems import answer, said
from tasks.errors import PayloadTooLarge

TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
"""Strings, whose brackets do not count, and brackets."""
DOUBTFUL: Final = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity|[eE]\+?[0-9]{3}|[0-9]{300}")
"""Halves of surrogate pairs, of which most are followed by their other half, and numbers that may be none."""
UPLOADS: Final = re.compile(r"/v1/(files|replays|knowledge/[^/]+/documents)")
"""Whose bodies are long, and are written to disk as they come. All others are held in memory."""
HEADERS: Final = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
"""For every answer."""
MAX_DIGITS: Final = 15
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


def fault_in(body: bytes) -> str | None:
    """What Python's reader of JSON would take, and nothing could store or send as it is."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "the JSON is not written in UTF-8"
    if DOUBTFUL.search(body) is None:
        return None
    try:
        found = json.loads(text, parse_constant=_finite, parse_float=_finite)
        json.dumps(found, ensure_ascii=False).encode()
    except NotFinite as error:
        return f"{error} is no number that JSON has, or one that is too large"
    except UnicodeEncodeError:
        return "half of a surrogate pair is no text"
    except ValueError:  # no JSON at all, or of longer numbers than Python reads: whoever parses it says so
        return None
    return None


class NotFinite(ValueError):
    """A number that is none."""


def _finite(text: str) -> float:
    if not math.isfinite(found := float(text)):
        raise NotFinite(text[:20])
    return found


class Bounds:
    """Middleware: refuses requests that are too long, and JSON that is nested too deep before anybody parses it; adds
    headers to answers."""

    def __init__(self, app: ASGIApp, max_bytes: int, max_upload_bytes: int, max_depth: int) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.max_upload_bytes = max_upload_bytes
        self.max_depth = max_depth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = _Telling(send, scope["path"])
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        is_json = kind == b"application/json" or kind.endswith(b"+json")
        most = self.max_upload_bytes if UPLOADS.fullmatch(scope["path"]) and not is_json else self.max_bytes
        reader = _Reading(receive, most)
        try:
            reader.expect(headers.get(b"content-length", b""))
            if is_json and await reader.whole() and (fault := self._fault(reader.body or b"")):
                await answer(said(422, "invalid_request", fault))(scope, receive, told)
                return
        except TooLong as error:
            await answer(said(413, PayloadTooLarge.code, error.detail))(scope, receive, told)
            return
        await self.app(scope, reader, told)

    def _fault(self, body: bytes) -> str | None:
        if depth(body, self.max_depth) > self.max_depth:
            return f"the JSON is nested deeper than {self.max_depth} levels"
        return fault_in(body)


class TooLong(HTTPException):
    """A request of more bytes than are taken. Whoever reads the body meets it."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"the request is longer than {most:,} bytes")


class _Reading:
    """A request's body: counted as it comes, or read once and given again."""

    def __init__(self, receive: Receive, most: int) -> None:
        self.receive = receive
        self.most = most
        self.count = 0
        self.body: bytes | None = None

    def expect(self, said: bytes) -> None:
        """Refuse a body that is announced too long, before it is sent."""
        if said.isdigit() and (len(said) > MAX_DIGITS or int(said) > self.most):
            raise TooLong(self.most)

    async def whole(self) -> bool:
        """Read it; False when its sender has left."""
        parts: list[bytes] = []
        while True:
            message = await self._next()
            if message["type"] != "http.request":
                return False
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                self.body = b"".join(parts)
                return True

    async def __call__(self) -> Message:
        """The body, then whatever comes after it."""
        if self.body is None:
            return await self._next()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _next(self) -> Message:
        message = await self.receive()
        self.count += len(message.get("body", b""))
        if self.count > self.most:
            raise TooLong(self.most)
        return message


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
