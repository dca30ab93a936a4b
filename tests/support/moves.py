"""All doors of one store in one hand, with shortcuts that bring a job where a test wants it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from tasks.events import JobEvent
from tasks.ids import AttemptRef, JobId, StepId, partition_of
from tasks.models import Claim, Failure, Join, StepResult
from tasks.states import StepStatus, TaskStatus
from tasks.store import (
    AccountStore,
    AttemptStore,
    DeadStore,
    Entry,
    EventStore,
    FleetStore,
    JobStore,
    NewStep,
    Notice,
    Outbox,
    Snapshots,
    Store,
)
from tasks.usage import Usage
from tests.support.builders import BAD, COST, OUT_OF_LUCK, PARTITION, RESULT, WORKER, a_graph, a_job, a_planning_step
from tests.support.waiting import wait_until

NO_WAIT = timedelta(0)


class Moves:
    """Every move there is."""

    def __init__(self, store: Store, consumer: str = "test") -> None:
        self.store = store
        self.redis = cast(Any, store.redis)
        self.jobs = JobStore(store)
        self.attempts = AttemptStore(store)
        self.accounts = AccountStore(store)
        self.events = EventStore(store)
        self.fleet = FleetStore(store)
        self.snapshots = Snapshots(store)
        self.outbox = Outbox(store, consumer)
        self.dead = DeadStore(store)

    async def submitted(self, **fields: Any) -> JobId:
        """A job with its planning step ready."""
        return await self.jobs.submit(a_job(**fields), a_planning_step())

    async def planned(
        self,
        needs: Mapping[str, Sequence[str]],
        *,
        joins: Mapping[str, Join] | None = None,
        each: Mapping[str, Mapping[str, Any]] | None = None,
        **fields: Any,
    ) -> JobId:
        """A job whose plan was accepted; its control entries are gone but those of its first steps."""
        job = await self.jobs.submit(a_job(**fields), None)
        await self.outbox.done(PARTITION, await self.entries())
        assert await self.extend(job, a_graph(needs, joins=joins, each=each))
        return job

    async def extend(self, job: JobId, steps: Sequence[NewStep], revision: int = 0) -> bool:
        """Accept a plan."""
        return await self.jobs.extend(
            job, revision, steps, status=TaskStatus.IN_PROGRESS, event="plan_accepted", data='{"steps":[]}'
        )

    async def entries(self, partition: int = PARTITION) -> list[Entry]:
        """New control entries."""
        return await self.outbox.read(partition, count=1000, block=NO_WAIT)

    async def asked_for(self, notice: Notice) -> list[AttemptRef]:
        """What new control entries of one kind are about; all new entries are deleted."""
        entries = await self.entries()
        await self.outbox.done(PARTITION, entries)
        return [entry.ref for entry in entries if entry.notice is notice]

    async def dispatched(self, job: JobId, step: str, attempt: int = 1) -> AttemptRef:
        """A ready step's attempt, its message published."""
        ref = AttemptRef(job, StepId(step), attempt)
        assert (await self.jobs.dispatch(partition_of(job), [ref]))[0] is not None
        return ref

    async def running(self, job: JobId, step: str, attempt: int = 1) -> AttemptRef:
        """A ready step's attempt, claimed."""
        ref = await self.dispatched(job, step, attempt)
        assert await self.claim(ref) is not None
        return ref

    async def claim(self, ref: AttemptRef) -> Claim | None:
        """Claim for the test's worker."""
        return await self.attempts.claim(ref, WORKER)

    async def succeed(self, job: JobId, step: str, text: str = RESULT.text, usage: Usage = COST) -> None:
        """Run a ready step's first attempt to its result."""
        ref = await self.running(job, step)
        assert await self.attempts.succeed(ref, StepResult(text=text), usage) is None

    async def faltered(self, job: JobId, step: str, attempt: int = 1, failure: Failure = BAD) -> AttemptRef:
        """Run a ready step's attempt to a failure that nobody has decided about."""
        ref = await self.running(job, step, attempt)
        assert await self.attempts.fail(ref, failure, COST) is None
        return ref

    async def fail(self, job: JobId, step: str, failure: Failure = OUT_OF_LUCK) -> None:
        """Let a ready step fail for good."""
        assert await self.jobs.give_up(await self.faltered(job, step), failure)

    async def reopen(self, job: JobId, *steps: str) -> None:
        """Retry steps by hand that were given up."""
        record = await self.snapshots.job(job)
        await self.dead.reopen(record, [one for one in record.steps if one.step.id in steps])

    async def status(self, job: JobId, step: str) -> StepStatus:
        """Where a step stands."""
        return StepStatus(await self.field(job, f"s:{step}", ":steps"))

    async def wait_for(self, job: JobId, step: str, status: StepStatus, *, attempt: int = 1) -> None:
        """Wait until a step's attempt stands there."""

        async def there() -> bool:
            record = await self.snapshots.step(job, step)
            return record is not None and (record.status, record.attempt) == (status, attempt)

        await wait_until(there)

    async def lost(self, job: JobId, step: str) -> None:
        """Let a running attempt's worker have been silent for too long."""
        await self.make_due(job, step)
        await self.jobs.sweep(partition_of(job))

    async def field(self, job: JobId, name: str, part: str = "") -> str:
        """A field of one of the job's hashes; empty when it is not there."""
        return await self.redis.hget(self.store.keys.job(job) + part, name) or ""

    async def make_due(self, job: JobId, step: str | None = None) -> None:
        """Let a timer's time have come: the lease of a step, its retry, or the job's deadline."""
        member = job if step is None else f"{job}:{step}"
        timers = self.store.keys.timers(partition_of(job))
        assert await self.redis.zscore(timers, member) is not None
        await self.redis.zadd(timers, {member: 1})

    async def timers(self) -> dict[str, float]:
        """All timers."""
        return dict(await self.redis.zrange(self.store.keys.timers(PARTITION), 0, -1, withscores=True))

    async def told(self, job: JobId, after: int = 0) -> list[JobEvent]:
        """The job's events."""
        return await self.events.read(job, after)

    async def kinds(self, job: JobId, after: int = 0) -> list[str]:
        """The types of the job's events."""
        return [event.type for event in await self.told(job, after)]

    async def everything(self, job: JobId) -> dict[str, Any]:
        """All that is stored of a job, to see that nothing has changed."""
        key = self.store.keys.job(job)
        parts = {part: await self.redis.hgetall(key + part) for part in ("", ":steps", ":specs", ":results")}
        return {
            **parts,
            "events": await self.redis.xlen(f"{key}:events"),
            "control": await self.outbox.waiting(partition_of(job)),
            "timers": await self.timers(),
        }
