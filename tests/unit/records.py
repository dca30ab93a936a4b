"""Jobs and steps as stored, for tests of what is made of them."""

from datetime import UTC, datetime
from typing import Any

from tasks.ids import JobId, StepId, WorkerName
from tasks.models import Attempt, AttemptOutcome, Failure, JobSpec, Step, StepKind
from tasks.states import StepStatus, TaskStatus
from tasks.store import JobRecord, StepRecord
from tasks.usage import Usage

JOB = JobId("j0123456789abcdefgh3")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_attempt(number: int, failure: Failure | None = None, *, cost: int = 0) -> Attempt:
    return Attempt(
        step=StepId("find"),
        number=number,
        outcome=AttemptOutcome.SUCCEEDED if failure is None else AttemptOutcome.FAILED,
        worker=WorkerName("w"),
        finished_at=AT,
        usage=Usage(requests=1, cost_microusd=cost),
        failure=failure,
    )


def make_step(name: str, status: StepStatus, kind: StepKind = StepKind.WORK, **values: Any) -> StepRecord:
    facts: dict[str, Any] = {
        "attempt": 1, "failures": 0, "losses": 0, "worker": "w", "started_at": AT, "finished_at": AT, "result": None,
        "failure": None, "attempts": (), **values,
    }  # fmt: skip
    needs = facts.pop("needs", ())
    step = Step(id=StepId(name), kind=kind, description=f"Do {name}.", agent="search", queue="search", depends_on=needs)
    return StepRecord(step=step, status=status, **facts)


def make_job(status: TaskStatus, *steps: StepRecord, failure: Failure | None = None) -> JobRecord:
    spec = JobSpec(id=JOB, task="Why?", model="asked-for")
    return JobRecord(
        spec=spec, status=status, revision=1, seq=9, created_at=AT, started_at=AT, finished_at=AT, failure=failure,
        steps=steps,
    )  # fmt: skip
