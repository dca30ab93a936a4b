"""What monitors are shown of attempts: Celery's task events, sent when what they say is true.

Celery's own are switched off. It sends them for every message, and a message that was delivered twice and is dropped
the second time would take the place of the attempt that runs. Ours tell of an attempt when it is claimed and when it
has ended: `succeeded`; `failed` with the code; `retried` when another attempt is to go on with the step, for this one
waits for people, was put off or was handed back; `revoked` when it counts no more, for its job was cancelled.
"""

import contextvars
import time
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Final, Protocol, cast

from tasks.errors import message_of
from tasks.ids import PLAN_STEP, AttemptRef, StepId
from tasks.messages import Dispatch
from tasks.models import Claim
from workers.lease import DRAINING
from workers.spans import AttemptSpan, CallSpan

GROUP: Final = "task"
MAX_SHOWN_CHARS: Final = 500
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed: "
UNSETTLED: Final = "unsettled: "
"""Beginning of what is shown of an attempt whose end the store could not be told of: it is done again."""
GOES_ON: Final = ("parked: ", "deferred: ", UNSETTLED, f"stopped: {DRAINING}")
"""Beginnings of outcomes after which another attempt goes on with the step."""


class Dispatcher(Protocol):
    """What Celery's consumer sends events with; another one after each loss of the connection."""

    enabled: bool
    groups: set[str]
    """Kinds of events that are wanted; empty: all."""

    def send(self, type: str, **fields: object) -> object:  # noqa: A002 - Celery's name
        """Send one, or keep it for the next turn of the consumer."""
        ...


class _Shown:
    """One attempt, from the message to its end."""

    def __init__(self) -> None:
        self.claimed: Future[Claim] = Future()
        self.at = 0.0
        self.begun = 0.0
        self.told = False


_here: contextvars.ContextVar[_Shown | None] = contextvars.ContextVar("troupe_shown", default=None)


class AttemptEvents:
    """Sends the events of one process. An observer of attempts; sending is left to the threads that wait for them."""

    def __init__(self) -> None:
        self.dispatcher: Callable[[], Dispatcher | None] = lambda: None
        """The consumer's dispatcher of the moment."""
        self._running: set[_Shown] = set()
        self._lock = Lock()

    @property
    def wanted(self) -> bool:
        """Whether somebody has asked for events of tasks."""
        dispatcher = self.dispatcher()
        return dispatcher is not None and dispatcher.enabled and (not dispatcher.groups or GROUP in dispatcher.groups)

    @contextmanager
    def attempt(self, span: AttemptSpan) -> Generator[None]:
        """See `Observer.attempt`."""
        shown = _here.get()
        if shown is None:
            yield
            return
        shown.at, shown.begun = time.time(), time.monotonic()
        self._running.add(shown)
        shown.claimed.set_result(span.claim)
        try:
            yield
        finally:
            self._running.discard(shown)

    def call(self, span: CallSpan) -> AbstractContextManager[object]:
        """Calls are not shown."""
        return nullcontext()

    def follow(self, begin: Callable[[], "Future[str]"]) -> str:
        """Begin an attempt and wait for it in this thread, telling of it if that is wanted.

        Args:
            begin: Hands the attempt to the event loop; gives its outcome.

        Raises:
            Exception: whatever the attempt ends with.
        """
        shown = _Shown()
        mark = _here.set(shown)
        try:
            ending = begin()
        finally:
            _here.reset(mark)
        if self.wanted:
            wait(cast("tuple[Future[object], ...]", (shown.claimed, ending)), return_when=FIRST_COMPLETED)
            self._tell_start(shown)
        try:
            outcome = ending.result()
        except Exception as error:
            self._tell_end(shown, f"{UNSETTLED}{message_of(error) or type(error).__name__}")
            raise
        self._tell_end(shown, outcome)
        return outcome

    def tell_running(self) -> None:
        """Tell of what was begun before events were wanted."""
        for shown in list(self._running):
            self._tell_start(shown)

    def _tell_start(self, shown: _Shown) -> None:
        dispatcher = self.dispatcher()
        if dispatcher is None or not self.wanted or not shown.claimed.done():
            return
        with self._lock:
            if shown.told:
                return
            shown.told = True
        claim = shown.claimed.result()
        task_id, about = AttemptRef(claim.job.id, claim.step.id, claim.attempt).task_id, described(claim)
        dispatcher.send("task-received", uuid=task_id, timestamp=shown.at, **about)
        dispatcher.send("task-started", uuid=task_id, timestamp=shown.at)

    def _tell_end(self, shown: _Shown, outcome: str) -> None:
        self._tell_start(shown)
        dispatcher = self.dispatcher()
        if dispatcher is None or not shown.told:
            return  # what was never claimed here is another process's to tell of
        claim = shown.claimed.result()
        task_id = AttemptRef(claim.job.id, claim.step.id, claim.attempt).task_id
        kind, fields = ended(outcome)
        dispatcher.send(kind, uuid=task_id, runtime=time.monotonic() - shown.begun, **fields)


def described(claim: Claim) -> dict[str, object]:
    """What a monitor is to know of an attempt."""
    job, step = claim.job.id, claim.step
    message = Dispatch.of(job, step, claim.attempt).message
    first = AttemptRef(job, PLAN_STEP, 1).task_id
    return {
        "name": step.agent,
        "args": message.goal,  # there are none; what a task is about is what people look for in that place
        "kwargs": repr(message.model_dump(mode="json", exclude={"v"})),
        "retries": claim.attempt - 1,
        "routing_key": step.queue,
        "root_id": first,
        "parent_id": _parent(claim, first),
    }


def _parent(claim: Claim, first: str) -> str | None:
    """The task that a task follows from: the attempt before it; the one that delegated it; the one that planned it. A
    claim does not say whether a job brought its plan: then there is no such task, and Flower points at none."""
    job, step = claim.job.id, claim.step
    if claim.attempt > 1:
        return AttemptRef(job, StepId(step.id), claim.attempt - 1).task_id
    if step.parent is not None and claim.parent_attempt:
        return AttemptRef(job, StepId(step.parent), claim.parent_attempt).task_id
    return first if step.id != PLAN_STEP else None


def ended(outcome: str) -> tuple[str, dict[str, object]]:
    """The event that says what became of an attempt."""
    said = outcome[:MAX_SHOWN_CHARS]
    if outcome == SUCCEEDED:
        return "task-succeeded", {"result": said}
    if outcome.startswith(FAILED):
        return "task-failed", {"exception": said.removeprefix(FAILED), "traceback": None}
    if outcome.startswith(GOES_ON):
        return "task-retried", {"exception": said, "traceback": None}
    return "task-revoked", {"exception": said, "terminated": True, "signum": None, "expired": False}
