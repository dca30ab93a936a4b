"""The attempts of a step, their calls, and the waits between them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import JsonValue

from orchestrator.tracing.history import StepHistory, Waiting
from orchestrator.tracing.nodes import MILLISECOND, RUNNING, Node
from tasks.events import ToolCalled
from tasks.models import Attempt, AttemptOutcome
from tasks.results import ErrorReport, StepReport
from tasks.states import FINAL_STEP, StepStatus
from tasks.store import JobRecord, StepRecord
from tasks.trace import UNANSWERED, CallRecord, SpanKind
from tasks.trace_ids import span_id_of
from tasks.usage import Usage

CANCELLED: Final = "cancelled"
"""Status of an attempt that ended with its job: the store keeps no record of that."""
WAITS: Final = {
    SpanKind.PARK: frozenset({StepStatus.PARKED}),
    SpanKind.RETRY: frozenset({StepStatus.DELAYED, StepStatus.READY}),
}
"""Statuses of a step that waits still; in others the event that ended the wait was not read yet."""
OK: Final = "ok"
ERROR: Final = "error"


@dataclass(frozen=True, slots=True)
class Tries:
    """All that tells of a step's attempts."""

    job: JobRecord
    step: StepRecord
    past: StepHistory
    whole: bool
    """Whether no event is gone."""
    calls: Sequence[CallRecord]


def attempt_nodes(tries: Tries, told: StepReport) -> list[Node]:
    """The attempts of a step with their calls, and its waits, in no order."""
    calls: dict[int, list[CallRecord]] = {}
    answered = {(call.attempt, call.id) for call in tries.calls if call.code != UNANSWERED}
    for call in tries.calls:
        if (
            call.code != UNANSWERED or (call.attempt, call.id) not in answered
        ):  # else its answer came too late, but came
            calls.setdefault(call.attempt, []).append(call)
    ended = {one.number: one for one in tries.step.attempts}
    unfinished = _unfinished(tries, ended, calls)
    numbers: set[int] = {*ended, *calls, *tries.past.started}
    if unfinished is not None:
        numbers.add(unfinished)
    nodes = [_attempt(tries, number, ended.get(number), calls.get(number, ())) for number in sorted(numbers)]
    return [*nodes, *_parks(tries, nodes, told), *_retries(tries)]


def _unfinished(tries: Tries, ended: Mapping[int, Attempt], calls: Mapping[int, object]) -> int | None:
    """Number of the attempt that runs, or that ended with its job; None: there is none."""
    step = tries.step
    if step.status is StepStatus.RUNNING:
        return step.attempt
    began = step.started_at
    if began is None or any((one.started_at or one.finished_at) >= began for one in ended.values()):
        return None
    open_ones = [number for number in (*tries.past.started, *calls) if number not in ended]
    return max(open_ones, default=step.attempt)


def _attempt(tries: Tries, number: int, record: Attempt | None, calls: Sequence[CallRecord]) -> Node:
    step, started = tries.step, tries.past.started.get(number)
    last = number == step.attempt
    begun = started.at if started else step.started_at if last else None
    begun = record.started_at or begun if record else begun
    running = record is None and last and step.status is StepStatus.RUNNING
    told = tuple(_told_of(tries, number)) if not any(one.kind is SpanKind.TOOL_CALL for one in calls) else ()
    ids = _Ids(tries, number)
    children = [_call(ids.of(one.id), tries, one, begun) for one in calls]
    children += [_told_call(ids.of(f"event {one.seq}"), one) for one in told]
    return Node(
        id=span_id_of(tries.job.spec.id, step.step.id, str(number)),
        kind=SpanKind.ATTEMPT,
        name=f"attempt {number}",
        status=record.outcome.value if record else RUNNING if running else CANCELLED,
        started_at=begun or min((at for one in children if (at := one.started_at)), default=None),
        ended_at=record.finished_at if record else None if running else _cancelled_at(tries, number),
        used=_used(record, calls),
        step=step.step.id,
        attempt=number,
        agent=_agent(tries, number),
        queue=step.step.queue if last else None,
        worker=(record.worker if record else None) or (started.worker if started else step.worker if last else None),
        error=ErrorReport.of(record.failure) if record and record.failure else None,
        attributes=_queued(tries, number, begun),
        children=children,
    )


def _agent(tries: Tries, number: int) -> str | None:
    """None where another agent took over and no event tells when."""
    step, past = tries.step, tries.past
    if tries.whole or number in past.started or not (step.step.handed or step.left_out):
        return past.agent(number, step.step.agent)
    return None if number != step.attempt else step.step.agent


def _queued(tries: Tries, number: int, begun: datetime | None) -> dict[str, JsonValue]:
    """How long its message waited for a worker."""
    sent = tries.past.dispatched.get(number)
    return {"queued_ms": max((begun - sent) / MILLISECOND, 0.0)} if begun is not None and sent is not None else {}


def _cancelled_at(tries: Tries, number: int) -> datetime | None:
    """When an attempt ended that nobody settled: with its job."""
    told = tries.past.cancelled.get(number)
    if told is None and number == tries.step.attempt and tries.step.status in FINAL_STEP:
        return tries.step.finished_at
    return told


def _used(record: Attempt | None, calls: Sequence[CallRecord]) -> Usage:
    """As it was settled; of one that nobody settled, what its calls consumed."""
    if record is not None and record.usage != Usage():
        return record.usage
    return sum((one.usage for one in calls if one.usage is not None), Usage())


class _Ids:
    """Span ids of an attempt's calls, each another, whatever their own ids are."""

    def __init__(self, tries: Tries, number: int) -> None:
        self.parts = (tries.job.spec.id, tries.step.step.id, str(number))
        self.given: dict[str, int] = {"park": 1, "retry": 1}

    def of(self, name: str) -> str:
        count = self.given[name] = self.given.get(name, 0) + 1
        return span_id_of(*self.parts, name) if count == 1 else span_id_of(*self.parts, name, str(count))


def _call(span: str, tries: Tries, call: CallRecord, begun: datetime | None) -> Node:
    """A call as it was kept. A worker's clock measured it, Redis' clock said when it ended: its start is not to fall
    before that of its attempt."""
    start = call.at - timedelta(milliseconds=call.duration_ms) if call.duration_ms is not None else None
    failed = call.code is not None
    return Node(
        id=span,
        kind=call.kind,
        name=call.name
        or call.kind.value.replace("_", " "),  # of one that was lost with its worker only the kind is known
        status=ERROR if failed else OK,
        started_at=max(start, begun) if start is not None and begun is not None and begun <= call.at else start,
        ended_at=call.at,
        duration_ms=call.duration_ms,
        used=call.usage,
        step=call.step,
        attempt=call.attempt,
        agent=_agent(tries, call.attempt),
        input=call.input,
        output=call.output,
        error=ErrorReport(code=call.code or "", message=call.error or "", retryable=False) if failed else None,
        attributes=dict(call.attributes),
    )


def _told_of(tries: Tries, number: int) -> Iterator[ToolCalled]:
    """Tool calls that events alone know of: those of earlier releases, and those that are not kept any more."""
    yield from tries.past.tools.get(number, ())


def _told_call(span: str, event: ToolCalled) -> Node:
    return Node(
        id=span,
        kind=SpanKind.TOOL_CALL,
        name=event.tool,
        status=OK if event.success else ERROR,
        started_at=event.at - timedelta(milliseconds=event.duration_ms),
        ended_at=event.at,
        duration_ms=event.duration_ms,
        step=event.step,
        attempt=event.attempt,
        error=None if event.success else ErrorReport(code=event.code or "error", message="", retryable=False),
    )


def _parks(tries: Tries, nodes: Sequence[Node], told: StepReport) -> Iterator[Node]:
    """The times that it was parked: by events, else from the end of a parked attempt to the start of the next."""
    waits = {number: (wait, True) for number, wait in tries.past.parks.items()}
    starts = {one.attempt or 0: one.started_at for one in nodes if one.started_at is not None}
    for one in tries.step.attempts:
        if one.outcome is AttemptOutcome.PARKED and one.number not in waits:
            after = [at for number, at in sorted(starts.items()) if number > one.number]
            until = after[0] if after else tries.step.finished_at
            waits[one.number] = (Waiting(one.finished_at, until), False)
    for number, (wait, exact) in waits.items():
        node = _wait(tries, number, SpanKind.PARK, wait)
        if wait.waits_for:
            node.attributes["waits_for"] = list(wait.waits_for)
        if node.status == RUNNING and told.waits_for:
            node.input = "\n".join(told.waits_for)
        if not exact and wait.until is not None:
            node.attributes["ended"] = "at the latest"
        yield node


def _retries(tries: Tries) -> Iterator[Node]:
    for number, wait in tries.past.retries.items():
        node = _wait(tries, number, SpanKind.RETRY, wait)
        node.attributes["delay_ms"] = wait.delay_ms
        yield node


def _wait(tries: Tries, number: int, kind: SpanKind, wait: Waiting) -> Node:
    step = tries.step
    until = wait.until or (step.finished_at if step.status in FINAL_STEP else None)
    waiting = until is None and step.status in WAITS[kind]
    return Node(
        id=span_id_of(tries.job.spec.id, step.step.id, str(number), kind.value),
        kind=kind,
        name="parked" if kind is SpanKind.PARK else "waits for its next attempt",
        status=RUNNING if waiting else OK,
        started_at=wait.since,
        ended_at=until,
        step=step.step.id,
        attempt=number,
    )
