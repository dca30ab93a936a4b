"""`troupe run` while its job runs: events are shown as they come, and a stack that fails is noticed without one."""

import threading
from collections.abc import Iterator

import pytest

from orchestrator.cli import embedded as module
from orchestrator.cli.embedded import checked
from orchestrator.local.stack import StackError
from tasks.errors import StoreUnavailable
from tasks.events import JobEvent, JobSubmitted
from tests.unit.records import AT, JOB


def event_of(number: int) -> JobEvent:
    return JobSubmitted(job_id=JOB, seq=number, at=AT)


def test_events_come_in_order_until_the_last() -> None:
    events = [event_of(number) for number in range(1, 4)]
    assert list(checked(events, lambda: None)) == events


def test_what_the_events_raise_is_raised() -> None:
    def broken() -> Iterator[JobEvent]:
        yield event_of(1)
        raise StoreUnavailable("away")

    events = checked(broken(), lambda: None)
    assert next(events).seq == 1
    with pytest.raises(StoreUnavailable, match="away"):
        next(events)


def test_a_stack_that_fails_is_noticed_while_no_event_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_S", 0.01)
    end = threading.Event()

    def silent() -> Iterator[JobEvent]:
        end.wait(50)
        yield event_of(1)

    looks: list[int] = []

    def check() -> None:
        looks.append(1)
        if len(looks) > 2:
            raise StackError("worker-search does not start")

    with pytest.raises(StackError, match="worker-search"):
        next(checked(silent(), check))
    end.set()
