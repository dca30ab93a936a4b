"""Requests to an app of this same process, answered as they come: streams too. Each is its caller's own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx2
from starlette.types import ASGIApp, Message, Scope

from orchestrator.api.shelves import Shelves
from orchestrator.client import AsyncTroupe
from orchestrator.mcp_door.ways import SESSION, Caller
from orchestrator.remote.client import RemoteTroupe

INSIDE: Final = "http://127.0.0.1"
"""Looked up nowhere: the Host header is the caller's."""
PASSED_ON: Final = frozenset(
    {"authorization", "host", "origin", "sec-fetch-site", "forwarded", "x-forwarded-for", "x-forwarded-host"}
    | {"x-real-ip", "via"}
)
"""What the API judges a visitor by. No cookie: a browser would send it for any page."""


class InsideTransport(httpx2.AsyncBaseTransport):
    """Sends requests to an app, in the name of a caller."""

    def __init__(self, app: ASGIApp, caller: Caller) -> None:
        self.app = app
        self.caller = caller

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request. Returns when its answer begins."""
        body = await request.aread()
        exchange = _Exchange(body)
        exchange.begin(self.app, self._scope(request))
        try:
            status, headers = await exchange.started
        except BaseException:
            await exchange.aclose()
            raise
        return httpx2.Response(status, headers=headers, stream=exchange)

    def _scope(self, request: httpx2.Request) -> Scope:
        own = [(name.lower(), value) for name, value in request.headers.raw]
        kept = [(name, value) for name, value in own if name.decode("latin-1") not in PASSED_ON]
        passed = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in self.caller.headers.items()
            if name in PASSED_ON
        ]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [*kept, *passed],
            "client": (self.caller.peer, 0),
            "server": ("127.0.0.1", 80),
        }


class _Exchange(httpx2.AsyncByteStream):
    """One request and its answer."""

    def __init__(self, body: bytes) -> None:
        self.body: bytes | None = body
        self.started: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = asyncio.get_running_loop().create_future()
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.left = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def begin(self, app: ASGIApp, scope: Scope) -> None:
        """Let the app answer."""
        self.task = asyncio.create_task(self._run(app, scope))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The answer's body, as it comes."""
        while (part := await self.parts.get()) is not None:
            yield part

    async def aclose(self) -> None:
        """Leave: the app is told so, and ended."""
        self.left.set()
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - a fault of the app is an answer that breaks off, as over the network
            if not self.started.done():
                self.started.set_exception(httpx2.RemoteProtocolError(f"the API failed: {error!r}"))
        finally:
            if not self.started.done():
                self.started.set_exception(httpx2.RemoteProtocolError("the API did not answer"))
            self.parts.put_nowait(None)

    async def _receive(self) -> Message:
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self.started.done():
            self.started.set_result((int(message["status"]), list(message.get("headers", []))))
        elif message["type"] == "http.response.body" and message.get("body"):
            self.parts.put_nowait(message["body"])


@dataclass(slots=True)
class InsideWay:
    """Each caller with its own key, or without one where the API needs none; the API of this process judges."""

    app: ASGIApp
    closing: asyncio.Event
    shelves: Shelves | None = None

    @asynccontextmanager
    async def troupe(self, caller: Caller) -> AsyncGenerator[AsyncTroupe]:
        """See `Way`."""
        async with RemoteTroupe.through(InsideTransport(self.app, caller), INSIDE, None) as client:
            yield client

    async def admit(self, caller: Caller) -> None:
        """Only whom the API lets in. See `KeyWay.admit`."""
        if SESSION in caller.headers:
            return
        async with self.troupe(caller) as client:
            if isinstance(client, RemoteTroupe):
                await client.api.ask("GET", "me")
