"""The whole of a job, read at one moment, and lists of jobs."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from tasks.errors import UnknownJob
from tasks.ids import JobId
from tasks.models import Attempt, Failure, JobSpec, Plan, Step, StepResult
from tasks.results import JobSummary, Standing
from tasks.states import FINAL_JOB, StepStatus, TaskStatus
from tasks.store.accounts import read_ledger
from tasks.store.failures import translated
from tasks.store.listing import Place, page
from tasks.store.payload import whole
from tasks.store.reading import known, readable
from tasks.store.scripts import READ, READ_STEP
from tasks.store.store import Store
from tasks.tenancy import DEFAULT_TENANT
from tasks.usage import Ledger

Hash = dict[str, str]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step, as stored."""

    step: Step
    status: StepStatus
    attempt: int
    """Number of the last attempt."""
    failures: int
    losses: int
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None
    result: StepResult | None
    failure: Failure | None
    attempts: tuple[Attempt, ...]
    """Those that ended."""
    left_out: int = 0
    """Attempt numbers that were never used, one for each time that the step was begun anew."""
    found: StepResult | None = None
    """What it had found before it failed."""

    @property
    def reused(self) -> bool:
        """Whether its result is another job's: it succeeded without an attempt."""
        return self.status is StepStatus.SUCCEEDED and self.attempt == 0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job, as stored."""

    spec: JobSpec
    status: TaskStatus
    revision: int
    """How often its plan was extended or rejected."""
    seq: int
    """Number of its last event."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failure: Failure | None
    steps: tuple[StepRecord, ...]
    ledger: Ledger = field(default_factory=Ledger)
    """What it has consumed, call by call added up. Empty for a job of an older release."""
    held: tuple[str, ...] = ()
    """Steps that may not begin before the job is told to go on."""
    paused: bool = False
    """Whether nothing of it may."""

    @property
    def final(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in FINAL_JOB


class Snapshots:
    """Reads jobs."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def job(self, job: JobId) -> JobRecord:
        """All of a job, consistent in itself. O(steps).

        Raises:
            UnknownJob: never submitted here, or past its retention.
            IncompatibleVersion: written by a release that this one cannot read.
            DamagedRecord: no release can read it.
            StoreUnavailable: no answer in time.
        """
        key = self.store.keys.job(job)
        keys = [key, *(f"{key}:{part}" for part in ("steps", "specs", "results", "big", "ledger"))]
        async with translated(self.store.settings):
            reply = [_hash(flat) for flat in cast("list[list[str]]", await READ.run(self.store.redis, keys, []))]
        if not reply[0]:
            raise UnknownJob(f"there is no job {job!r} here: never submitted, or past its retention")
        job_hash, steps, specs, results, big, ledger = reply
        with readable(f"job {job}"):
            return _job(whole(job_hash, big), steps, specs, whole(results, big), read_ledger(ledger))

    async def step(self, job: JobId, step: str) -> StepRecord | None:
        """One step of a job; None when there is no such step. O(its attempts), however wide the plan.

        Raises:
            UnknownJob: never submitted here, or past its retention.
            IncompatibleVersion: written by a release that this one cannot read.
            DamagedRecord: no release can read it.
            StoreUnavailable: no answer in time.
        """
        key = self.store.keys.job(job)
        keys = [key, f"{key}:steps", f"{key}:specs", f"{key}:results", f"{key}:big"]
        async with translated(self.store.settings):
            reply = await READ_STEP.run(self.store.redis, keys, [step, *"sanxwtfu"])
        there, spec, facts, results, big = cast("tuple[int, str, list[str], list[str], list[str]]", reply)
        if not there:
            raise UnknownJob(f"there is no job {job!r} here: never submitted, or past its retention")
        with readable(f"step {step} of job {job}"):
            return _step(step, _hash(facts), spec, whole(_hash(results), _hash(big))) if spec else None

    async def status(self, job: JobId) -> tuple[TaskStatus, int]:
        """Status of a job and the number of its last event.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        async with translated(self.store.settings):
            status, seq = await self.store.redis.hmget(self.store.keys.job(job), ["status", "seq"])
        if status is None:
            raise UnknownJob(f"there is no job {job!r} here: never submitted, or past its retention")
        return known(TaskStatus, str(status)), int(seq or 0)

    async def standing(self, job: JobId) -> Standing:
        """Where a job stands, in one short read.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        async with translated(self.store.settings):
            names = ["status", "seq", "paused"]
            status, seq, paused = await self.store.redis.hmget(self.store.keys.job(job), names)
        if status is None:
            raise UnknownJob(f"there is no job {job!r} here: never submitted, or past its retention")
        found = known(TaskStatus, str(status))
        return Standing(job_id=job, status=found, last_event=int(seq or 0), paused=paused is not None)

    async def traceparent(self, job: JobId) -> str | None:
        """What the producer of a job was in: a W3C header; None: in nothing, or the job is gone.

        Raises:
            StoreUnavailable: no answer in time.
        """
        async with translated(self.store.settings):
            found = await self.store.redis.hget(self.store.keys.job(job), "trace")
        return str(found) if found else None

    async def tenant(self, job: JobId) -> str | None:
        """On whose behalf a job is; None when it is not here."""
        async with translated(self.store.settings):
            found = await self.store.redis.hmget(self.store.keys.job(job), ["status", "tenant"])
        return None if found[0] is None else str(found[1] or DEFAULT_TENANT)

    async def tenants(self, jobs: Collection[JobId]) -> dict[JobId, str]:
        """On whose behalf some jobs are; those that are not here are left out. One round trip."""
        wanted = list(dict.fromkeys(jobs))
        if not wanted:
            return {}
        async with translated(self.store.settings), self.store.redis.pipeline(transaction=False) as pipe:
            for job in wanted:
                _ = pipe.hmget(self.store.keys.job(job), ["status", "tenant"])
            rows = cast("list[list[str | None]]", await pipe.execute())
        found = zip(wanted, rows, strict=True)
        return {job: tenant or DEFAULT_TENANT for job, (status, tenant) in found if status is not None}

    async def jobs(self, limit: int) -> list[JobSummary]:
        """The newest jobs of all partitions, newest first. Those of a status that only a later release knows are left
        out, as are damaged ones: they are not to hide the others."""
        return (await page(self.store, None, None, limit))[0]

    async def page(
        self, *, tenant: str | None, before: Place | None, limit: int
    ) -> tuple[list[JobSummary], Place | None]:
        """A page of the list of jobs, newest first; of one that is reopened meanwhile, which is then the newest, a
        later page may know nothing. What is left out of `jobs` is left out here, so a page may be shorter than the
        limit, or empty, although more pages follow.

        Args:
            tenant: Only its jobs; all unless given.
            before: Behind where the page before ended; None: from the newest on.

        Returns:
            The jobs, and where to go on; None: that was all.
        """
        return await page(self.store, tenant, before, limit)


def _hash(flat: list[str]) -> Hash:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _job(job: Hash, steps: Hash, specs: Hash, results: Hash, ledger: Ledger) -> JobRecord:
    failure = job.get("failure")
    return JobRecord(
        spec=_spec(job),
        status=known(TaskStatus, job["status"]),
        revision=int(job["revision"]),
        seq=int(job["seq"]),
        created_at=_time(job["created"]) or datetime.fromtimestamp(0, UTC),
        started_at=_time(job.get("started")),
        finished_at=_time(job.get("finished")),
        failure=Failure.model_validate_json(failure) if failure else None,
        steps=tuple(_step(step, steps, specs[step], results) for step in job["order"].split()),
        ledger=ledger,
        held=tuple(job.get("held", "").split()),
        paused="paused" in job,
    )


def _spec(job: Hash) -> JobSpec:
    """The spec, with the given plan as long as that was not accepted."""
    spec = JobSpec.model_validate_json(job["spec"])
    plan = job.get("plan")
    return spec if plan is None else spec.model_copy(update={"plan": Plan.model_validate_json(plan)})


def _step(step: str, steps: Hash, spec: str, results: Hash) -> StepRecord:
    result, failure, found = (results.get(f"{kind}:{step}") for kind in "rfp")
    attempt = int(steps.get(f"a:{step}", "0"))
    return StepRecord(
        step=Step.model_validate_json(spec),
        status=known(StepStatus, steps[f"s:{step}"]),
        attempt=attempt,
        left_out=int(steps.get(f"u:{step}", "0")),
        failures=int(steps.get(f"n:{step}", "0")),
        losses=int(steps.get(f"x:{step}", "0")),
        worker=steps.get(f"w:{step}"),
        started_at=_time(steps.get(f"t:{step}")),
        finished_at=_time(steps.get(f"f:{step}")),
        result=StepResult.model_validate_json(result) if result else None,
        failure=Failure.model_validate_json(failure) if failure else None,
        attempts=tuple(_attempts(step, attempt, results)),
        found=StepResult.model_validate_json(found) if found else None,
    )


def _attempts(step: str, last: int, results: Hash) -> Iterator[Attempt]:
    for number in range(1, last + 1):
        record = results.get(f"a:{step}:{number}")
        if record is not None:
            yield Attempt.model_validate_json(record)


def _time(milliseconds: str | None) -> datetime | None:
    return None if not milliseconds else datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
