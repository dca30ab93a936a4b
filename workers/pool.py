"""Celery's threads pool, which tells the consumer when a thread comes free.

With `worker_disable_prefetch` the consumer takes no message while all threads are busy, and looks again when its hub
turns: up to a second after a thread has come free. Measured: steps of 50 ms on 8 threads ran in bursts, one a second.
Python's own executor cannot give threads back, so the consumer alone keeps to a limit that was lowered.
"""

from concurrent.futures import Future
from typing import Any, Final, cast

from celery.concurrency.thread import TaskPool
from kombu.asynchronous import get_event_loop

NAME: Final = "workers.pool:ThreadPool"


class ThreadPool(TaskPool):
    """A thread's end turns the hub. How many messages it takes at a time may change while it runs."""

    def on_apply(self, *args: Any, **options: Any) -> Any:
        """Hand a message to a thread."""
        result: Any = cast(Any, super()).on_apply(*args, **options)
        future: Future[object] = result.f
        future.add_done_callback(_turn)  # runs after Celery has forgotten the message, in the thread itself
        return result

    def grow(self, n: int) -> None:
        """Take so many more messages at a time; threads for them start as they are needed."""
        self.limit += n
        cast(Any, self.executor)._max_workers = max(self.limit, len(cast(Any, self.executor)._threads))

    def shrink(self, n: int) -> None:
        """Take so many fewer at a time. What runs goes on; threads that have nothing to do are kept."""
        self.limit -= n


def wake_consumer() -> None:
    """Let the consumer look around now. Not from a signal handler: what that interrupted may hold the hub's lock."""
    hub = cast(Any, get_event_loop)()
    if hub is not None:
        hub.call_soon(_nothing)


def _turn(_: "Future[object]") -> None:
    wake_consumer()


def _nothing() -> None: ...
