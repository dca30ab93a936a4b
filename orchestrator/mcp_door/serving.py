"""The server over HTTP: who may come in, and how long its sessions live. Mounted by an API, or by itself."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import anyio
import uvicorn
from fastapi import FastAPI
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.door import Door
from orchestrator.api.problems import answer, said, status_of
from orchestrator.api.serving import Server, listen, shown
from orchestrator.mcp_door.inside import InsideWay
from orchestrator.mcp_door.server import make_server
from orchestrator.mcp_door.ways import Caller, Way
from tasks.errors import TroupeError

PATH: Final = "/mcp"
MAX_BYTES: Final = 1_000_000
GRACE_S: Final = 5
LAST_S: Final = 0.5
"""What calls have to end, once the process is to."""
METHODS: Final = ("GET", "POST", "DELETE")


class Gate:
    """Lets in whom the way admits. A session is its opener's alone: whoever else names it finds none."""

    def __init__(self, app: ASGIApp, way: Way) -> None:
        self.app = app
        self.way = way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        caller = _caller(scope)
        try:
            await self.way.admit(caller)
            key = caller.key
        except TroupeError as error:
            status = status_of(error)
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            await answer(said(status, error.code, str(error)), headers)(scope, receive, send)
            return
        if key is not None:
            digest = hashlib.sha256(key.encode()).hexdigest()
            scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=digest, scopes=[]))
        async with anyio.create_task_group() as both:
            both.start_soon(_leave, self.way, both.cancel_scope)
            await self.app(scope, receive, send)
            both.cancel_scope.cancel()


class Http:
    """The server's HTTP side."""

    def __init__(self, way: Way) -> None:
        self.way = way
        server = make_server(way)
        # Hosts and origins are the gate's business: what is right depends on whether there are keys.
        unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        inner = server.streamable_http_app(transport_security=unchecked, max_request_body_size=MAX_BYTES)
        self.manager = server.session_manager
        self.route = Route(PATH, endpoint=Gate(inner, way), methods=[*METHODS], include_in_schema=False)

    @asynccontextmanager
    async def living(self) -> AsyncGenerator[None]:
        """Sessions live within it, until the process is to end: their streams would hold it up for ever."""
        begun = asyncio.Event()

        async def live() -> None:
            async with self.manager.run():
                begun.set()
                await self.way.closing.wait()
                await anyio.sleep(LAST_S)

        task = asyncio.create_task(live())
        started = asyncio.create_task(begun.wait())
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            self.way.closing.set()
            await asyncio.gather(task, started)


def mount(app: FastAPI) -> None:
    """Serve it as a part of an API, with the caller's own key, and the API's own rules."""
    door: Door = app.state.door
    http = Http(InsideWay(app, door.closing))
    app.router.routes.append(http.route)
    inner: Callable[[Any], AbstractAsyncContextManager[Any]] = app.router.lifespan_context

    @asynccontextmanager
    async def both(of: Any) -> AsyncGenerator[Any]:
        async with inner(of) as state, http.living():
            yield state

    app.router.lifespan_context = both


async def serve(way: Way, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve it by itself until a signal.

    Args:
        ready: Called with the URL, as soon as requests are answered.

    Raises:
        BadSetting: it cannot listen there.
    """
    http = Http(way)
    listening = listen(host, port)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with http.living():
            yield

    app = Starlette(routes=[http.route], lifespan=lifespan)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
    )
    url = f"{shown(listening)}{PATH}"
    await Server(config, way.closing, lambda: ready(url)).serve(sockets=[listening])


async def _leave(way: Way, scope: anyio.CancelScope) -> None:
    """Break a request off when the process is to end: one that waits for a job would hold it up."""
    await way.closing.wait()
    await anyio.sleep(LAST_S)
    scope.cancel()


def _caller(scope: Scope) -> Caller:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return Caller(headers, str(client[0]) if client else "", str(scope["method"]))
