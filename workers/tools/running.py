"""Runs one function within its time, whatever it does."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, Final

from workers.tools.wording import named

GRACE_S: Final = 0.5
"""How long a cancelled async tool may tidy up before it is left to itself."""


class TimedOutError(Exception):
    """Our own limit, told apart from a TimeoutError that the tool itself raised."""


class SelfCancelledError(Exception):
    """The tool ended as cancelled though nobody had cancelled it."""


class EscapedError(Exception):
    """Stands for a SystemExit or KeyboardInterrupt of a tool: asyncio would let those through and stop the loop."""


class Runner:
    """Runs functions; remembers those that would not end."""

    def __init__(self) -> None:
        self._left: set[asyncio.Task[Any]] = set()
        """Async tools that went on after their cancellation; held so that they are not collected half-way."""

    async def run(self, name: str, call: Callable[[], Any], *, is_async: bool, seconds: float) -> Any:
        """What the call gives.

        One that hangs is given up: a plain function goes on in a thread of its own, a coroutine is cancelled and, if it
        will not end, left.

        Raises:
            TimedOutError, SelfCancelledError, EscapedError: see there.
            Exception: whatever the function raises.
        """
        if not is_async:
            return await _in_own_thread(name, call, seconds)
        task = asyncio.create_task(_guarded(call))
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                self._leave(task)
        if not task.done():
            await asyncio.wait({task}, timeout=GRACE_S)
            raise TimedOutError
        if task.cancelled():
            raise SelfCancelledError
        return task.result()

    def _leave(self, task: asyncio.Task[Any]) -> None:
        def ended(done: asyncio.Task[Any]) -> None:
            self._left.discard(done)
            if not done.cancelled():
                done.exception()  # Looked at, or asyncio would report it as never retrieved.

        self._left.add(task)
        task.add_done_callback(ended)
        task.cancel()


async def _guarded(call: Callable[[], Any]) -> Any:
    try:
        return await call()
    except (SystemExit, KeyboardInterrupt) as exc:
        raise EscapedError(named(exc)) from exc


async def _in_own_thread(name: str, call: Callable[[], Any], seconds: float) -> Any:
    """Run a plain function in a daemon thread of its own, in this context.

    Not the loop's thread pool: that has few threads, and hung tools would hold all of them and the process's exit.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def run() -> None:
        value, error = None, None
        try:
            value = context.run(call)
        except BaseException as exc:  # noqa: BLE001 (the thread's boundary: whatever it is goes to the waiting side)
            error = _bearable(exc)
        with contextlib.suppress(RuntimeError):  # The loop closed in the meantime: nobody waits any more.
            loop.call_soon_threadsafe(deliver, value, error)

    threading.Thread(target=run, name=f"tool-{name}", daemon=True).start()
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await future
    except TimeoutError:
        if limit.expired():
            raise TimedOutError from None
        raise


def _bearable(error: BaseException) -> Exception:
    """Futures refuse StopIteration; what is no Exception would end the step, or the loop."""
    if isinstance(error, asyncio.CancelledError):
        return SelfCancelledError()
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return EscapedError(named(error))
