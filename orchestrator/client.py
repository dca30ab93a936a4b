"""The producer's client, asynchronous: submit jobs, follow them, get their results. One round trip a submit."""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from pathlib import Path
from random import randrange
from types import TracebackType
from typing import Self, cast
from zlib import crc32

from pydantic import SecretStr

from orchestrator.dead import AsyncDeadList
from orchestrator.handle import AsyncJobHandle
from orchestrator.people import AsyncPeople
from orchestrator.place import store_settings
from orchestrator.planning.check import first_step
from orchestrator.recording import Recording
from orchestrator.recording.taking import submit_replay
from orchestrator.remote.settings import RemoteSettings, is_remote
from orchestrator.request import JobOptions, job_spec, length_of
from orchestrator.scaling import MEASURED, USUAL_BOUNDS, Scale, ScaleBounds, loads, scale
from orchestrator.scheduling.windows import read_limits
from orchestrator.sessions import AsyncSessionHandle
from orchestrator.settings import OrchestratorSettings
from orchestrator.statistics import DAY, fleet_statistics, length, tool_reports
from orchestrator.travel import JobDiff, diff
from tasks.errors import BadSetting
from tasks.ids import SessionId, new_job_id, parse_job_id, session_id, session_partition
from tasks.models import DEFAULT_TIMEOUT, AgentDefinition, JobSpec, Plan
from tasks.presence import MetricsPresence, OrchestratorPresence, WorkerPresence
from tasks.queues import BUILT_IN
from tasks.results import JobSummary
from tasks.sessions import Policy, SessionSummary
from tasks.settings import StoreSettings, read_settings
from tasks.signing import SigningSettings
from tasks.states import FINAL_JOB, TaskStatus
from tasks.statistics import FleetStatistics
from tasks.store import (
    BoardStore,
    Endings,
    EventStore,
    FleetStore,
    JobStore,
    Pruned,
    Pruning,
    SessionStore,
    Snapshots,
    Store,
    ToolStats,
    Turn,
)
from tasks.store.figures import FigureStore
from tasks.store.shared_events import SharedEvents
from tasks.store.waits import WaitStore
from tasks.telemetry.propagation import current_traceparent
from tasks.tool_figures import ToolReport
from tasks.usage import Budget


class AsyncTroupe:
    """A producer's connection to a fleet. Use it in one event loop; connects with its first call.

    With `https://` (or `http://`) it goes to a `troupe api`, and has the same methods; else to the fleet's Redis.
    Without a URL it is the API that TROUPE_API_URL names, else the fleet that TROUPE_REDIS_URL names, else the
    `troupe up` that runs on this machine, else the one at Redis' usual port.

    Args:
        url: Address of an API, or of a Redis.
        settings: Of the store; with them no URL is looked for.
        api_key: Key to show to the API; TROUPE_API_KEY unless given.
        insecure: Send it over plain `http://` to other machines too.

    Raises:
        BadSetting: the address is none, or the key would be readable on its way.
    """

    def __new__(
        cls,
        url: str | None = None,
        *,
        settings: StoreSettings | None = None,
        api_key: str | SecretStr | None = None,
        insecure: bool | None = None,
    ) -> Self:
        """One of the class that the address asks for."""
        if cls is AsyncTroupe and settings is None and is_remote(url or read_settings(RemoteSettings).api_url):
            from orchestrator.remote.client import RemoteTroupe  # HTTP is loaded by those that use it

            return cast(Self, object.__new__(RemoteTroupe))
        return object.__new__(cls)

    def __init__(
        self,
        url: str | None = None,
        *,
        settings: StoreSettings | None = None,
        api_key: str | SecretStr | None = None,
        insecure: bool | None = None,
    ) -> None:
        if api_key is not None or insecure is not None:
            raise BadSetting("api_key and insecure are for an API: give its address, https://…")
        if settings is None:
            settings = store_settings() if url is None else read_settings(StoreSettings, redis_url=SecretStr(url))
        self.settings = settings
        self.limits = read_settings(OrchestratorSettings)
        self._store = Store(settings)
        self._jobs = JobStore(self._store)
        self._snapshots = Snapshots(self._store)
        self._events = EventStore(self._store)
        self._boards = BoardStore(self._store)
        self._fleet = FleetStore(self._store)
        self._endings = Endings(self._store)
        self._waits = WaitStore(self._store)
        self.states = SessionStore(self._store)
        """What is kept of sessions."""
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
        max_steps: int | None = None,
        replan: int | None = None,
        review: bool = False,
    ) -> AsyncJobHandle:
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
            max_steps: Steps of work that may begin before it stands still, until `advance` lets it go on.
            replan: Further plans for what has no result; None: as settings say, and none where a plan is given.
            review: Let a model judge whether the results suffice, and plan again where they do not.

        Raises:
            InvalidTask: empty, or longer than 100,000 characters.
            ContractError: another argument is wrong.
            IdempotencyConflict: the key was used for a different request.
            FleetFull: as many jobs are open as may be; carries retry_after.
            StoreUnavailable: no answer in time.
        """
        spec = job_spec(
            new_job_id(self.partition(idempotency_key)), task, model=model, knowledge=knowledge, data=data, plan=plan,
            budget_usd=budget_usd, budget=budget, timeout=timeout, idempotency_key=idempotency_key, tenant=tenant,
            priority=priority, max_in_flight=max_in_flight, max_steps=max_steps, replan=replan, review=review,
        )  # fmt: skip
        return await self.accept(spec)

    async def replay(
        self,
        recording: Recording,
        *,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        idempotency_key: str | None = None,
    ) -> AsyncJobHandle:
        """Submit the replay of a recorded job: neither models nor tools are called, plain code of agents is run.

        `recording.difference` tells whether its outcome is what was recorded.

        Args:
            timeout: Seconds (or a timedelta) from now after which it fails; limits and budgets of the recorded job do
                not hold.
            idempotency_key: A second replay with the same key gives the first one's job; only the jobs are compared,
                not what their models said.

        Raises:
            BadRecording: it holds no job that can be submitted.
            FleetFull, IdempotencyConflict, StoreUnavailable: as `submit` does.
        """
        job = await submit_replay(
            self._store,
            recording,
            new_job_id(self.partition(idempotency_key)),
            length_of(timeout),
            self.limits,
            idempotency_key=idempotency_key,
        )
        return AsyncJobHandle(self, job)

    def job(self, job_id: str) -> AsyncJobHandle:
        """A handle on a job that was submitted before, here or elsewhere.

        Raises:
            InvalidId: it has not the form of a job id.
        """
        return AsyncJobHandle(self, parse_job_id(job_id))

    async def diff(self, before: str, after: str) -> JobDiff:
        """What differs between two jobs, such as one and its fork: plan, results, answer, sources; cost and time too.

        Raises:
            InvalidId: one has not the form of a job id.
            UnknownJob: never submitted here, or past its retention.
        """
        one, other = self.job(before), self.job(after)
        return diff(await one.snapshot(), await other.snapshot())

    def session(self, session: str | None = None) -> AsyncSessionHandle:
        """A conversation that outlives its jobs: see `AsyncSessionHandle.send`. Nothing is stored before that.

        Args:
            session: Its id, or a name of your own, as `customer-17`; a new one unless given.

        Raises:
            InvalidId: it is neither.
        """
        name = self.states.fresh_id() if session is None else session_id(session, self.settings.partitions)
        return AsyncSessionHandle(self, name)

    async def sessions(self, limit: int = 20) -> list[SessionSummary]:
        """The sessions that were used last, newest first."""
        return await self.states.list(limit) if limit > 0 else []

    async def jobs(self, limit: int = 20) -> list[JobSummary]:
        """The newest jobs, newest first."""
        return await self._snapshots.jobs(limit) if limit > 0 else []

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
        """What the fleet did since then: throughput, success, durations, tools, tokens and cost; see `tools`."""
        wanted = length(since)
        counted = await ToolStats(self._store).read(wanted)
        return fleet_statistics(counted, await FigureStore(self._store).window(wanted))

    async def scale(self, bounds: ScaleBounds = USUAL_BOUNDS) -> list[Scale]:
        """How many workers each queue wants now, by name; see `orchestrator.scaling.scale`."""
        figures = FigureStore(self._store)
        recent = await figures.window(MEASURED)
        queues, workers = await figures.queues(), await self._fleet.workers()
        found = loads(queues, workers, recent.running, recent.until, read_limits(self.limits.queue_limits))
        return [scale(load, bounds) for load in found]

    async def metrics(self) -> list[MetricsPresence]:
        """Where living processes serve their figures for Prometheus."""
        return await self._fleet.metrics()

    def share_events(self) -> None:
        """Read the events of each job once, however many follow it in this process."""
        if not isinstance(self._events, SharedEvents):
            self._events = SharedEvents(self._store)

    async def close(self) -> None:
        """Give the connections back."""
        if isinstance(self._events, SharedEvents):
            await self._events.close()
        await self._endings.close()
        await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def store(self) -> Store:
        """The shared state itself."""
        return self._store

    async def accept(self, spec: JobSpec, turn: Turn | None = None, *, open_jobs: int | None = None) -> AsyncJobHandle:
        """Submit a job whose spec was made elsewhere; see `submit`.

        Args:
            turn: What its session is told, if it has one.
            open_jobs: How many jobs its tenant may have open, in place of what the settings say.
        """
        first = None if spec.plan is not None else first_step(spec.task, BUILT_IN, self.limits)
        spec = spec.model_copy(update={"traceparent": current_traceparent()})
        return AsyncJobHandle(self, await self._jobs.submit(spec, first, turn, open_jobs=open_jobs))

    async def _send(self, session: SessionId, text: str, policy: Policy, options: JobOptions) -> AsyncJobHandle:
        spec = job_spec(new_job_id(session_partition(session)), text, **options, session=session)
        return await self.accept(spec, Turn.of(spec.task, policy))

    def partition(self, idempotency_key: str | None) -> int:
        """Any partition; with a key always the same one, where the key is remembered."""
        count = self.settings.partitions
        return randrange(count) if idempotency_key is None else crc32(idempotency_key.encode()) % count
