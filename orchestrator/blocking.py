"""The producer's client for ordinary code: a facade over `AsyncTroupe`, which runs in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from pydantic import JsonValue, SecretStr

from orchestrator.client import AsyncTroupe
from orchestrator.consulting import People
from orchestrator.handle import AsyncJobHandle
from orchestrator.recording import Recording
from orchestrator.request import JobOptions
from orchestrator.reviving import DeadList
from orchestrator.scaling import USUAL_BOUNDS, Scale, ScaleBounds
from orchestrator.sessions import AsyncSessionHandle
from orchestrator.statistics import DAY
from orchestrator.travel import JobDiff
from orchestrator.travel.edit import Edit
from tasks.board import Board
from tasks.events import JobEvent
from tasks.ids import JobId, SessionId, StepId
from tasks.models import DEFAULT_TIMEOUT, AgentDefinition, Plan
from tasks.presence import MetricsPresence, OrchestratorPresence, WorkerPresence
from tasks.results import JobResult, JobSummary, LedgerReport
from tasks.sessions import AgentState, Block, Message, Policy, Role, SessionSummary, TaskState
from tasks.settings import StoreSettings
from tasks.states import FINAL_JOB, TaskStatus
from tasks.statistics import FleetStatistics
from tasks.store import Pruned
from tasks.store.sessions import NEWEST
from tasks.tool_figures import ToolReport
from tasks.trace import Trace
from tasks.usage import Budget

T = TypeVar("T")


class Troupe:
    """A producer's connection to a fleet, for any thread. Connects with its first call; `close` it, or use `with`.

    Its methods are those of `AsyncTroupe`, without `await`, and raise the same errors. It finds its fleet as that does:
    with `https://` over HTTP, with `redis://` directly, without a URL as settings say.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        settings: StoreSettings | None = None,
        api_key: str | SecretStr | None = None,
        insecure: bool | None = None,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="troupe-client", daemon=True)
        self._thread.start()
        try:
            self._troupe = AsyncTroupe(url, settings=settings, api_key=api_key, insecure=insecure)
        except BaseException:
            self._end_loop()
            raise

    def submit(
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
        max_steps: int | None = None,
        replan: int | None = None,
        review: bool = False,
    ) -> "JobHandle":
        """Submit a job: see `AsyncTroupe.submit`."""
        submitting = self._troupe.submit(
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
            max_steps=max_steps,
            replan=replan,
            review=review,
        )
        return JobHandle(self, self._run(submitting))

    def replay(
        self,
        recording: Recording,
        *,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        idempotency_key: str | None = None,
    ) -> "JobHandle":
        """Submit the replay of a recorded job: see `AsyncTroupe.replay`."""
        return JobHandle(
            self, self._run(self._troupe.replay(recording, timeout=timeout, idempotency_key=idempotency_key))
        )

    def job(self, job_id: str) -> "JobHandle":
        """A handle on a job that was submitted before: see `AsyncTroupe.job`."""
        return JobHandle(self, self._troupe.job(job_id))

    def diff(self, before: str, after: str) -> JobDiff:
        """What differs between two jobs: see `AsyncTroupe.diff`."""
        return self._run(self._troupe.diff(before, after))

    def session(self, session: str | None = None) -> "SessionHandle":
        """A conversation that outlives its jobs: see `AsyncTroupe.session`."""
        return SessionHandle(self, self._troupe.session(session))

    def sessions(self, limit: int = 20) -> list[SessionSummary]:
        """The sessions that were used last, newest first."""
        return self._run(self._troupe.sessions(limit))

    def jobs(self, limit: int = 20) -> list[JobSummary]:
        """The newest jobs, newest first."""
        return self._run(self._troupe.jobs(limit))

    def prune(
        self,
        older_than: float | timedelta,
        statuses: Collection[TaskStatus] = FINAL_JOB,
        *,
        dry_run: bool = False,
        progress: Callable[[Pruned], None] | None = None,
    ) -> int:
        """Forget jobs that have ended: see `AsyncTroupe.prune`. `progress` is called in another thread."""
        return self._run(self._troupe.prune(older_than, statuses, dry_run=dry_run, progress=progress))

    def workers(self) -> list[WorkerPresence]:
        """Living workers."""
        return self._run(self._troupe.workers())

    def orchestrators(self) -> list[OrchestratorPresence]:
        """Living orchestrators."""
        return self._run(self._troupe.orchestrators())

    def agents(self) -> list[AgentDefinition]:
        """Agents of living workers."""
        return self._run(self._troupe.agents())

    def tools(self, since: float | timedelta = DAY) -> list[ToolReport]:
        """Tools of living workers, and how their calls went: see `AsyncTroupe.tools`."""
        return self._run(self._troupe.tools(since))

    def stats(self, since: float | timedelta = DAY) -> FleetStatistics:
        """What the fleet did: see `AsyncTroupe.stats`."""
        return self._run(self._troupe.stats(since))

    def scale(self, bounds: ScaleBounds = USUAL_BOUNDS) -> list[Scale]:
        """How many workers each queue wants: see `AsyncTroupe.scale`."""
        return self._run(self._troupe.scale(bounds))

    def metrics(self) -> list[MetricsPresence]:
        """Where living processes serve their figures for Prometheus."""
        return self._run(self._troupe.metrics())

    @property
    def people(self) -> "People":
        """What steps ask people, and wait for."""
        return People(self, self._troupe.people)

    @property
    def dead(self) -> "DeadList":
        """Steps that were given up, to be looked at, retried or dropped by hand."""
        return DeadList(self, self._troupe.dead)

    def close(self) -> None:
        """Give the connections back and end the thread. A second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._troupe.close())
        self._end_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _end_loop(self) -> None:
        asyncio.run_coroutine_threadsafe(_end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_tasks() -> None:
    """Let interrupted calls end: a task that is left behind is reported on stderr when its loop goes."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class SessionHandle:
    """One session. Its methods are those of `AsyncSessionHandle`, without `await`."""

    def __init__(self, troupe: Troupe, handle: AsyncSessionHandle) -> None:
        self._troupe = troupe
        self._handle = handle

    def __repr__(self) -> str:
        return repr(self._handle)

    @property
    def id(self) -> SessionId:
        """The session's id."""
        return self._handle.id

    def send(self, text: str, *, policy: Policy | str = Policy.QUEUE, **options: Unpack[JobOptions]) -> "JobHandle":
        """Say something; the job that answers it knows the conversation: see `AsyncSessionHandle.send`."""
        sending = self._handle.send(text, policy=policy, **options)
        return JobHandle(self._troupe, self._troupe._run(sending))  # pyright: ignore[reportPrivateUsage]

    def interact(self, text: str, *, wait: float | None = None, **options: Unpack[JobOptions]) -> str:
        """Say something and wait for the answer's text: see `AsyncSessionHandle.interact`."""
        return self._troupe._run(self._handle.interact(text, wait=wait, **options))  # pyright: ignore[reportPrivateUsage]

    def run_task_with_state(
        self, task: str, *, request_id: str | None = None, wait: float | None = None, **options: Unpack[JobOptions]
    ) -> TaskState:
        """Do the next step of a task with several steps: see `AsyncSessionHandle.run_task_with_state`."""
        running = self._handle.run_task_with_state(task, request_id=request_id, wait=wait, **options)
        return self._troupe._run(running)  # pyright: ignore[reportPrivateUsage]

    def append(
        self, role: Role, content: str | Sequence[Block], metadata: Mapping[str, JsonValue] | None = None
    ) -> int:
        """Add a message that no job is to answer; its number."""
        return self._troupe._run(self._handle.append(role, content, metadata))  # pyright: ignore[reportPrivateUsage]

    def messages(self, after: int = 0) -> Iterator[Message]:
        """Messages with a number above `after`, oldest first, until the newest one there is."""
        stream = self._handle.messages(after)
        while True:
            try:
                yield self._troupe._run(anext(stream))  # pyright: ignore[reportPrivateUsage, reportArgumentType]
            except StopAsyncIteration:
                return

    def state(self, *, newest: int = NEWEST) -> AgentState:
        """All that is known of the session: see `AsyncSessionHandle.state`."""
        return self._troupe._run(self._handle.state(newest=newest))  # pyright: ignore[reportPrivateUsage]

    def save(self, state: AgentState) -> AgentState:
        """Store a changed state: see `SessionStore.save`."""
        return self._troupe._run(self._handle.save(state))  # pyright: ignore[reportPrivateUsage]

    def update_task_state(self, changes: Mapping[str, JsonValue | TaskState]) -> None:
        """Set some names of the task state: see `SessionStore.update_task_state`."""
        self._troupe._run(self._handle.update_task_state(changes))  # pyright: ignore[reportPrivateUsage]

    def delete(self) -> bool:
        """Forget the session; its open jobs are cancelled. False when there is none."""
        return self._troupe._run(self._handle.delete())  # pyright: ignore[reportPrivateUsage]


class JobHandle:
    """One job. Its methods are those of `AsyncJobHandle`, without `await`."""

    def __init__(self, troupe: Troupe, handle: AsyncJobHandle) -> None:
        self._troupe = troupe
        self._handle = handle

    def __repr__(self) -> str:
        return repr(self._handle)

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self._handle.id

    def status(self) -> TaskStatus:
        """Where the job stands."""
        return self._troupe._run(self._handle.status())  # pyright: ignore[reportPrivateUsage]

    def snapshot(self) -> JobResult:
        """All that is known of the job now, final or not."""
        return self._troupe._run(self._handle.snapshot())  # pyright: ignore[reportPrivateUsage]

    def wait(self, timeout: float | None = None) -> JobResult:
        """The job's outcome, as soon as it is final: see `AsyncJobHandle.wait`."""
        return self._troupe._run(self._handle.wait(timeout))  # pyright: ignore[reportPrivateUsage]

    def result(self, timeout: float | None = None) -> JobResult:
        """The job's outcome, once it has completed: see `AsyncJobHandle.result`."""
        return self._troupe._run(self._handle.result(timeout))  # pyright: ignore[reportPrivateUsage]

    def board(self, since: int = 0) -> Board:
        """What its steps have said to each other: see `AsyncJobHandle.board`."""
        return self._troupe._run(self._handle.board(since))  # pyright: ignore[reportPrivateUsage]

    def trace(self) -> Trace:
        """All that the job did until now: see `AsyncJobHandle.trace`."""
        return self._troupe._run(self._handle.trace())  # pyright: ignore[reportPrivateUsage]

    def ledger(self) -> LedgerReport:
        """What the job has consumed until now: see `AsyncJobHandle.ledger`."""
        return self._troupe._run(self._handle.ledger())  # pyright: ignore[reportPrivateUsage]

    def events(self, since: int = 0) -> Iterator[JobEvent]:
        """Events from `since` on until the job's last one: see `AsyncJobHandle.events`."""
        stream = self._handle.events(since)
        while True:
            try:
                yield self._troupe._run(anext(stream))  # pyright: ignore[reportPrivateUsage, reportArgumentType]
            except StopAsyncIteration:
                return

    def record(self) -> Recording:
        """All that models and tools said in the job, now that it has ended: see `AsyncJobHandle.record`."""
        return self._troupe._run(self._handle.record())  # pyright: ignore[reportPrivateUsage]

    def advance(self, steps: int | None = None) -> TaskStatus:
        """Let a job begin further steps of work: see `AsyncJobHandle.advance`."""
        return self._troupe._run(self._handle.advance(steps))  # pyright: ignore[reportPrivateUsage]

    def stand(self, timeout: float | None = None) -> JobResult:
        """The job as soon as it is final or paused: see `AsyncJobHandle.stand`."""
        return self._troupe._run(self._handle.stand(timeout))  # pyright: ignore[reportPrivateUsage]

    def task_state(self) -> TaskState:
        """How far the job has come, step by step of its work."""
        return self._troupe._run(self._handle.task_state())  # pyright: ignore[reportPrivateUsage]

    def pause(self) -> TaskStatus:
        """Stop the job on all workers, to go on later: see `AsyncJobHandle.pause`."""
        return self._troupe._run(self._handle.pause())  # pyright: ignore[reportPrivateUsage]

    def resume(self) -> TaskStatus:
        """Let a paused job go on: see `AsyncJobHandle.resume`."""
        return self._troupe._run(self._handle.resume())  # pyright: ignore[reportPrivateUsage]

    def fork(
        self,
        from_step: str,
        *,
        edit: Edit | Mapping[str, JsonValue] | None = None,
        model: str | None = None,
        budget_usd: float | None = None,
        timeout: float | timedelta | None = None,
        idempotency_key: str | None = None,
        in_session: bool = False,
    ) -> "JobHandle":
        """Submit the job again from one of its steps: see `AsyncJobHandle.fork`."""
        forking = self._handle.fork(
            from_step, edit=edit, model=model, budget_usd=budget_usd, timeout=timeout,
            idempotency_key=idempotency_key, in_session=in_session,
        )  # fmt: skip
        return JobHandle(self._troupe, self._troupe._run(forking))  # pyright: ignore[reportPrivateUsage]

    def retry(self) -> tuple[StepId, ...]:
        """Try the failed part of the job again: see `AsyncJobHandle.retry`."""
        return self._troupe._run(self._handle.retry())  # pyright: ignore[reportPrivateUsage]

    def cancel(self) -> TaskStatus:
        """Cancel the job on all workers: see `AsyncJobHandle.cancel`."""
        return self._troupe._run(self._handle.cancel())  # pyright: ignore[reportPrivateUsage]
