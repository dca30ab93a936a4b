"""A trace is put together from what the store keeps, whatever of it is there."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.events import JobEvent
from tasks.ids import StepId
from tasks.models import JobSpec, StepKind, StepResult
from tasks.results import MICROUSD
from tasks.states import StepStatus
from tasks.store import JobRecord, StepRecord
from tasks.trace import CallRecord, Span, SpanKind, Trace
from tasks.trace_ids import span_id_of, trace_id_of
from tasks.usage import Ledger, LedgerLine, Usage
from tests.support.traces import (
    BEGIN,
    HOPELESS,
    JOB,
    MODEL,
    REFUSED,
    a_large_trace,
    a_rich_trace,
    at,
    called,
    jobbed,
    stepped,
    told,
    traced,
    tried,
)

USED = Usage(input_tokens=10, output_tokens=5, requests=1, cost_microusd=123)


def named(trace: Trace, name: str, *, step: str | None = None) -> Span:
    (found,) = [span for span in trace.spans if span.name == name and step in (None, span.step)]
    return found


def kinds(trace: Trace, step: str) -> list[tuple[str, str]]:
    return [(span.kind.value, span.status) for span in trace.spans if span.step == step and span.kind != SpanKind.STEP]


def below(trace: Trace, span: Span) -> list[str]:
    return [one.name for one in trace.spans if one.parent == span.id]


def test_a_job_without_steps_is_one_span() -> None:
    trace = traced(jobbed(status="pending"), now=3)
    (root,) = trace.spans
    assert (root.kind, root.parent, root.status, root.usage) == (SpanKind.JOB, None, "pending", None)
    assert (root.started_at, root.ended_at, root.duration_ms) == (BEGIN, None, 3000)


def test_ids_are_those_that_every_process_computes() -> None:
    trace = traced(jobbed(stepped("a", "succeeded", tried("a", 1, 1, 2))), calls=[called("a", 1, 1.9, id="m1")])
    ids = [span.id for span in trace.spans]
    assert trace.trace_id == trace_id_of(JOB)
    assert ids == [span_id_of(JOB, *parts) for parts in ((), ("a",), ("a", "1"), ("a", "1", "m1"))]


def test_a_job_of_another_trace_is_a_part_of_that() -> None:
    header = f"00-{'ab' * 16}-{'cd' * 8}-01"
    trace = traced(jobbed(spec=JobSpec(id=JOB, task="Why?", traceparent=header)))
    assert trace.trace_id == "ab" * 16


def test_a_finished_step_has_its_times_texts_and_links() -> None:
    record = jobbed(
        stepped("a", "succeeded", tried("a", 1, 1, 2)),
        stepped("b", "succeeded", tried("b", 1, 2.5, 4), step={"depends_on": ("a",), "join": "any", "optional": True}),
        status="completed",
    )
    span = named(traced(record), "b")
    assert (span.started_at, span.ended_at, span.duration_ms) == (at(2.5), at(4), 1500)
    assert (span.input, span.output) == ("Do b.", "Found out about b.")
    assert span.links == (span_id_of(JOB, "a"),)
    assert span.attributes == {"kind": "work", "attempts": 1, "depends_on": ["a"], "join": "any", "optional": True}


@pytest.mark.parametrize(
    ("status", "started"), [("blocked", False), ("ready", False), ("dispatched", False), ("skipped", False)]
)
def test_a_step_that_has_not_begun_has_no_start(status: str, started: bool) -> None:
    span = named(traced(jobbed(stepped("a", status))), "a")
    assert (span.status, span.started_at is not None, span.duration_ms) == (status, started, None)


def test_a_running_step_has_no_end_and_lasts_until_now() -> None:
    trace = traced(jobbed(stepped("a", "running", attempt=1, started_at=at(2), worker="w@h")), now=5)
    step, attempt = named(trace, "a"), named(trace, "attempt 1")
    assert [(one.status, one.ended_at, one.duration_ms) for one in (step, attempt)] == [("running", None, 3000)] * 2
    assert (attempt.worker, attempt.queue) == ("w@h", "search")


def test_a_clock_that_is_behind_makes_no_negative_time() -> None:
    trace = traced(jobbed(stepped("a", "running", attempt=1, started_at=at(2))), now=1)
    assert named(trace, "attempt 1").duration_ms == 0


def test_attempts_and_the_wait_between_them_stand_in_their_order() -> None:
    first = tried("a", 1, 1, 2, "failed", failure=REFUSED)
    record = jobbed(stepped("a", "succeeded", first, tried("a", 2, 6, 7)), status="completed")
    events = told(
        (2, "step_retrying", {"step": "a", "attempt": 1, "delay_ms": 3000}),
        (5.5, "step_dispatched", {"step": "a", "attempt": 2}),
    )
    trace = traced(record, events)
    assert kinds(trace, "a") == [("attempt", "failed"), ("retry", "ok"), ("attempt", "succeeded")]
    wait = named(trace, "waits for its next attempt")
    assert (wait.started_at, wait.ended_at, wait.attributes) == (at(2), at(5.5), {"delay_ms": 3000})
    assert wait.id == span_id_of(JOB, "a", "1", "retry")
    assert named(trace, "attempt 2").attributes == {"queued_ms": 500}
    error = named(trace, "attempt 1").error
    assert error is not None
    assert error.code == "rate_limited"


@pytest.mark.parametrize("status", ["delayed", "ready"])
def test_a_step_that_waits_for_its_next_attempt_waits_still(status: str) -> None:
    record = jobbed(stepped("a", status, tried("a", 1, 1, 2, "lost", failure=REFUSED)))
    events = told((2, "step_retrying", {"step": "a", "attempt": 1, "delay_ms": 9000}))
    wait = named(traced(record, events, now=4), "waits for its next attempt")
    assert (wait.status, wait.ended_at, wait.duration_ms) == ("running", None, 2000)


def test_a_wait_whose_end_was_not_read_yet_is_not_said_to_go_on() -> None:
    record = jobbed(stepped("a", "running", tried("a", 1, 1, 2, "parked"), attempt=2, started_at=at(3)))
    events = told((2, "step_parked", {"step": "a", "attempt": 1, "waits_for": ["approval"]}))
    wait = named(traced(record, events), "parked")
    assert (wait.status, wait.ended_at, wait.duration_ms) == ("ok", None, None)


@pytest.mark.parametrize("end", ["step_cancelled", "step_failed"])
def test_a_wait_ends_with_its_step(end: str) -> None:
    status = end.removeprefix("step_")
    record = jobbed(stepped("a", status, tried("a", 1, 1, 2, "parked"), finished_at=at(9)), status="failed")
    more = {"failure": HOPELESS.model_dump()} if end == "step_failed" else {}
    events = told(
        (2, "step_parked", {"step": "a", "attempt": 1, "waits_for": ["question"]}), (9, end, {"step": "a", **more})
    )
    wait = named(traced(record, events), "parked")
    assert (wait.ended_at, wait.attributes) == (at(9), {"waits_for": ["question"]})


def test_a_parked_attempt_without_events_was_parked_until_the_next_at_the_latest() -> None:
    record = jobbed(stepped("a", "succeeded", tried("a", 1, 1, 2, "parked"), tried("a", 2, 8, 9)), status="completed")
    wait = named(traced(record), "parked")
    assert (wait.started_at, wait.ended_at, wait.attributes) == (at(2), at(8), {"ended": "at the latest"})


def test_calls_stand_below_their_attempt_with_times_and_errors() -> None:
    record = jobbed(stepped("a", "succeeded", tried("a", 1, 1, 9)), status="completed")
    calls = [
        called("a", 1, 4, ms=1500, input="in", output="out", attributes={"stop_reason": "end_turn"}),
        called("a", 1, 6, "sql", kind=SpanKind.TOOL_CALL, code="raised", error="no"),
        called("a", 1, 7, "rank", kind=SpanKind.CUSTOM, usage=None),
    ]
    trace = traced(record, calls=calls)
    model, tool, custom = trace.spans[-3:]
    assert [one.parent for one in (model, tool, custom)] == [named(trace, "attempt 1").id] * 3
    assert (model.started_at, model.ended_at, model.duration_ms, model.agent) == (at(2.5), at(4), 1500, "search")
    assert (model.input, model.output, model.attributes) == ("in", "out", {"stop_reason": "end_turn"})
    assert tool.error is not None
    assert (tool.status, tool.error.code, tool.error.message) == ("error", "raised", "no")
    assert (custom.kind, custom.status, custom.usage) == (SpanKind.CUSTOM, "ok", None)


def test_a_call_never_begins_before_its_attempt() -> None:
    record = jobbed(stepped("a", "succeeded", tried("a", 1, 1, 3)), status="completed")
    trace = traced(record, calls=[called("a", 1, 2, ms=1200)])
    assert (trace.spans[-1].started_at, trace.spans[-1].duration_ms) == (at(1), 1200)


def test_a_call_that_was_lost_with_its_worker_has_no_start() -> None:
    record = jobbed(stepped("a", "failed", tried("a", 1, 1, 3, "lost", failure=REFUSED)), status="failed")
    lost = called("a", 1, 3, "", ms=None, code="unanswered", usage=None, id="m1")
    span = traced(record, calls=[lost]).spans[-1]
    assert (span.name, span.status, span.started_at, span.ended_at) == ("model call", "error", None, at(3))


def test_an_answer_that_came_too_late_takes_the_place_of_the_lost_call() -> None:
    record = jobbed(stepped("a", "succeeded", tried("a", 1, 1, 3, "lost"), tried("a", 2, 4, 5)), status="completed")
    calls = [called("a", 1, 3, "", ms=None, code="unanswered", id="m1"), called("a", 1, 3.4, id="m1")]
    found = [span for span in traced(record, calls=calls).spans if span.kind is SpanKind.MODEL_CALL]
    assert [(one.status, one.name) for one in found] == [("ok", MODEL)]


def test_calls_of_one_id_are_two_spans() -> None:
    record = jobbed(stepped("a", "succeeded", tried("a", 1, 1, 9)), status="completed")
    calls = [called("a", 1, 4, id="same"), called("a", 1, 5, id="same"), called("a", 1, 6, id="park")]
    ids = [span.id for span in traced(record, calls=calls).spans]
    assert len(set(ids)) == len(ids) == 6


def test_tool_calls_of_an_earlier_release_come_from_events() -> None:
    record = jobbed(stepped("a", "succeeded", tried("a", 1, 1, 9)), status="completed")
    fields = {"step": "a", "attempt": 1, "tool": "search", "duration_ms": 250}
    events = told(
        (4, "tool_called", {**fields, "success": True}),
        (5, "tool_called", {**fields, "success": False, "code": "timeout"}),
    )
    first, second = traced(record, events).spans[-2:]
    assert (first.name, first.status, first.started_at, first.duration_ms) == ("search", "ok", at(3.75), 250)
    assert second.error is not None
    assert (second.status, second.error.code) == ("error", "timeout")
    kept = traced(record, events, [called("a", 1, 4, "search", kind=SpanKind.TOOL_CALL)])
    assert [span.kind for span in kept.spans].count(SpanKind.TOOL_CALL) == 1, "what is kept counts"


def test_usage_of_the_job_is_that_of_the_ledger_and_attempts_have_their_own() -> None:
    record = jobbed(
        stepped("a", "succeeded", tried("a", 1, 1, 2, "lost"), tried("a", 2, 3, 4, usage=USED)),
        stepped("b", "succeeded", tried("b", 1, 1, 2, usage=USED)),
        status="completed",
        ledger=Ledger(
            lines=tuple(
                LedgerLine(step=StepId(step), agent="search", model=MODEL, usage=USED + USED) for step in ("a", "b")
            ),
            unanswered=2,
        ),
    )
    trace = traced(record, calls=[called("a", 1, 1.5, usage=Usage(requests=1, cost_microusd=7))], cut=4)
    cost = {span.id: span.usage.cost_usd * MICROUSD for span in trace.spans if span.usage}
    assert cost[trace.spans[0].id] == pytest.approx(4 * 123)
    assert cost[named(trace, "a").id] == pytest.approx(2 * 123)
    assert cost[named(trace, "attempt 1", step="a").id] == pytest.approx(7), (
        "what its calls consumed: nobody settled it"
    )
    assert cost[named(trace, "attempt 2").id] == pytest.approx(123)
    assert (trace.cut, trace.unanswered) == (4, 2)


def test_a_delegated_step_stands_below_the_attempt_that_delegated_it() -> None:
    trace = a_rich_trace()
    lead, child = named(trace, "lead"), named(trace, "lead_1", step="lead_1")
    (first,) = [one for one in trace.spans if one.parent == lead.id and one.attempt == 1 and one.kind == "attempt"]
    assert child.parent == first.id
    assert below(trace, lead) == ["attempt 1", "parked", "attempt 2"]


def test_what_was_delegated_counts_for_who_delegated_it() -> None:
    record = jobbed(
        stepped("lead", "succeeded", tried("lead", 1, 1, 2, "parked", usage=USED), tried("lead", 2, 7, 8)),
        stepped("lead_1", "succeeded", tried("lead_1", 1, 3, 6, usage=USED), step={"parent": "lead"}),
        status="completed",
    )
    trace = traced(record)
    shares = {name: span.usage.requests for name in ("lead", "lead_1") if (span := named(trace, name)).usage}
    assert shares == {"lead": 2, "lead_1": 1}
    assert named(trace, "attempt 1", step="lead").usage == named(trace, "lead").usage


def children_of_two_rounds() -> tuple[JobRecord, Sequence[JobEvent]]:
    child: dict[str, Any] = {"step": {"parent": "lead"}}
    record = jobbed(
        stepped("lead", "succeeded", tried("lead", 1, 1, 2, "parked"), tried("lead", 2, 5, 6, "parked"),
                tried("lead", 3, 9, 10)),
        stepped("one", "succeeded", tried("one", 1, 3, 4), **child),
        stepped("two", "succeeded", tried("two", 1, 7, 8), **child),
        stepped("three", "cancelled", **child),
        status="completed",
    )  # fmt: skip
    events = told(
        (2, "step_parked", {"step": "lead", "attempt": 1, "waits_for": ["children"]}),
        (2.1, "children_accepted", {"step": "lead", "steps": ["one"]}),
        (6, "step_parked", {"step": "lead", "attempt": 2, "waits_for": ["children"]}),
        (6.1, "children_accepted", {"step": "lead", "steps": ["two", "three"]}),
    )
    return record, events


@pytest.mark.parametrize("with_events", [True, False])
def test_children_of_later_rounds_stand_below_the_later_attempt(with_events: bool) -> None:
    record, events = children_of_two_rounds()
    trace = traced(record, events if with_events else ())
    parents = {span.id: span for span in trace.spans}
    rounds = {name: parents[named(trace, name).parent or ""].attempt for name in ("one", "two", "three")}
    assert rounds == {"one": 1, "two": 2, "three": 2}


def test_a_child_of_a_step_that_never_began_stands_below_the_step_and_an_orphan_below_the_job() -> None:
    record = jobbed(
        stepped("lead", "ready"),
        stepped("one", "ready", step={"parent": "lead"}),
        stepped("lost", "ready", step={"parent": "gone"}),
    )
    trace = traced(record)
    assert named(trace, "one").parent == named(trace, "lead").id
    assert named(trace, "lost").parent == trace.spans[0].id


def test_an_attempt_that_ended_with_its_job_is_cancelled_with_it() -> None:
    """The store keeps no record of it: only when it began, and when the step ended."""
    step = stepped("a", "cancelled", attempt=1, started_at=at(2), finished_at=at(4), worker="w")
    attempt = named(traced(jobbed(step, status="cancelled")), "attempt 1")
    assert (attempt.status, attempt.started_at, attempt.ended_at, attempt.worker) == ("cancelled", at(2), at(4), "w")


def test_an_attempt_number_that_was_never_claimed_is_no_attempt() -> None:
    step = stepped("a", "cancelled", tried("a", 1, 1, 2, "failed"), attempt=2, finished_at=at(4))
    assert kinds(traced(jobbed(step, status="cancelled")), "a") == [("attempt", "failed")]


def test_a_reopened_step_shows_all_its_attempts_and_not_the_number_that_was_left_out() -> None:
    step = stepped("a", "running", tried("a", 1, 1, 2, "failed", failure=HOPELESS), attempt=3, left_out=1,
                   started_at=at(8))  # fmt: skip
    assert [span.name for span in traced(jobbed(step)).spans if span.kind == "attempt"] == ["attempt 1", "attempt 3"]


def test_an_attempt_that_was_cancelled_before_the_job_was_reopened_is_told_by_events() -> None:
    step = stepped("a", "ready", attempt=2, left_out=1, started_at=at(2))
    events = told(
        (2, "step_started", {"step": "a", "attempt": 1, "worker": "w@h"}),
        (3, "step_cancelled", {"step": "a"}),
        (5, "job_reopened", {"status": "in_progress", "steps": ["a"]}),
    )
    attempt = named(traced(jobbed(step), events), "attempt 1")
    assert (attempt.status, attempt.ended_at, attempt.worker) == ("cancelled", at(3), "w@h")


def test_a_call_of_an_attempt_that_nothing_else_tells_of_is_not_lost() -> None:
    step = stepped("a", "running", attempt=3, started_at=at(8), left_out=1)
    trace = traced(jobbed(step), calls=[called("a", 1, 3)])
    assert kinds(trace, "a") == [("attempt", "cancelled"), ("model_call", "ok"), ("attempt", "running")]
    assert named(trace, "attempt 1").started_at == at(2.5)


def test_each_attempt_has_the_agent_that_made_it() -> None:
    step = stepped("a", "succeeded", tried("a", 1, 1, 2, "failed"), tried("a", 3, 3, 4, "parked"), tried("a", 4, 5, 6),
                   agent="third", left_out=1, step={"handed": ("second",)})  # fmt: skip
    start = [(when, "step_started", {"step": "a", "attempt": number, "worker": "w"}) for when, number in
             ((1, 1), (3, 3), (5, 4))]  # fmt: skip
    fell = {"step": "a", "attempt": 1, "agent": "first", "fallback": "second", "failure": HOPELESS.model_dump()}
    handed = {"step": "a", "agent": "second", "to": "third", "reason": "it knows"}
    events = told(start[0], (2, "step_fell_back", fell), start[1], (4.5, "step_handed_over", handed), start[2])
    trace = traced(jobbed(step, status="completed"), events)
    assert [one.agent for one in trace.spans if one.kind == "attempt"] == ["first", "second", "third"]
    bare = traced(jobbed(step, status="completed"))
    assert [one.agent for one in bare.spans if one.kind == "attempt"] == [None, None, "third"], "nobody knows any more"


def test_a_step_that_was_taken_over_from_another_job_is_no_part_of_the_time() -> None:
    record = jobbed(
        stepped("a", "succeeded", tried("a", 1, -50, -40)), stepped("b", "running", attempt=1, started_at=at(1))
    )
    trace = traced(record)
    reused = named(trace, "a")
    assert (reused.started_at, reused.ended_at, reused.attributes["reused"]) == (None, None, True)
    assert below(trace, reused) == []
    assert reused.output == "Found out about a."


def test_what_a_failed_step_had_found_is_its_output() -> None:
    step = stepped("a", "failed", tried("a", 1, 1, 2, "failed"), failure=HOPELESS, found=StepResult(text="Half of it."))
    span = named(traced(jobbed(step, status="failed")), "a")
    assert span.error is not None
    assert (span.output, span.attributes["partial"], span.error.code) == ("Half of it.", True, "tool_failed")


def test_texts_are_bounded_and_without_secrets() -> None:
    key = "sk-ant-" + "a" * 40
    record = jobbed(
        stepped("a", "succeeded", tried("a", 1, 1, 2), step={"description": f"Use {key}. " + "x" * 9000},
                result=StepResult(text="y" * 9000)),
        spec=JobSpec(id=JOB, task=f"Why {key}? " + "z" * 9000),
    )  # fmt: skip
    trace = traced(record)
    span = named(trace, "a")
    assert key not in trace.model_dump_json()
    assert [len(text or "") for text in (trace.task, span.input, span.output)] == [2000, 2000, 2000]


def test_facts_of_the_job_stand_at_its_span() -> None:
    spec = JobSpec(id=JOB, task="Why?", model="m", tenant="acme", session="talk.0", priority=7, replay=True)  # pyright: ignore[reportArgumentType]
    record = jobbed(stepped("a", "ready"), spec=spec, paused=True)
    assert traced(record).spans[0].attributes == {
        "tenant": "acme", "priority": 7, "model": "m", "session": "talk.0", "replay": True, "paused": True,
    }  # fmt: skip


def test_further_facts_of_a_step_stand_at_its_span() -> None:
    fields = {"version": "2", "quorum": 2, "join": "quorum", "handed": ("other",), "parent": "gone"}
    span = named(traced(jobbed(stepped("a", "blocked", step=fields))), "a")
    assert span.attributes == {
        "kind": "work", "attempts": 0, "join": "quorum", "quorum": 2, "parent": "gone", "handed_over_by": ["other"],
        "version": "2",
    }  # fmt: skip


def test_the_answer_is_the_output_of_the_job() -> None:
    closing = stepped("synthesis", "succeeded", tried("synthesis", 1, 1, 2), kind=StepKind.SYNTHESIS)
    root = traced(jobbed(closing, status="completed")).spans[0]
    assert (root.output, root.ended_at, root.duration_ms) == ("Found out about synthesis.", at(2), 2000)


def check_tree(trace: Trace) -> None:
    seen: dict[str, Span] = {}
    siblings: dict[str | None, list[Span]] = {}
    for span in trace.spans:
        assert span.id not in seen
        assert (span.parent is None) == (not seen)
        assert span.parent is None or span.parent in seen
        seen[span.id] = span
        siblings.setdefault(span.parent, []).append(span)
    root = trace.spans[0]
    for span in trace.spans:
        for time in (span.started_at, span.ended_at):
            assert time is None or time >= trace.made_at
            assert time is None or root.ended_at is None or time <= root.ended_at
        assert span.started_at is None or span.ended_at is None or span.started_at <= span.ended_at
        assert span.duration_ms is None or span.duration_ms >= 0
    for ones in siblings.values():
        starts = [one.started_at for one in ones if one.started_at is not None]
        assert starts == sorted(starts)


@pytest.mark.parametrize("trace", [a_rich_trace(), a_large_trace(60, 4)], ids=["rich", "large"])
def test_parents_come_before_their_children_which_lie_within_the_job(trace: Trace) -> None:
    check_tree(trace)


OUTCOMES = ["failed", "lost", "returned", "parked"]
STEP = st.fixed_dictionaries(
    {
        "status": st.sampled_from(list(StepStatus)),
        "outcomes": st.lists(st.sampled_from(OUTCOMES), max_size=3),
        "parent": st.one_of(st.none(), st.integers(0, 5)),
        "needs": st.lists(st.integers(0, 5), max_size=2),
        "calls": st.lists(st.tuples(st.integers(1, 4), st.sampled_from([None, 1.0, 400.0])), max_size=4),
        "events": st.booleans(),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=6), st.sampled_from(["in_progress", "completed", "failed", "cancelled"]))
def test_whatever_is_stored_the_trace_is_a_tree_within_its_job(steps: list[dict[str, Any]], status: str) -> None:
    records, facts, calls = list[StepRecord](), list[tuple[float, str, dict[str, Any]]](), list[CallRecord]()
    for number, one in enumerate(steps):
        name, start = f"s{number}", 10.0 * number + 1
        tries = [tried(name, at_ + 1, start + at_, start + at_ + 0.5, how) for at_, how in enumerate(one["outcomes"])]
        parent = None if one["parent"] is None or one["parent"] >= number else f"s{one['parent']}"
        needs = tuple(sorted({f"s{need}" for need in one["needs"] if need < number}))
        more: dict[str, Any] = (
            {"attempt": len(tries) + 1, "started_at": at(start + 5)} if one["status"] == StepStatus.RUNNING else {}
        )
        records.append(stepped(name, one["status"], *tries, step={"parent": parent, "depends_on": needs}, **more))
        for attempt in tries if one["events"] else ():
            fields = {"step": name, "attempt": attempt.number}
            end = (attempt.finished_at - BEGIN).total_seconds()
            if attempt.outcome == "parked":
                facts += [(end, "step_parked", {**fields, "waits_for": ["children"]})]
                facts += [(end + 0.2, "step_woken", {"step": name})]
            elif attempt.outcome != "returned":
                facts += [(end, "step_retrying", {**fields, "delay_ms": 100})]
        calls += [
            called(name, attempt, start + attempt - 0.6, ms=ms, id=f"c{at_}")
            for at_, (attempt, ms) in enumerate(one["calls"])
        ]
    final: dict[str, Any] = {"finished_at": at(100)} if status != "in_progress" else {}
    record = jobbed(*records, status=status, **final)
    check_tree(traced(record, told(*facts), calls, now=200))
