"""What `troupe watch` prints for programs, and what it says when it must stop."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest

from orchestrator.blocking import JobHandle
from orchestrator.cli import call
from orchestrator.cli.watching import print_events, resumable
from tasks.errors import StoreUnavailable
from tasks.events import EVENT, JobEvent, StepProgress
from tasks.ids import JobId

JOB, AT = JobId("j0123456789abcdefgh3"), datetime(2026, 1, 2, tzinfo=UTC)


class Handle:
    id = JOB


def progress(count: int, first: int = 1) -> Iterator[JobEvent]:
    for seq in range(first, first + count):
        yield StepProgress(job_id=JOB, seq=seq, at=AT, step="a", attempt=1, message="line\nof\u2028two")


def test_each_event_is_one_line_that_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_events(progress(3))
    lines = capsys.readouterr().out.split("\n")
    assert lines.pop() == ""
    assert [EVENT.validate_json(line) for line in lines] == list(progress(3))
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3]


def test_each_line_is_out_before_the_next_event_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    out: list[str] = []

    def slow() -> Iterator[JobEvent]:
        for event in progress(3):
            out.append(capsys.readouterr().out)
            yield event

    print_events(slow())
    assert [text.count("\n") for text in out] == [0, 1, 1]


def test_a_store_that_stays_away_is_told_with_where_to_go_on() -> None:
    def events() -> Iterator[JobEvent]:
        yield from progress(2, first=8)
        raise StoreUnavailable("Redis does not answer")

    seen: list[int] = []
    with pytest.raises(StoreUnavailable, match=f"does not answer; go on with: troupe watch {JOB} --since 9"):
        seen.extend(event.seq for event in resumable(events(), cast(JobHandle, Handle()), 7))


def test_a_negative_number_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["watch", JOB, "--since", "-1"]) == 2
    assert "--since" in capsys.readouterr().err
