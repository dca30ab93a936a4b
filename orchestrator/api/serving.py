"""The process that serves the API: what it refuses to start with, how it listens, how it ends."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from orchestrator.api.app import create_app
from orchestrator.api.door import Door
from orchestrator.api.loopback import is_loopback
from orchestrator.tenants.settling import Settling
from tasks.errors import BadSetting
from tasks.library_log import LibraryLog

log = LibraryLog("troupe.api")

BACKLOG: Final = 2048
KEEP_ALIVE_S: Final = 30


class Server(uvicorn.Server):
    """A server that tells its streams when it is about to end: they would hold it up for ever."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.closing = closing
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends it in order, the second at once. It is not sent again at the end, as uvicorn would do:
        that would kill the process before all is closed, and make its exit look like a failure."""
        self.closing.set()
        self.force_exit = self.should_exit
        self.should_exit = True


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The fastest event loop there is here: uvloop's, where there is one."""
    return uvicorn.Config("", loop="auto").get_loop_factory()


@asynccontextmanager
async def beside(door: Door) -> AsyncGenerator[None]:
    """What an API process does beside answering: books what ended jobs have cost, and tells webhooks."""
    work = [asyncio.create_task(one) for one in (Settling(door.store).run(), door.hooks.run())]
    try:
        yield
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def serve(
    door: Door,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    ready: Callable[[str], None] = lambda _: None,
    mount: Callable[[FastAPI], None] = lambda _: None,
) -> None:
    """Serve until a signal.

    Args:
        ready: Called with the URL, as soon as requests are answered.
        mount: Adds what is not the API's own, as the page.

    Raises:
        BadSetting: it cannot listen there, or would be open to everybody.
    """
    settings = door.settings
    await _check_open(door, settings.api_host)
    listening = listen(settings.api_host, settings.api_port)
    app = create_app(door, beside)
    mount(app)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.api_proxies),
        forwarded_allow_ips=settings.api_proxies or None,
        timeout_graceful_shutdown=max(1, round(settings.api_drain_s)),
        timeout_keep_alive=KEEP_ALIVE_S,
        backlog=BACKLOG,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    url = shown(listening, "https" if certificate else "http")

    def started() -> None:
        log.info("api_started", url=url)
        ready(url)

    await Server(config, door.closing, started).serve(sockets=[listening])


async def _check_open(door: Door, host: str) -> None:
    """Beyond this machine only with keys. Who makes the first key then, starts it again.

    Raises:
        BadSetting: there is none.
    """
    if is_loopback(host):
        return
    if not await door.access.list():
        raise BadSetting(
            f"TROUPE_API_HOST: {host} can be reached from elsewhere, and no API key was made yet, so everybody could "
            "do everything: make one (troupe keys create), or listen on 127.0.0.1"
        )


def listen(host: str, port: int) -> socket.socket:
    """Listen there.

    Raises:
        BadSetting: it cannot be done.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
    except OSError as error:
        raise BadSetting(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
        ) from error
    listening.setblocking(False)
    return listening


def shown(listening: socket.socket, scheme: str = "http") -> str:
    """The URL of what listens."""
    host, port = listening.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
