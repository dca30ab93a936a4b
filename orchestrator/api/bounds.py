"""What every request and answer must keep to: how deep JSON may be, and what browsers are told."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.json_faults import fault_of
from orchestrator.api.loopback import is_loopback
from orchestrator.api.problems import answer, said
from tasks.errors import PayloadTooLarge

STRANGER_BYTES: Final = 64_000
"""The most of somebody from elsewhere who shows no key, and of anybody who shows one that is not valid."""
CHUNK_WITHIN_S: Final = 30.0
"""Longest wait for the next part of a body."""
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


def _is_stranger(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request has no key, and comes from elsewhere: nothing of it will be done."""
    peer = scope.get("client")
    return b"authorization" not in headers and b"cookie" not in headers and not (peer and is_loopback(peer[0]))


def _may_be_long(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body may have more bytes than a stranger's."""
    said = headers.get(b"content-length", b"")
    if b"transfer-encoding" not in headers and not said:
        return False
    return not said.isdigit() or len(said) > MAX_DIGITS or int(said) > STRANGER_BYTES


def _says_json(content_type: bytes) -> bool:
    kind = content_type.split(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


IsKnown = Callable[[Scope], Awaitable[bool]]
"""Whether the key that a request shows is one of ours."""


async def _anybody(_: Scope) -> bool:
    return True


class Bounds:
    """Middleware: refuses requests that are too long, and JSON that is nested too deep before anybody parses it; adds
    headers to answers."""

    def __init__(
        self, app: ASGIApp, max_bytes: int, max_upload_bytes: int, max_depth: int, is_known: IsKnown = _anybody
    ) -> None:
        self.app = app
        self.is_known = is_known
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
        is_json = any(_says_json(value) for name, value in scope["headers"] if name == b"content-type")
        most = self.max_upload_bytes if UPLOADS.fullmatch(scope["path"]) and not is_json else self.max_bytes
        if _is_stranger(scope, headers) or (_may_be_long(headers) and not await self.is_known(scope)):
            most = min(most, STRANGER_BYTES)
        reader = _Reading(receive, most)
        try:
            reader.expect(headers.get(b"content-length", b""))
            if is_json and await reader.whole() and (fault := await fault_of(reader.body or b"", self.max_depth)):
                await answer(said(422, "invalid_request", fault))(scope, receive, told)
                return
        except TooLong as error:
            await answer(said(413, PayloadTooLarge.code, error.detail))(scope, receive, told)
            return
        except TooSlow as error:
            await answer(said(408, "request_timeout", error.detail), {"Connection": "close"})(scope, receive, told)
            return
        await self.app(scope, reader, told)


class TooLong(HTTPException):
    """A request of more bytes than are taken. Whoever reads the body meets it."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"the request is longer than {most:,} bytes")


class TooSlow(HTTPException):
    """A request whose next part did not come."""

    def __init__(self) -> None:
        super().__init__(408, f"nothing of the request came for {CHUNK_WITHIN_S:g} s", {"Connection": "close"})


class _Reading:
    """A request's body: counted as it comes, or read once and given again."""

    def __init__(self, receive: Receive, most: int) -> None:
        self.receive = receive
        self.most = most
        self.count = 0
        self.more = True
        """Whether some of it is still to come."""
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
        try:
            message = await asyncio.wait_for(self.receive(), CHUNK_WITHIN_S if self.more else None)
        except TimeoutError:
            raise TooSlow from None
        self.more = self.more and bool(message.get("more_body", False))
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
