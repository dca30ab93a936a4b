"""A real API on a loopback port, in a thread with an event loop of its own; it can be killed and come back."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from orchestrator.api.app import create_app
from orchestrator.api.door import Door
from orchestrator.api.settings import ApiSettings
from orchestrator.client import AsyncTroupe
from tasks.settings import StoreSettings
from tests.support.waiting import wait_until, wait_until_sync
from workers.cli.shelves import shelves


class Api:
    """One API process, played by a thread."""

    def __init__(self, settings: StoreSettings, home: Path, **api: Any) -> None:
        self.settings, self.home, self.api = settings, home, ApiSettings(**api)
        self.port = _free_port()
        self.app: FastAPI | None = None
        self._thread: threading.Thread | None = None
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Api":
        """Listen; returns when requests are answered."""
        door = Door(AsyncTroupe(settings=self.settings), self.api, self.home, shelves())
        self.app = create_app(door)
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=self.port, log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        server = self._server = uvicorn.Server(config)

        async def serve() -> None:
            watching = asyncio.create_task(self._watch(server, door))
            await server.serve()
            watching.cancel()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="api", daemon=True)
        self._thread.start()
        wait_until_sync(lambda: server.started)
        return self

    def stop(self) -> None:
        """End it, and all its connections with it. A second call does nothing."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join()
        self._server = None

    async def _watch(self, server: uvicorn.Server, door: Door) -> None:
        """Tell streams of the end, as a signal does."""
        await wait_until(lambda: server.should_exit, within=3600)
        door.closing.set()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
