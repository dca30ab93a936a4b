"""Steps that were given up: listed until their jobs are gone, retried or dropped by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from tasks.errors import NotDead, UnknownJob
from tasks.ids import JobId, StepId, partition_of
from tasks.models import JobSpec
from tasks.states import Move, sources
from tasks.store.failures import translated
from tasks.store.jobs import fleet_full
from tasks.store.scripts import REOPEN
from tasks.store.snapshot import JobRecord, StepRecord
from tasks.store.store import Store

Dead = tuple[JobId, StepId, datetime]
"""Job, step, and when it was given up."""


class DeadStore:
    """The list of the dead."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def newest(self, limit: int) -> list[Dead]:
        """The steps that were given up last, newest first; jobs among them may be gone."""
        found: list[Dead] = []
        async with translated(self.store.settings):
            for partition in range(self.store.settings.partitions):
                reply: object = await cast(Any, self.store.redis).zrange(
                    self.store.keys.dead(partition), 0, limit - 1, desc=True, withscores=True
                )
                found += [_read(member, float(at)) for member, at in cast("list[tuple[str, str]]", reply)]
        return sorted(found, key=lambda one: one[2], reverse=True)[:limit]

    async def died_at(self, job: JobId, step: str) -> datetime | None:
        """When a step was given up; None when it is not in the list."""
        async with translated(self.store.settings):
            at = await cast(Any, self.store.redis).zscore(self.store.keys.dead(partition_of(job)), f"{job}:{step}")
        return None if at is None else _time(float(at))

    async def drop(self, job: JobId, step: str) -> bool:
        """Take a step off the list, and leave it as it is; False when it is not there."""
        async with translated(self.store.settings):
            return bool(
                await cast(Any, self.store.redis).zrem(self.store.keys.dead(partition_of(job)), f"{job}:{step}")
            )

    async def reopen(self, record: JobRecord, steps: Sequence[StepRecord], *, open_jobs: int | None = None) -> None:
        """Try steps of one job again that were given up, with fresh counts, also when the job has ended since.

        What waited for them, or was done without them, waits again; the answer is written anew. A job that had ended
        goes on with its original timeout from now. A second call about the same attempts is refused.

        Args:
            open_jobs: As for `JobStore.submit`.

        Raises:
            NotDead: a step was not given up or was retried before, all were done for other steps, or the job was
                cancelled, is writing its answer, or could not use the results.
            UnknownJob: past its retention.
            FleetFull: the job has ended, and as many jobs are open as may be; carries retry_after.
            StoreFull: the store takes no new work.
        """
        spec = record.spec
        partition = partition_of(spec.id)
        key = self.store.keys.job(spec.id)
        if spec.idempotency_key is not None:
            key = self.store.keys.idempotency(partition, spec.idempotency_key)
        settings = self.store.settings
        args = [sources(Move.REOPEN), sources(Move.RESTORE), spec.id, spec.timeout_ms]
        args += [settings.max_open_jobs, settings.max_open_jobs_of_tenant if open_jobs is None else open_jobs]
        for one in steps:
            args += [one.step.id, one.attempt]
        reply = str(await self.store.move(REOPEN, partition, args, key=key, accepts=True))
        if reply:
            raise _refusal(spec, reply)


def _refusal(spec: JobSpec, reply: str) -> Exception:
    job = spec.id
    reason, _, step = reply.partition(" ")
    match reason:
        case "gone":
            return UnknownJob(f"there is no job {job!r} here: past its retention")
        case "cancelled":
            return NotDead(f"job {job} was cancelled; submit it anew")
        case "full":
            return fleet_full(step, spec.tenant)
        case "closing":
            return NotDead(f"job {job} is writing its answer; retry when it has ended")
        case "not_dead":
            return NotDead(f"step {step!r} of job {job} is not given up, or is being retried already")
        case "child":
            return NotDead(f"step {step!r} of job {job} was done for another step: retry that one, if it was given up")
        case _:
            return NotDead(
                f"job {job} could not use the result: another step that is needed with it was given up too; retry both"
            )


def _read(member: str, at: float) -> Dead:
    job, _, step = member.partition(":")
    return JobId(job), StepId(step), _time(at)


def _time(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
