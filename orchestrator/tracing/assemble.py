"""From what the store keeps of a job to its trace: job, steps, attempts, their calls, and the waits between. Pure.

Exact by the record alone; events and calls add what that does not hold, as far as they are there.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from orchestrator.report import report
from orchestrator.tracing.attempts import Tries, attempt_nodes
from orchestrator.tracing.history import History, read_history
from orchestrator.tracing.nodes import Node, spans_of
from tasks.events import JobEvent
from tasks.models import Join
from tasks.redaction import excerpt
from tasks.results import MICROUSD, JobResult, StepReport, UsageReport
from tasks.store import JobRecord, StepRecord
from tasks.store.waits import Wait
from tasks.trace import CallRecord, Calls, SpanKind, Trace
from tasks.trace_ids import span_id_of, trace_id_of
from tasks.usage import Usage

EXCERPT_CHARS: Final = 2_000
"""Of a task, a description, a result."""


def assemble(
    record: JobRecord, events: Sequence[JobEvent], calls: Calls, now: datetime, waits: Sequence[Wait] = ()
) -> Trace:
    """The trace of a job.

    Args:
        events: In their order, from whichever on.
        now: What has no end yet lasts until now.
        waits: What its parked steps wait for.
    """
    outcome = report(record, waits)
    history = read_history(events)
    by_step: dict[str, list[CallRecord]] = {}
    for call in calls.calls:
        by_step.setdefault(call.step, []).append(call)
    root = _job(record, outcome)
    steps: dict[str, Node] = {}
    for one, told in zip(record.steps, outcome.steps, strict=True):
        node = steps[one.step.id] = _step(record, one, told)
        if "reused" not in node.attributes:
            tries = Tries(record, one, history.step(one.step.id), history.whole, by_step.get(one.step.id, ()))
            node.children = attempt_nodes(tries, told)
            node.started_at = min((at for one in node.children if (at := one.started_at)), default=node.started_at)
    for one in record.steps:
        _above(one, root, steps, history).children.append(steps[one.step.id])
    return Trace(
        job_id=record.spec.id,
        trace_id=trace_id_of(record.spec.id, record.spec.traceparent),
        task=excerpt(record.spec.task, EXCERPT_CHARS),
        status=record.status.value,
        made_at=record.created_at,
        spans=spans_of(root, now),
        cut=calls.cut,
        unanswered=record.ledger.unanswered,
    )


def _job(record: JobRecord, outcome: JobResult) -> Node:
    spec = record.spec
    facts: dict[str, JsonValue] = {"tenant": spec.tenant, "priority": spec.priority}
    facts |= {"model": spec.model} if spec.model else {}
    facts |= {"session": spec.session} if spec.session else {}
    facts |= {"replay": True} if spec.replay else {}
    facts |= {"paused": True} if outcome.paused else {}
    facts |= {"forked_from": [spec.forked_from.job_id, spec.forked_from.step]} if spec.forked_from else {}
    return Node(
        id=span_id_of(spec.id),
        kind=SpanKind.JOB,
        name=spec.id,
        status=record.status.value,
        started_at=record.created_at,
        ended_at=record.finished_at,
        input=excerpt(spec.task, EXCERPT_CHARS),
        output=excerpt(outcome.answer, EXCERPT_CHARS) if outcome.answer else None,
        error=outcome.error,
        attributes=facts,
    )


def _step(record: JobRecord, one: StepRecord, told: StepReport) -> Node:
    step, job = one.step, record.spec.id
    found = told.result or told.partial
    # What was taken over from another job was done before this one began, and is no part of its time.
    reused = one.reused or (one.finished_at is not None and one.finished_at < record.created_at)
    return Node(
        id=span_id_of(job, step.id),
        kind=SpanKind.STEP,
        name=step.id,
        status=one.status.value,
        started_at=None if reused else one.started_at,
        ended_at=None if reused else one.finished_at,
        used=_usage(told.usage),
        step=step.id,
        agent=step.agent,
        queue=step.queue,
        worker=one.worker,
        input=excerpt(step.description, EXCERPT_CHARS),
        output=excerpt(found.text, EXCERPT_CHARS) if found is not None else None,
        error=told.error,
        links=tuple(span_id_of(job, before) for before in step.depends_on),
        attributes=_facts(one, told) | ({"reused": told.reused_from or True} if reused else {}),
    )


def _facts(one: StepRecord, told: StepReport) -> dict[str, JsonValue]:
    step = one.step
    facts: dict[str, JsonValue] = {"kind": step.kind.value, "attempts": told.attempts}
    if step.depends_on:
        facts["depends_on"] = list(step.depends_on)
    if step.join is not Join.ALL:
        facts["join"] = step.join.value
    if step.quorum:
        facts["quorum"] = step.quorum
    if step.optional:
        facts["optional"] = True
    if step.parent is not None:
        facts["parent"] = step.parent
    if step.handed:
        facts["handed_over_by"] = list(step.handed)
    if step.version != "1":
        facts["version"] = step.version
    if told.partial is not None:
        facts["partial"] = True
    if told.waits_for:
        facts["waits_for"] = list(told.waits_for)
    return facts


def _usage(told: UsageReport) -> Usage:
    """Back to whole micro-dollars: sums of them are exact."""
    counts = told.model_dump(exclude={"cost_usd"})
    return Usage(**counts, cost_microusd=round(told.cost_usd * MICROUSD))


def _above(one: StepRecord, root: Node, steps: dict[str, Node], history: History) -> Node:
    """What a step stands under: the attempt that delegated it, else the job."""
    parent = steps.get(one.step.parent) if one.step.parent is not None else None
    if parent is None:
        return root
    tries = [child for child in parent.children if child.kind is SpanKind.ATTEMPT]
    _, number = history.parents.get(one.step.id, ("", 0))
    told = next((child for child in tries if child.attempt == number), None)
    return told or _by_time(steps[one.step.id], tries) or parent


def _by_time(child: Node, tries: Sequence[Node]) -> Node | None:
    """The attempt that has delegated a step, where no event tells: the last that had parked when the step began."""
    parked = [one for one in tries if one.status == "parked"]
    began = child.started_at
    before = [one for one in parked if began is None or (one.ended_at is not None and one.ended_at <= began)]
    return next(reversed(before or parked or list(tries)), None)
