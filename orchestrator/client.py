"""The producer's client, asynchronous: submit jobs, follow them, get their results. One round trip a submit."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from pathlib import Path
from random import randrange
from types import TracebackType
from typing import Final, Self, TypeVar
from zlib import crc32

from pydantic import SecretStr

from orchestrator.dead import AsyncDeadList
from orchestrator.people import AsyncPeople
from orchestrator.place import store_settings
from orchestrator.planning.check import first_step
from orchestrator.recording import Recording
from orchestrator.recording.taking import submit_replay, take
from orchestrator.report import report
from orchestrator.request import job_spec, length_of
from orchestrator.settings import OrchestratorSettings
from orchestrator.statistics import DAY, fleet_statistics, length, tool_reports
from tasks.errors import (
    JobCancelled,
    JobFailed,
    ResultTimeout,
    StoreUnavailable,
    UnknownJob,
)
from tasks.events import JobEvent, ends_job
from tasks.ids import JobId, new_job_id, parse_job_id
from tasks.models import (
    DEFAULT_TIMEOUT,
    AgentDefinition,
    Failure,
    JobSummary,
    OrchestratorPresence,
    Plan,
    WorkerPresence,
)
from tasks.queues import BUILT_IN
from tasks.results import JobResult, LedgerReport
from tasks.settings import StoreSettings, read_settings
from tasks.signing import SigningSettings
from tasks.states import FINAL_JOB, TaskStatus
from tasks.store import Endings, EventStore, FleetStore, JobStore, Pruned, Pruning, Snapshots, Store, ToolStats
from tasks.store.endings import until
from tasks.tool_figures import FleetStatistics, ToolReport
from tasks.usage import Budget

T = TypeVar("T")

CANCELLED: Final = Failure(code="job_cancelled", message="cancelled on request")
WAIT: Final = timedelta(seconds=2)
"""Longest single wait for an event."""
PATIENCE: Final = timedelta(seconds=60)
"""Longest outage of the store that a waiting client sits out."""
PAUSE_S: Final = 0.5
"""Wait between two looks at a store that is away."""
LOOK_AGAIN: Final = timedelta(seconds=5)
"""How often a waited-for job is looked at, whatever was or was not heard of it."""


class AsyncTroupe:
    """A producer's connection to a fleet. Use it in one event loop; connects with its first call.

    Without a URL it is the fleet that TROUPE_REDIS_URL names, else the `troupe up` that runs on this machine, else the
    one at Redis' usual port.
    """

    def __init__(self, redis_url: str | None = None, *, settings: StoreSettings | None = None) -> None:
        if settings is None:
            named = redis_url is not None
            settings = read_settings(StoreSettings, redis_url=SecretStr(redis_url)) if named else store_settings()
        self.settings = settings
        self.limits = read_settings(OrchestratorSettings)
        self._store = Store(settings)
        self._jobs = JobStore(self._store)
        self._snapshots = Snapshots(self._store)
        self._events = EventStore(self._store)
        self._fleet = FleetStore(self._store)
        self._endings = Endings(self._store)
        self.dead = AsyncDeadList(self._store)
        """Steps that were given up, to be looked at, retried or dropped by hand."""

    @property
    def people(self) -> AsyncPeople:
        """What steps ask people, and wait for: to be approved, denied and answered.

        Raises:
            BadSetting: the secret that approvals are signed with cannot be had.
        """
        return AsyncPeople(self._store, read_settings(SigningSettings).read())

    async def submit(
        self,
        task: str,
        *,
        model: str | None = None,
        knowledge: Sequence[str] = (),
        data: Sequence[str | Path] = (),
        plan: Plan | None = None,
        budget_usd: float | None = None,
        budget: Budget | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        idempotency_key: str | None = None,
        tenant: str = "default",
        priority: int = 5,
        max_in_flight: int | None = None,
    ) -> "AsyncJobHandle":
        """Submit a job; it is accepted when this returns, and reaches a final status whatever happens.

        Args:
            model: Model for all its agents; the workers' own setting unless given.
            knowledge: Knowledge bases to search; `default` unless given.
            data: Data files that its agents may query; the workers must see them under the same absolute paths.
            plan: Steps to run as they are; no planner is asked.
            budget_usd: The most that its model calls may cost, in dollars; a tenth of it is kept for the answer.
            budget: Further limits: tokens, model calls, tool calls.
            timeout: Seconds (or a timedelta) from now after which it fails.
            idempotency_key: A second submit with the same key and request returns the first job.
            tenant: On whose behalf; limits and fair shares are counted by it.
            priority: 0 to 9: its share of free slots while others wait too, doubled by each point.
            max_in_flight: Steps of it that may be dispatched or running at once.

        Raises:
            InvalidTask: empty, or longer than 100,000 characters.
            ContractError: another argument is wrong.
            IdempotencyConflict: the key was used for a different request.
            FleetFull: as many jobs are open as may be; carries retry_after.
            StoreUnavailable: no answer in time.
        """
        spec = job_spec(
            new_job_id(self._partition(idempotency_key)),
            task,
            model=model,
            knowledge=knowledge,
            data=data,
            plan=plan,
            budget_usd=budget_usd,
            budget=budget,
            timeout=timeout,
            idempotency_key=idempotency_key,
            tenant=tenant,
            priority=priority,
            max_in_flight=max_in_flight,
        )
        first = None if plan is not None else first_step(spec.task, BUILT_IN, self.limits)
        return AsyncJobHandle(self, await self._jobs.submit(spec, first))

    async def replay(self, recording: Recording, *, timeout: float | timedelta = DEFAULT_TIMEOUT) -> "AsyncJobHandle":
        """Submit the replay of a recorded job: neither models nor tools are called, plain code of agents is run.

        `recording.difference` tells whether its outcome is what was recorded.

        Args:
            timeout: Seconds (or a timedelta) from now after which it fails; limits and budgets of the recorded job do
                not hold.

        Raises:
            BadRecording: it holds no job that can be submitted.
            FleetFull, StoreUnavailable: as `submit` does.
        """
        job = new_job_id(self._partition(None))
        return AsyncJobHandle(self, await submit_replay(self._store, recording, job, length_of(timeout), self.limits))

    def job(self, job_id: str) -> "AsyncJobHandle":
        """A handle on a job that was submitted before, here or elsewhere.

        Raises:
            InvalidId: it has not the form of a job id.
        """
        return AsyncJobHandle(self, parse_job_id(job_id))

    async def jobs(self, limit: int = 20) -> list[JobSummary]:
        """The newest jobs, newest first."""
        return await self._snapshots.jobs(limit)

    async def prune(
        self,
        older_than: float | timedelta,
        statuses: Collection[TaskStatus] = FINAL_JOB,
        *,
        dry_run: bool = False,
        progress: Callable[[Pruned], None] | None = None,
    ) -> int:
        """Forget jobs that have ended, before their retention is over. Open ones stay, whatever is asked.

        Args:
            older_than: Seconds (or a timedelta) that a job must have been over for.
            dry_run: Only count.
            progress: Called after every hundred jobs.

        Returns:
            How many were forgotten, or would have been.

        Raises:
            ContractError: a status that is not final, or a negative age.
        """
        age = older_than if isinstance(older_than, timedelta) else timedelta(seconds=older_than)
        last = Pruned(0, 0)
        async for last in Pruning(self._store).run(age, statuses, dry_run=dry_run):
            if progress is not None:
                progress(last)
        return last.forgotten

    async def workers(self) -> list[WorkerPresence]:
        """Living workers."""
        return await self._fleet.workers()

    async def orchestrators(self) -> list[OrchestratorPresence]:
        """Living orchestrators."""
        return await self._fleet.orchestrators()

    async def agents(self) -> list[AgentDefinition]:
        """Agents of living workers."""
        return await self._fleet.agents()

    async def tools(self, since: float | timedelta = DAY) -> list[ToolReport]:
        """Tools of living workers, with their limits and how their calls went since then.

        Args:
            since: Seconds (or a timedelta) back from now; counts are kept for 7 days.

        Raises:
            ContractError: `since` is not above 0, or above 7 days.
        """
        counted = await ToolStats(self._store).read(length(since))
        return tool_reports(await self._fleet.tools(), counted)

    async def stats(self, since: float | timedelta = DAY) -> FleetStatistics:
        """What the fleet did since then: see `tools`."""
        return fleet_statistics(await ToolStats(self._store).read(length(since)))

    async def close(self) -> None:
        """Give the connections back."""
        await self._endings.close()
        await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _partition(self, idempotency_key: str | None) -> int:
        """Any partition; with a key always the same one, where the key is remembered."""
        count = self.settings.partitions
        return randrange(count) if idempotency_key is None else crc32(idempotency_key.encode()) % count


class AsyncJobHandle:
    """One job."""

    def __init__(self, troupe: AsyncTroupe, job_id: JobId) -> None:
        self._troupe = troupe
        self.id = job_id

    def __repr__(self) -> str:
        return f"<job {self.id}>"

    async def status(self) -> TaskStatus:
        """Where the job stands.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        status, _ = await self._troupe._snapshots.status(self.id)  # pyright: ignore[reportPrivateUsage]
        return status

    async def snapshot(self) -> JobResult:
        """All that is known of the job now, final or not.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        return report(await self._troupe._snapshots.job(self.id))  # pyright: ignore[reportPrivateUsage]

    async def wait(self, timeout: float | None = None) -> JobResult:
        """The job's outcome, as soon as it is final, whatever it is.

        Raises:
            ResultTimeout: not final within `timeout` seconds; also a TimeoutError. The job goes on.
            StoreUnavailable: the store was away for a minute, or at the end of `timeout`.
            UnknownJob: never submitted here, or past its retention.
        """
        snapshots, endings = self._troupe._snapshots, self._troupe._endings  # pyright: ignore[reportPrivateUsage]
        end = None if timeout is None else time.monotonic() + timeout
        ended = endings.watch(self.id)
        try:
            await endings.placed(self.id)
            status, _ = await snapshots.status(self.id)  # a store that is away from the start is said at once
            while status not in FINAL_JOB:
                left = LOOK_AGAIN if end is None else timedelta(seconds=end - time.monotonic())
                if left <= timedelta(0):
                    raise ResultTimeout(f"job {self.id} is still {status.value} after {timeout:g} s; it goes on")
                await until(ended, min(left, LOOK_AGAIN))
                status, _ = await patiently(lambda: snapshots.status(self.id), end)
        finally:
            ended.cancel()
        return await patiently(self.snapshot, end)

    async def result(self, timeout: float | None = None) -> JobResult:
        """The job's outcome, once it has completed.

        Raises:
            JobFailed, JobCancelled: it ended without an answer; `wait` returns the details.
            ResultTimeout: not final within `timeout` seconds; also a TimeoutError. The job goes on.
            UnknownJob: never submitted here, or past its retention.
        """
        outcome = await self.wait(timeout)
        if outcome.status is TaskStatus.COMPLETED:
            return outcome
        reason = f"{outcome.error.code}: {outcome.error.message}" if outcome.error else "no reason was stored"
        kind = JobCancelled if outcome.status is TaskStatus.CANCELLED else JobFailed
        raise kind(f"job {self.id}: {reason}")

    async def ledger(self) -> LedgerReport:
        """What the job has consumed until now, by step, agent and model: killed and repeated attempts included.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        record = await self._troupe._snapshots.job(self.id)  # pyright: ignore[reportPrivateUsage]
        return LedgerReport.of(self.id, record.ledger)

    async def events(self, since: int = 0) -> AsyncIterator[JobEvent]:
        """Events with a number above `since`, in order, until the job's last one; waits for those to come.

        Raises:
            StoreUnavailable: the store was away for a minute; go on later with the last number seen.
            UnknownJob: never submitted here, or past its retention.
        """
        snapshots, events = self._troupe._snapshots, self._troupe._events  # pyright: ignore[reportPrivateUsage]
        status, last = await snapshots.status(self.id)
        seen = since
        while status not in FINAL_JOB or seen < last:
            batch = await patiently(lambda after=seen: events.read(self.id, after, wait=WAIT))
            for event in batch:
                yield event
                seen = event.seq
                if ends_job(event):
                    status, last = await patiently(lambda: snapshots.status(self.id))
                    if status in FINAL_JOB and seen >= last:
                        return  # else it was reopened: there is more
            if not batch:
                status, last = await patiently(lambda: snapshots.status(self.id))

    async def record(self) -> Recording:
        """All that models and tools said in the job, now that it has ended, to be written to a file and replayed.

        Raises:
            BadRecording: it has not ended, was ended from outside, or its exchanges are not known whole.
            UnknownJob: never submitted here, or past its retention.
        """
        return await take(self._troupe._store, self.id)  # pyright: ignore[reportPrivateUsage]

    async def cancel(self) -> TaskStatus:
        """Cancel the job on all workers. A job that is final stays what it is.

        Returns:
            The job's status after it.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        jobs = self._troupe._jobs  # pyright: ignore[reportPrivateUsage]
        status = await jobs.end_job(self.id, TaskStatus.CANCELLED, CANCELLED)
        if status is None:
            raise UnknownJob(f"there is no job {self.id!r} here: never submitted, or past its retention")
        return status


async def patiently(call: Callable[[], Awaitable[T]], end: float | None = None) -> T:
    """Read again while the store is away: its restart is no reason to give a job up.

    Args:
        end: Time of `time.monotonic` at which to stop trying; at the latest after PATIENCE.

    Raises:
        StoreUnavailable: still away then.
    """
    last = time.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            return await call()
        except StoreUnavailable:
            if time.monotonic() + PAUSE_S > (last if end is None else min(end, last)):
                raise
        await asyncio.sleep(PAUSE_S)
