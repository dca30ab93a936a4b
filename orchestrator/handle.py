"""A producer's handle on one job: follow it, wait for it, let it go on, cancel it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import JsonValue

from orchestrator.recording import Recording
from orchestrator.recording.taking import take
from orchestrator.report import report
from orchestrator.tracing.reading import read_trace
from orchestrator.travel.edit import Edit, as_edit
from orchestrator.travel.retrying import to_retry
from orchestrator.travel.submitting import Asked, submit_fork
from tasks.board import Board
from tasks.errors import ContractError, JobCancelled, JobFailed, ResultTimeout, StoreUnavailable, UnknownJob
from tasks.events import EventsTrimmed, JobEvent, ends_job, missing_before
from tasks.ids import JobId, StepId
from tasks.models import Failure
from tasks.refusals import ApiUnavailable
from tasks.results import JobResult, LedgerReport, Standing
from tasks.sessions import TaskState
from tasks.states import FINAL_JOB, StepStatus, TaskStatus
from tasks.store.endings import until
from tasks.trace import Trace

if TYPE_CHECKING:
    from orchestrator.client import AsyncTroupe

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


class AsyncJobHandle:
    """One job."""

    def __init__(self, troupe: "AsyncTroupe", job_id: JobId) -> None:
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

    async def standing(self) -> Standing:
        """Where the job stands, and the number of its last event.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        return await self._troupe._snapshots.standing(self.id)  # pyright: ignore[reportPrivateUsage]

    async def snapshot(self) -> JobResult:
        """All that is known of the job now, final or not.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        record = await self._troupe._snapshots.job(self.id)  # pyright: ignore[reportPrivateUsage]
        parked = any(one.status is StepStatus.PARKED for one in record.steps)
        return report(record, await self._troupe._waits.of_job(self.id) if parked else ())  # pyright: ignore[reportPrivateUsage]

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
        return LedgerReport.of(self.id, record.ledger, record.spec.budget)

    async def trace(self) -> Trace:
        """All that the job did until now: its steps, their attempts, and what those called.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        return await read_trace(self._troupe._store, self.id)  # pyright: ignore[reportPrivateUsage]

    async def board(self, since: int = 0) -> Board:
        """What its steps have said to each other after the message with number `since`, whomever it was for.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        await self.status()
        return await self._troupe._boards.board(self.id, since)  # pyright: ignore[reportPrivateUsage]

    async def events(self, since: int = 0) -> AsyncIterator[JobEvent]:
        """Events with a number above `since`, in order, until the job's last one; waits for those to come.

        Each comes once, and none is left out: an `EventsTrimmed` stands in place of those that are not kept any more.
        Whoever goes on later does so with `seq` of the last one seen, also when the job was reopened meanwhile. Kinds
        that only a later release knows come as `OtherEvent`.

        Raises:
            ContractError: `since` is below 0, or past the job's last event.
            StoreUnavailable: the store was away for a minute; go on later with the last number seen.
            UnknownJob: never submitted here, or past its retention.
        """
        async for batch in self.event_batches(since):
            for event in batch:
                yield event

    async def event_batches(self, since: int = 0) -> AsyncIterator[list[JobEvent]]:
        """As `events`, as many at a time as have come together."""
        snapshots, events = self._troupe._snapshots, self._troupe._events  # pyright: ignore[reportPrivateUsage]
        if since < 0:
            raise ContractError(f"since: {since} is no number of an event; 0 is before the first")
        seen = since
        status, last = await snapshots.status(self.id)
        while status not in FINAL_JOB or seen != last:
            if seen > last:  # after a failover, say: those that were seen are gone, and others will have their numbers
                raise ContractError(f"since: {seen} is past the last event of job {self.id}, which is {last}")
            batch = await patiently(partial(events.read, self.id, seen, wait=WAIT))
            found: list[JobEvent] = []
            for event in batch:
                if (trimmed := missing_before(event, seen)) is not None:
                    found.append(trimmed)
                found.append(event)
                seen = event.seq
            if found:
                yield found
            last = max(last, seen)
            if any(ends_job(event) for event in batch):  # the last one, unless it was reopened: then there is more
                status, last = await patiently(lambda: snapshots.status(self.id))
            if not batch:
                before = status, last
                status, last = await patiently(lambda: snapshots.status(self.id))
                if status in FINAL_JOB and before == (status, last):  # they should be there, and are not
                    yield [EventsTrimmed(job_id=self.id, seq=last, at=datetime.now(UTC), first=seen + 1)]
                    return

    async def record(self) -> Recording:
        """All that models and tools said in the job, now that it has ended, to be written to a file and replayed.

        Raises:
            BadRecording: it has not ended, was ended from outside, or its exchanges are not known whole.
            UnknownJob: never submitted here, or past its retention.
        """
        return await take(self._troupe._store, self.id)  # pyright: ignore[reportPrivateUsage]

    async def advance(self, steps: int | None = None) -> TaskStatus:
        """Let a job that was submitted with `max_steps` begin further steps of work; any worker goes on with it.

        Its time begins anew: its timeout counts from now. A job that is final stays what it is.

        Args:
            steps: How many more; all of them unless given.

        Returns:
            The job's status.

        Raises:
            ContractError: less than one step.
            UnknownJob: never submitted here, or past its retention.
        """
        if steps is not None and steps < 1:
            raise ContractError(f"steps: {steps} are none to go on with")
        record = await self._troupe._snapshots.job(self.id)  # pyright: ignore[reportPrivateUsage]
        jobs = self._troupe._jobs  # pyright: ignore[reportPrivateUsage]
        return self._known(await jobs.go_on(self.id, steps, record.spec.timeout_ms))

    async def stand(self, timeout: float | None = None) -> JobResult:
        """The job as soon as it stands still: when it is final, or paused by its `max_steps`.

        Raises:
            ResultTimeout: neither within `timeout` seconds; also a TimeoutError. The job goes on.
            StoreUnavailable: the store was away for a minute, or at the end of `timeout`.
            UnknownJob: never submitted here, or past its retention.
        """
        end = None if timeout is None else time.monotonic() + timeout
        events = self._troupe._events  # pyright: ignore[reportPrivateUsage]
        while True:
            _, seen = await patiently(lambda: self._troupe._snapshots.status(self.id), end)  # pyright: ignore[reportPrivateUsage]
            outcome = await patiently(self.snapshot, end)
            if outcome.paused or outcome.status in FINAL_JOB:
                return outcome
            left = WAIT if end is None else min(WAIT, timedelta(seconds=end - time.monotonic()))
            if left <= timedelta(0):
                raise ResultTimeout(f"job {self.id} is still {outcome.status.value} after {timeout:g} s; it goes on")
            await patiently(lambda after=seen, wait=left: events.read(self.id, after, wait=wait), end)

    async def task_state(self) -> TaskState:
        """How far the job has come, step by step of its work."""
        return TaskState.of(await self.snapshot())

    async def pause(self) -> TaskStatus:
        """Let nothing of the job begin, on any worker, and stop what runs: calls on their way are broken off.

        What was finished is kept, and steps go on later where their conversations stopped. Its clocks stand still; one
        that nobody resumes within the retention ends with its deadline. Pausing twice changes nothing.

        Returns:
            The job's status; a final one was not changed.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        return self._known(await self._troupe._jobs.pause(self.id))  # pyright: ignore[reportPrivateUsage]

    async def resume(self) -> TaskStatus:
        """Let a paused job go on, on any worker. One that is not paused stays as it is.

        Returns:
            The job's status; a final one was not changed.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        return self._known(await self._troupe._jobs.resume(self.id))  # pyright: ignore[reportPrivateUsage]

    async def cancel(self) -> TaskStatus:
        """Cancel the job on all workers. A job that is final stays what it is.

        Returns:
            The job's status after it.

        Raises:
            UnknownJob: never submitted here, or past its retention.
        """
        jobs = self._troupe._jobs  # pyright: ignore[reportPrivateUsage]
        return self._known(await jobs.end_job(self.id, TaskStatus.CANCELLED, CANCELLED))

    async def fork(
        self,
        from_step: str,
        *,
        edit: Edit | Mapping[str, JsonValue] | None = None,
        model: str | None = None,
        budget_usd: float | None = None,
        timeout: float | timedelta | None = None,
        idempotency_key: str | None = None,
        in_session: bool = False,
    ) -> "AsyncJobHandle":
        """Submit this job again from one of its steps, whether it has ended or not.

        Steps that succeeded, and do not depend on `from_step`, are reused: their results are there from the beginning,
        at no cost. That step, all behind it, all without a result that is needed, and the answer are done anew. No
        planner is asked. What is not said is as it was: task, documents, data, limits, tenant.

        Args:
            from_step: A step of the plan; `synthesis`: only the answer is written anew; `plan`: all is done anew.
            edit: `{"task": …, "steps": {id: {field: value}}}`: changes of what is done anew; None in place of the
                fields leaves a step out, an id that is not there adds one.
            model: Another model for what is done anew.
            budget_usd: The most that this may cost, in dollars.
            timeout: Seconds (or a timedelta) from now after which it fails.
            idempotency_key: A second fork with the same key and request returns the first one.
            in_session: Say the task again in the session of this job, as a new turn; else the fork has none.

        Raises:
            ContractError: there is no such step, nothing was planned yet, or a change is wrong or would have no effect.
            InvalidPlan: the plan may not run with these changes.
            IdempotencyConflict: the key was used for a different request.
            FleetFull, SessionBusy: as `submit` and `send` do.
            StateConflict: it was tried again by hand at the same moment, time and again.
            UnknownJob: never submitted here, or past its retention.
        """
        asked = Asked(
            from_step=from_step, edit=as_edit(edit), model=model, budget_usd=budget_usd, timeout=timeout,
            idempotency_key=idempotency_key, in_session=in_session,
        )  # fmt: skip
        troupe = self._troupe
        fork = await submit_fork(troupe._store, self.id, asked, troupe.limits)  # pyright: ignore[reportPrivateUsage]
        return AsyncJobHandle(troupe, fork)

    async def retry(self) -> tuple[StepId, ...]:
        """Try the failed part of the job again, with fresh counts, also when it has ended since.

        All steps that were given up are: what waited for them, or was done without them, is done after them, and the
        answer is written anew. What succeeded stays. The job's time begins anew.

        Returns:
            The steps.

        Raises:
            NotDead: there is nothing to retry; the message says what else may be done.
            FleetFull: the job has ended, and as many jobs are open as may be; carries retry_after.
            UnknownJob: never submitted here, or past its retention.
        """
        record = await self._troupe._snapshots.job(self.id)  # pyright: ignore[reportPrivateUsage]
        steps = to_retry(record)
        await self._troupe.dead.retry(self.id, *steps)
        return steps

    def _known(self, status: TaskStatus | None) -> TaskStatus:
        if status is None:
            raise UnknownJob(f"there is no job {self.id!r} here: never submitted, or past its retention")
        return status


async def patiently(call: Callable[[], Awaitable[T]], end: float | None = None) -> T:
    """Read again while the store, or the API before it, is away: its restart is no reason to give a job up.

    Args:
        end: Time of `time.monotonic` at which to stop trying; at the latest after PATIENCE.

    Raises:
        StoreUnavailable, ApiUnavailable: still away then.
    """
    last = time.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            return await call()
        except (StoreUnavailable, ApiUnavailable):
            if time.monotonic() + PAUSE_S > (last if end is None else min(end, last)):
                raise
        await asyncio.sleep(PAUSE_S)
