"""The list of the dead: steps that were given up, to be looked at, retried or dropped by hand."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from orchestrator.people import Keep
from orchestrator.report import failure
from tasks.errors import DamagedRecord, IncompatibleVersion, NotDead, UnknownJob
from tasks.ids import JobId, StepId, parse_job_id
from tasks.models import Failure
from tasks.results import DeadStep, ErrorReport
from tasks.states import StepStatus
from tasks.store import DeadStore, JobRecord, Snapshots, StepRecord, Store

MOST: Final = 10_000
"""Steps that are looked at where only those of some jobs are wanted."""
UNKNOWN: Final = Failure(code="unknown", message="no reason was stored")


class AsyncDeadList:
    """Steps that were given up, of all jobs that are still kept."""

    def __init__(self, store: Store, keep: Keep | None = None) -> None:
        """Connect to nothing yet.

        Args:
            keep: `list` has steps of these jobs only, of the last 10,000 that were given up.
        """
        self._keep = keep
        self._snapshots = Snapshots(store)
        self._dead = DeadStore(store)

    async def list(self, limit: int = 100) -> list[DeadStep]:
        """The steps that were given up last, newest first. Jobs that this release cannot read are left out.

        Raises:
            StoreUnavailable: no answer in time.
        """
        found: list[DeadStep] = []
        jobs: dict[JobId, JobRecord | None] = {}
        unreadable: set[JobId] = set()
        newest = await self._dead.newest(limit if self._keep is None else MOST)
        if self._keep is not None:
            kept = await self._keep({job for job, _, _ in newest})
            newest = [one for one in newest if one[0] in kept][:limit]
        for job, step, died_at in newest:
            if job not in jobs:
                try:
                    jobs[job] = await self._job(job)
                except (IncompatibleVersion, DamagedRecord):
                    unreadable.add(job)
                    jobs[job] = None
            if job in unreadable:
                continue
            record = jobs[job]
            one = _find(record, step) if record is not None else None
            if record is None or one is None or one.status is not StepStatus.FAILED:
                await self._dead.drop(job, step)
            else:
                found.append(_dead(record, one, died_at))
        return found

    async def show(self, job: str, step: str) -> DeadStep:
        """One step that was given up.

        Raises:
            UnknownJob: never submitted here, or past its retention.
            NotDead: the step was not given up, was retried, or dropped.
        """
        record = await self._snapshots.job(parse_job_id(job))
        died_at = await self._dead.died_at(record.spec.id, step)
        one = _find(record, step)
        if one is None or died_at is None:
            raise NotDead(f"step {step!r} of job {job} is not in the dead list: see troupe dead list")
        return _dead(record, one, died_at)

    async def retry(self, job: str, *steps: str) -> None:
        """Try steps of one job again, with fresh counts, also when the job has ended since.

        The job goes on, with its original timeout from now; what waited for the steps, or was done without them, is
        done after them, and the answer is written anew. A second call is refused.

        Raises:
            UnknownJob: never submitted here, or past its retention.
            NotDead: a step was not given up or is being retried; or the job was cancelled, is writing its answer, or
                could not use the results.
            FleetFull: the job has ended, and as many jobs are open as may be; carries retry_after.
        """
        record = await self._snapshots.job(parse_job_id(job))
        found: list[StepRecord] = []
        for step in dict.fromkeys(steps):
            one = _find(record, step)
            if one is None:
                raise NotDead(f"job {job} has no step {step!r}")
            found.append(one)
        if found:
            await self._dead.reopen(record, found)

    async def drop(self, job: str, step: str) -> None:
        """Take a step off the list. It stays failed.

        Raises:
            NotDead: it is not in the list.
        """
        if not await self._dead.drop(parse_job_id(job), StepId(step)):
            raise NotDead(f"step {step!r} of job {job} is not in the dead list: see troupe dead list")

    async def _job(self, job: JobId) -> JobRecord | None:
        try:
            return await self._snapshots.job(job)
        except UnknownJob:
            return None


def by_job(found: Sequence[DeadStep]) -> dict[JobId, list[str]]:
    """Steps of the same job: retried together, for one may need the other."""
    jobs: dict[JobId, list[str]] = {}
    for one in found:
        jobs.setdefault(one.job_id, []).append(one.step)
    return jobs


def _find(record: JobRecord, step: str) -> StepRecord | None:
    return next((one for one in record.steps if one.step.id == step), None)


def _dead(record: JobRecord, one: StepRecord, died_at: datetime) -> DeadStep:
    return DeadStep(
        job_id=record.spec.id,
        step=one.step.id,
        task=record.spec.task,
        description=one.step.description,
        agent=one.step.agent,
        queue=one.step.queue,
        job_status=record.status,
        died_at=died_at,
        attempts=one.attempt - one.left_out,
        error=ErrorReport.of(failure(one) or UNKNOWN),
        history=one.attempts,
    )
