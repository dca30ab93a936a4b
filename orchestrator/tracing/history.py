"""What a job's events add to its record: when steps waited and for what, who delegated whom, which agent was at work.

Events may be trimmed from the front: then the earliest facts are not there, and nothing else is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tasks.events import (
    ChildrenAccepted,
    JobEvent,
    StepCancelled,
    StepDispatched,
    StepFailed,
    StepFellBack,
    StepHandedOver,
    StepParked,
    StepRetrying,
    StepStarted,
    StepWoken,
    ToolCalled,
)


@dataclass(slots=True)
class Waiting:
    """A time in which a step waited."""

    since: datetime
    until: datetime | None = None
    """None: it waits still."""
    waits_for: tuple[str, ...] = ()
    """Kinds, of a parked one."""
    delay_ms: int = 0
    """Of one that is to be tried again."""


@dataclass(slots=True)
class StepHistory:
    """One step, as its events tell of it; by number of its attempts."""

    dispatched: dict[int, datetime] = field(default_factory=dict[int, datetime])
    started: dict[int, StepStarted] = field(default_factory=dict[int, StepStarted])
    parks: dict[int, Waiting] = field(default_factory=dict[int, Waiting])
    retries: dict[int, Waiting] = field(default_factory=dict[int, Waiting])
    cancelled: dict[int, datetime] = field(default_factory=dict[int, datetime])
    """When attempts ended with their job."""
    tools: dict[int, list[ToolCalled]] = field(default_factory=dict[int, list[ToolCalled]])
    agents: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """The agent of all attempts up to a number, one pair for each time that another agent took over."""

    def agent(self, attempt: int, now: str) -> str:
        """Agent of an attempt, where `now` is the step's at last."""
        return next((agent for last, agent in self.agents if attempt <= last), now)

    def last(self) -> int:
        """Number of the last attempt that began; 0: none."""
        return max(self.started, default=0)


@dataclass(slots=True)
class History:
    """A job, as its events tell of it."""

    whole: bool = False
    """Whether none of its events is gone."""
    steps: dict[str, StepHistory] = field(default_factory=dict[str, StepHistory])
    parents: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    """Step → the step and the attempt that delegated it."""

    def step(self, name: str) -> StepHistory:
        """What is known of a step."""
        return self.steps.setdefault(name, StepHistory())


def read_history(events: Sequence[JobEvent]) -> History:
    """The history of a job from its events, in their order."""
    history = History(whole=bool(events) and events[0].seq == 1)
    for event in events:
        _take(history, event)
    return history


def _take(history: History, event: JobEvent) -> None:
    match event:
        case StepDispatched():
            past = history.step(event.step)
            _end_retry(past, event.at)
            past.dispatched[event.attempt] = event.at
        case StepStarted():
            history.step(event.step).started[event.attempt] = event
        case StepParked():
            history.step(event.step).parks[event.attempt] = Waiting(event.at, waits_for=event.waits_for)
        case StepWoken():
            _end_park(history.step(event.step), event.at)
        case StepRetrying():
            history.step(event.step).retries[event.attempt] = Waiting(event.at, delay_ms=event.delay_ms)
        case ChildrenAccepted():
            attempt = max(history.step(event.step).parks, default=0)
            history.parents |= dict.fromkeys(event.steps, (event.step, attempt))
        case StepFellBack():
            past = history.step(event.step)
            _end_waits(past, event.at)
            past.agents.append((event.attempt, event.agent))
        case StepHandedOver():
            past = history.step(event.step)
            past.agents.append((max(past.last(), max(past.parks, default=0)), event.agent))
        case StepFailed() | StepCancelled():
            past = history.step(event.step)
            _end_waits(past, event.at)
            if isinstance(event, StepCancelled) and past.last():
                past.cancelled[past.last()] = event.at
        case ToolCalled():
            history.step(event.step).tools.setdefault(event.attempt, []).append(event)
        case _:
            pass


def _end_waits(past: StepHistory, at: datetime) -> None:
    _end_park(past, at)
    _end_retry(past, at)


def _end_park(past: StepHistory, at: datetime) -> None:
    _end(past.parks, at)


def _end_retry(past: StepHistory, at: datetime) -> None:
    _end(past.retries, at)


def _end(waits: dict[int, Waiting], at: datetime) -> None:
    """Only the last one can be open."""
    if waits and waits[max(waits)].until is None:
        waits[max(waits)].until = at
