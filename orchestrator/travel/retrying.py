"""The failed part of a job: what of it is tried again, or why nothing is. Pure."""

from tasks.errors import NotDead
from tasks.ids import PLAN_STEP, SYNTHESIS_STEP, StepId
from tasks.models import StepKind
from tasks.states import StepStatus, TaskStatus
from tasks.store import JobRecord


def to_retry(record: JobRecord) -> tuple[StepId, ...]:
    """Steps that were given up. What a failed step had delegated is not among them: it is delegated anew.

    Raises:
        NotDead: there are none, or the job was cancelled.
    """
    job, status = record.spec.id, record.status
    failed = tuple(one.step.id for one in record.steps if one.status is StepStatus.FAILED and one.step.parent is None)
    if status is TaskStatus.CANCELLED:
        raise NotDead(f"job {job} was cancelled, and stays so; {_on(record)}")
    if failed:
        return failed
    if status is TaskStatus.COMPLETED:
        raise NotDead(f"job {job} has completed and no step of it failed; there is nothing to retry")
    if not record.final:
        raise NotDead(f"job {job} is {status.value} and no step of it has failed; there is nothing to retry yet")
    reason = record.failure.code if record.failure else "no reason was stored"
    raise NotDead(f"job {job} failed ({reason}), but no step of it did; {_on(record)}")


def _on(record: JobRecord) -> str:
    """What does what is left."""
    work = [one for one in record.steps if one.step.kind is StepKind.WORK and one.step.parent is None]
    left = [one.step.id for one in work if one.status is not StepStatus.SUCCEEDED]
    first = left[0] if left else SYNTHESIS_STEP if work else PLAN_STEP
    return f"go on from there with `troupe fork {record.spec.id} --from {first}`" if record.steps else "submit it anew"
