"""A job on a stack of its own: started for it, followed to its end, ended with it, whatever happens meanwhile."""

import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

from rich.console import Console

from orchestrator.blocking import JobHandle, Troupe
from orchestrator.cli.tree import JobView, Refresh, follow
from orchestrator.local.stack import LocalStack
from tasks.errors import TroupeError
from tasks.events import JobEvent
from tasks.results import JobResult

CHECK_S: Final = 0.5
CONCURRENCY: Final = 16
"""Threads of each worker process: one job needs no more."""


def run_embedded(
    stack: LocalStack,
    console: Console,
    submit: Callable[[Troupe], JobHandle],
    ended: Callable[[JobHandle], None] = lambda _job: None,
) -> JobResult:
    """Start the stack, submit a job, show it on the console until its end, and end the stack.

    Args:
        ended: Called when the job has ended, as long as the stack is up.

    Raises:
        TransientError: the stack did not start.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the job was cancelled and the stack ended.
    """
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as ending:
            ending.push(stack)
            with _signals_held_back():
                stack.start()
            with console.status("starting Redis, the orchestrator and the workers"):
                stack.wait_until_ready()
            with Troupe(stack.url) as troupe:
                job = submit(troupe)
                outcome = _see_through(job, console, stack)
                ended(job)
                return outcome
    except KeyboardInterrupt:
        _ignore_further_interrupts()
        stack.stop(at_once=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


def _see_through(job: JobHandle, console: Console, stack: LocalStack) -> JobResult:
    view = JobView(job.id)
    try:
        follow(view, checked(job.events(), stack.check), console, Refresh(job))
    except KeyboardInterrupt:
        try:
            job.cancel()
        except TroupeError as error:
            console.print(f"the job could not be cancelled: {error}", markup=False, highlight=False)
        raise
    return job.snapshot()


def checked(events: Iterable[JobEvent], check: Callable[[], None]) -> Iterator[JobEvent]:
    """The events as they come, with a check each half second also while none comes; raises what either raises."""
    came: SimpleQueue[JobEvent | BaseException | None] = SimpleQueue()
    threading.Thread(target=_read, args=(events, came), name="events", daemon=True).start()
    while True:
        check()
        try:
            event = came.get(timeout=CHECK_S)
        except Empty:
            continue
        if event is None:
            return
        if isinstance(event, BaseException):
            raise event
        yield event


def _read(events: Iterable[JobEvent], came: "SimpleQueue[JobEvent | BaseException | None]") -> None:
    try:
        for event in events:
            came.put(event)
        came.put(None)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the events are wanted
        came.put(error)


@contextmanager
def _signals_held_back() -> Generator[None]:
    """A signal that comes meanwhile counts after the block: no process is started in it and then forgotten."""
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
        if came:
            raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _ignore_further_interrupts() -> None:
    """The stack is being ended at once already; a second Ctrl-C must not leave half of it behind."""
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
