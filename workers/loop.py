"""The one event loop of a worker process, in a thread of its own.

Celery has no asyncio pool. Its threads hand coroutines here and wait: one loop holds the Redis pool, the model's client
and all running agents. It is made after the process has started, because a loop does not survive a fork, and because
an HTTP client is bound to the loop that first used it.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")

START_WITHIN_S: Final = 10.0


class EventLoopThread:
    """An event loop that runs in its own thread from `start` to `stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        if self._loop is None:
            raise RuntimeError("the worker's event loop is not running")
        return self._loop

    def start(self) -> None:
        """Start the thread and wait until its loop runs."""
        running = threading.Event()

        def main() -> None:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            self._loop = loop
            loop.call_soon(running.set)
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

        self._thread = threading.Thread(target=main, name="event-loop", daemon=True)
        self._thread.start()
        if not running.wait(START_WITHIN_S):
            raise RuntimeError("the worker's event loop did not start")

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the loop; the result is waited for from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for it."""
        return self.submit(work).result()

    def stop(self) -> None:
        """Stop the loop and wait for its thread. A second call does nothing."""
        if self._loop is not None and self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_WITHIN_S)
