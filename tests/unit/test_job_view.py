"""A job while it runs, as people see it."""

import io
from datetime import timedelta
from typing import Any, cast, get_args

import pytest
from rich.console import Console

from orchestrator.blocking import JobHandle
from orchestrator.cli.tree import MARKS, JobView, Refresh, StepLine, follow
from orchestrator.report import report
from tasks.events import EVENT, JobEvent, KnownEvent, OtherEvent
from tasks.results import JobResult
from tasks.states import StepStatus, TaskStatus
from tests.unit.records import AT, JOB, make_job, make_step

FAILURE = {"code": "x", "message": "no [data]"}


def event(kind: str, *, after: float = 0.0, **values: object) -> JobEvent:
    at = AT + timedelta(seconds=after)
    return EVENT.validate_python({"type": kind, "job_id": JOB, "seq": 1, "at": at, **values})


def of_step(kind: str, *, after: float = 0.0, **values: object) -> JobEvent:
    return event(kind, after=after, step="find", **values)


LINES: list[tuple[JobEvent, str | None]] = [
    (event("job_submitted"), f"job {JOB} accepted"),
    (event("plan_accepted", steps=["find", "synthesis"]), "plan: find, synthesis"),
    (event("plan_rejected", faults=["a", "b"]), "plan refused: a; b"),
    (of_step("step_dispatched", attempt=1), None),
    (of_step("step_started", attempt=1, worker="search@host"), "find: started on search@host"),
    (of_step("step_progress", attempt=1, message="half way"), "find: half way"),
    (of_step("tool_called", attempt=1, tool="t", success=True, duration_ms=5), "find: t ok (5 ms)"),
    (of_step("tool_called", attempt=1, tool="t", success=False, duration_ms=5, code="late"), "find: t late (5 ms)"),
    (of_step("text_delta", attempt=1, turn=1, text="It is"), None),
    (of_step("step_faltered", attempt=1, failure=FAILURE), "find: attempt 1 ended: x: no [data]"),
    (of_step("step_retrying", attempt=1, delay_ms=1250), "find: tries again in 1.2 s"),
    (
        of_step("step_fell_back", attempt=1, agent="search", fallback="analysis", failure=FAILURE),
        "find: search gave up: no [data]; analysis takes over",
    ),
    (of_step("step_failed", failure=FAILURE), "find: failed: no [data]"),
    (of_step("step_skipped"), "find: skipped"),
    (of_step("step_cancelled"), "find: cancelled"),
    (of_step("step_parked", attempt=1, waits_for=["approval"]), "find: waits for approval"),
    (of_step("step_woken"), "find: goes on"),
    (of_step("children_accepted", steps=["find-1"]), "find: has find-1 done"),
    (of_step("step_handed_over", agent="search", to="sums", reason="x"), "find: search has handed it over to sums"),
    (of_step("message_posted", attempt=1, number=1, to="sums", text="See  b."), "find to sums: See b."),
    (event("job_paused"), "paused: as many steps as were asked for have begun"),
    (event("job_paused", by="request"), "paused on request"),
    (event("job_continued", steps=2), "job goes on with 2 more steps"),
    (event("job_continued", steps=1), "job goes on with 1 more step"),
    (event("job_continued"), "job goes on with all steps"),
    (event("job_reopened", status="in_progress", steps=["find"]), "job goes on: find"),
    (event("job_finished", status="completed"), "job completed"),
    (event("job_finished", status="failed", failure=FAILURE), "job failed: no [data]"),
    (event("plan_accepted", steps=["find"], rationale="It is  simple."), "plan: find (It is simple.)"),
    (event("job_forked", source=JOB, step="b", steps=["a", "c"]), f"forked from {JOB} at b: a, c reused"),
    (event("plan_extended", step="replan", lacking=["a", "b"]), "plans again (replan): a, b without a result"),
    (event("events_trimmed", first=3), "events 3 to 1 are not kept any more"),
    (event("job_dreamt"), "job_dreamt (an event of a later release)"),
    (of_step("step_dreamt", attempt=1, of="sheep"), "find: step_dreamt (an event of a later release)"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "line"), LINES, ids=lambda one: getattr(one, "type", None))
def test_every_event_has_its_line(given: JobEvent, line: str | None) -> None:
    assert JobView(JOB).apply(given) == line


def test_all_kinds_of_events_were_tried() -> None:
    union = {*get_args(get_args(KnownEvent)[0]), OtherEvent}
    assert {type(one) for one, _ in LINES} | {type(of_step("step_succeeded", attempt=1, usage={}))} == union


def test_a_reopened_job_shows_what_waits_again() -> None:
    view = JobView(JOB)
    view.apply(event("plan_accepted", steps=["find", "other"]))
    view.apply(of_step("step_failed", failure=FAILURE))
    view.steps["other"].state = "succeeded"
    view.apply(event("job_finished", status="failed", failure=FAILURE))
    view.apply(event("job_reopened", status="in_progress", steps=["find"]))
    assert view.status == "in_progress"
    assert {name: line.state for name, line in view.steps.items()} == {"find": "waiting", "other": "succeeded"}


def test_a_step_that_is_done_says_how_long_it_took() -> None:
    view = JobView(JOB)
    view.apply(of_step("step_started", attempt=1, worker="w"))
    assert view.apply(of_step("step_succeeded", attempt=1, usage={}, after=2.5)) == "find: done in 2.5 s"


@pytest.mark.parametrize(
    ("kind", "values", "state"),
    [
        ("step_dispatched", {"attempt": 1}, "queued"),
        ("step_started", {"attempt": 1, "worker": "w"}, "running"),
        ("step_succeeded", {"attempt": 1, "usage": {}}, "succeeded"),
        ("step_retrying", {"attempt": 1, "delay_ms": 0}, "retrying"),
        ("step_failed", {"failure": FAILURE}, "failed"),
        ("step_skipped", {}, "skipped"),
        ("step_cancelled", {}, "cancelled"),
    ],
)
def test_a_step_is_marked_by_what_it_does(kind: str, values: dict[str, Any], state: str) -> None:
    view = JobView(JOB)
    view.apply(of_step(kind, **values))
    assert view.steps["find"].state == state
    assert state in MARKS


@pytest.mark.parametrize("status", StepStatus)
def test_a_view_that_begins_in_the_middle_shows_where_each_step_stands(status: StepStatus) -> None:
    view = JobView(JOB)
    view.begin(report(make_job(TaskStatus.IN_PROGRESS, make_step("find", status))))
    assert view.status == "in_progress"
    assert view.steps["find"].state in MARKS
    assert "Do find." in shown(view)


def shown(view: JobView) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(view.render())
    return cast(io.StringIO, console.file).getvalue()


def test_the_tree_shows_each_step_with_what_it_is_for() -> None:
    view = JobView(JOB)
    view.describe(report(make_job(TaskStatus.IN_PROGRESS, make_step("find", StepStatus.RUNNING))))
    for given, _ in LINES[:5]:
        view.apply(given)
    text = shown(view)
    assert f"job {JOB}  in_progress" in text
    assert "● find  search: Do find." in text
    assert "search" in text.split("Do find.")[1]
    assert "· synthesis" in text


def test_the_tree_says_why_the_plan_is_as_it_is() -> None:
    view = JobView(JOB)
    view.apply(event("plan_accepted", steps=["find"], rationale="One step answers it."))
    assert "why: One step answers it." in shown(view)


def test_text_with_brackets_is_shown_as_it_is() -> None:
    view = JobView(JOB, steps={"find": StepLine(state="failed", note="no [bold]data[/bold]", tools=2)})
    assert "no [bold]data[/bold]" in shown(view)
    assert "2 tool calls" in shown(view)


class FakeHandle:
    """A handle whose job has one step."""

    def __init__(self) -> None:
        self.snapshots = 0

    def snapshot(self) -> JobResult:
        self.snapshots += 1
        return report(make_job(TaskStatus.IN_PROGRESS, make_step("find", StepStatus.RUNNING)))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_job_is_followed_on_a_terminal_and_elsewhere(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, color_system=None)
    handle = FakeHandle()
    view = JobView(JOB)
    follow(view, [given for given, _ in LINES[:6]], console, Refresh(cast(JobHandle, handle)))
    assert handle.snapshots == 2
    assert view.descriptions == {"find": "search: Do find."}
    text = out.getvalue()
    assert "half way" in text
    if not terminal:
        assert text.splitlines() == [line for _, line in LINES[:6] if line is not None]


def test_lines_are_neither_wrapped_nor_read_as_markup() -> None:
    out = io.StringIO()
    long = "[red]" + "x" * 300
    follow(
        JobView(JOB),
        [of_step("step_progress", attempt=1, message=long)],
        Console(file=out, width=40),
        Refresh(cast(JobHandle, FakeHandle())),
    )
    assert out.getvalue() == f"find: {long}\n"
