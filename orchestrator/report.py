"""From a job as stored to `JobResult` as users get it. Pure."""

from collections.abc import Mapping, Sequence

from orchestrator.people import waits_for
from tasks.ids import StepId
from tasks.models import Failure, Origin, StepKind, StepResult
from tasks.patterns.compile import COORDINATOR
from tasks.results import ErrorReport, JobResult, Missing, StepOutput, StepReport, UsageReport
from tasks.states import FINAL_STEP, StepStatus, TaskStatus
from tasks.store import JobRecord, StepRecord
from tasks.store.waits import Wait
from tasks.usage import Usage


def report(record: JobRecord, waits: Sequence[Wait] = ()) -> JobResult:
    """The outcome of a job, or where it stands.

    Args:
        waits: What its parked steps wait for.
    """
    closing = next((one for one in record.steps if one.step.kind is StepKind.SYNTHESIS), None)
    result = closing.result if closing is not None and record.status is TaskStatus.COMPLETED else None
    used = _used(record)
    ended = {one.step.id: one.status for one in record.steps}
    why = {one.step.id: _why(one, record, ended) for one in record.steps}
    parents = {one.step.id: one for one in record.steps}
    mended = {name for one in record.steps if _lacks_nothing(one) for name in one.step.depends_on}
    origin = record.spec.forked_from
    steps = tuple(_step(one, used[one.step.id], why[one.step.id], waits, origin) for one in record.steps)
    return JobResult(
        job_id=record.spec.id,
        task=record.spec.task,
        status=record.status,
        answer=result.text if result else None,
        sources=result.sources if result else (),
        steps=steps,
        usage=UsageReport.of(sum(used.values(), Usage())),
        missing=tuple(
            _missing(one, why[one.step.id])
            for one in record.steps
            if _is_missing(one, parents) and one.step.id not in mended
        ),
        model=result.model if result else record.spec.model,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        error=ErrorReport.of(record.failure) if record.failure else None,
        paused=_is_paused(record),
        forked_from=origin,
    )


def _is_paused(record: JobRecord) -> bool:
    """Whether nothing of it is under way, and some of it is held; or somebody has paused it."""
    if record.paused:
        return not record.final
    under_way = {one.status for one in record.steps} - FINAL_STEP - {StepStatus.BLOCKED}
    return bool(record.held) and not record.final and not under_way


def _used(record: JobRecord) -> dict[str, Usage]:
    """What each step consumed, over all attempts: by the ledger, or by its attempts if an older release ran them."""
    used: dict[str, Usage] = {}
    for line in record.ledger.lines:
        used[line.step] = used.get(line.step, Usage()) + line.usage
    for one in record.steps:
        used.setdefault(one.step.id, sum((attempt.usage for attempt in one.attempts), Usage()))
    return used


def failure(record: StepRecord) -> Failure | None:
    """Why a step has no result: its own failure, or what its last attempt met."""
    if record.failure is not None or record.status is StepStatus.SUCCEEDED:
        return record.failure
    return record.attempts[-1].failure if record.attempts else None


def _why(step: StepRecord, job: JobRecord, ended: Mapping[StepId, StepStatus]) -> Failure | None:
    """Why a step has no result, also where nothing of its own went wrong."""
    if step.status is StepStatus.SKIPPED:
        before = [one for one in step.step.depends_on if ended.get(one) in FINAL_STEP - {StepStatus.SUCCEEDED}]
        named = f"{', '.join(before)}, which it depends on," if before else "what it depends on"
        return Failure(code=step.status.value, message=f"{named} did not succeed")
    if step.status is StepStatus.CANCELLED:
        if job.status is TaskStatus.COMPLETED or not job.final:
            return Failure(code=step.status.value, message="what it was done for has ended")
        reason = f": {job.failure.message}" if job.failure else ""
        return Failure(code=step.status.value, message=f"its job was ended ({job.status.value}){reason}")
    return failure(step)


def _step(
    record: StepRecord, used: Usage, why: Failure | None, waits: Sequence[Wait], origin: Origin | None
) -> StepReport:
    step = record.step
    open_waits = [one for one in waits if one.step == step.id and one.outcome is None]
    return StepReport(
        id=step.id,
        kind=step.kind,
        description=step.description,
        agent=step.agent,
        queue=step.queue,
        depends_on=step.depends_on,
        join=step.join,
        quorum=step.quorum,
        optional=step.optional,
        parent=step.parent,
        status=record.status,
        attempts=record.attempt - record.left_out,
        worker=record.worker,
        started_at=record.started_at,
        finished_at=record.finished_at,
        usage=UsageReport.of(used),
        result=_output(record.result),
        partial=_output(record.found) if record.result is None else None,
        error=ErrorReport.of(why) if why else None,
        waits_for=tuple(map(waits_for, open_waits)) if record.status is StepStatus.PARKED else (),
        reused_from=origin.job_id if origin and record.reused else None,
    )


def _output(result: StepResult | None) -> StepOutput | None:
    return StepOutput(text=result.text, data=result.data, sources=result.sources) if result else None


def _is_missing(record: StepRecord, parents: Mapping[StepId, StepRecord]) -> bool:
    """Whether it has no result and nothing makes up for that. What a pattern had done is a part of the work as well;
    what an agent's own model delegated is its own business."""
    ended = record.status in FINAL_STEP and record.status is not StepStatus.SUCCEEDED
    if not ended or record.step.kind is not StepKind.WORK:
        return False
    parent = parents.get(record.step.parent) if record.step.parent is not None else None
    return record.step.parent is None or (
        parent is not None and parent.step.agent == COORDINATOR and not _lacks_nothing(parent)
    )


def _lacks_nothing(record: StepRecord) -> bool:
    """Whether it is a pattern that planned until nothing was missing: that makes up for what failed before."""
    data = record.result.data if record.step.agent == COORDINATOR and record.result else None
    return isinstance(data, dict) and data.get("missing") == ""


def _missing(record: StepRecord, why: Failure | None) -> Missing:
    return Missing(
        step=record.step.id,
        description=record.step.description,
        status=record.status,
        code=why.code if why else record.status.value,
        message=why.message if why else "it has no result",
    )
