"""What is told of a job that has ended: facts only, no task and no answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tasks.models import Attempt, AttemptOutcome, StepKind
from tasks.states import TaskStatus
from tasks.store import JobRecord, StepRecord
from tasks.telemetry import conventions as names
from tasks.telemetry.conventions import Value, sum_attributes
from tasks.telemetry.tracing import workflow_attributes, workflow_name
from tasks.trace_ids import span_id_of


@dataclass(frozen=True, slots=True)
class Told:
    """One span."""

    id: str
    parent: str | None
    """None: of the job itself."""
    name: str
    attributes: dict[str, Value]
    begun: datetime
    ended: datetime
    error: str | None = None
    links: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.begun).total_seconds()


def told_of(record: JobRecord) -> list[Told]:
    """The span of an ended job, then those of its attempts whose workers died."""
    ended = record.finished_at or record.created_at
    attributes: dict[str, Value] = {
        **workflow_attributes(),
        names.JOB: record.spec.id,
        names.JOB_STATUS: record.status.value,
        names.TENANT: record.spec.tenant,
        names.STEPS: len(record.steps),
        **sum_attributes(record.ledger.total),
    }
    if record.spec.session is not None:
        attributes[names.CONVERSATION] = record.spec.session
    error = None
    if record.status is TaskStatus.FAILED:
        error = record.failure.code if record.failure is not None else names.OTHER
    job = Told(span_id_of(record.spec.id), None, workflow_name(), attributes, record.created_at, ended, error)
    return [job, *_lost(record)]


def _lost(record: JobRecord) -> Iterator[Told]:
    steps = {step.step.id: step for step in record.steps}
    for step in record.steps:
        for attempt in step.attempts:
            if attempt.outcome is AttemptOutcome.LOST and attempt.started_at is not None:
                parent = steps.get(step.step.parent) if step.step.parent is not None else None
                yield _lost_attempt(record, step, attempt, attempt.started_at, parent)


def _lost_attempt(
    record: JobRecord, step: StepRecord, attempt: Attempt, begun: datetime, parent: StepRecord | None
) -> Told:
    operation = names.PLAN if step.step.kind is StepKind.PLAN else names.INVOKE_AGENT
    attributes: dict[str, Value] = {
        names.OPERATION: operation,
        names.AGENT: step.step.agent,
        names.AGENT_VERSION: step.step.version,
        names.JOB: record.spec.id,
        names.STEP: step.step.id,
        names.ATTEMPT: attempt.number,
        names.QUEUE: step.step.queue,
        names.TENANT: record.spec.tenant,
        names.OUTCOME: attempt.outcome.value,
    }
    if attempt.worker is not None:
        attributes[names.WORKER] = attempt.worker
    above = span_id_of(record.spec.id)
    if parent is not None and (delegating := _parked_before(parent, begun)):
        above = span_id_of(record.spec.id, parent.step.id, str(delegating))
    return Told(
        span_id_of(record.spec.id, step.step.id, str(attempt.number)),
        above,
        f"{operation} {step.step.agent}",
        attributes,
        begun,
        attempt.finished_at,
        names.LOST,
    )


def _parked_before(step: StepRecord, at: datetime) -> int:
    """The attempt of a step that had delegated when a child of it began."""
    parked = [one for one in step.attempts if one.outcome is AttemptOutcome.PARKED and one.finished_at <= at]
    return parked[-1].number if parked else 0
