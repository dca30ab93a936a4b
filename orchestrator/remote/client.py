"""The producer's client over HTTP, asynchronous: the same methods as over Redis, asked of a `troupe api`."""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pydantic import BaseModel, JsonValue, RootModel, SecretStr

from orchestrator.client import AsyncTroupe
from orchestrator.handle import AsyncJobHandle
from orchestrator.recording import Recording
from orchestrator.remote.asking import asked_for, fresh_key, job_options
from orchestrator.remote.connection import Connection
from orchestrator.remote.dead import RemoteDeadList
from orchestrator.remote.job import RemoteJobHandle
from orchestrator.remote.people import RemotePeople
from orchestrator.remote.session import RemoteSessionHandle
from orchestrator.remote.settings import RemoteSettings
from orchestrator.request import JobOptions, length_of
from orchestrator.scaling import USUAL_BOUNDS, Scale, ScaleBounds
from orchestrator.statistics import DAY, length
from orchestrator.travel import JobDiff
from tasks.errors import ContractError
from tasks.ids import SESSION_ID, SESSION_NAME, SessionId, new_session_id, parse_job_id, parse_session_id
from tasks.models import DEFAULT_TIMEOUT, AgentDefinition, Plan
from tasks.presence import MetricsPresence, OrchestratorPresence, WorkerPresence
from tasks.refusals import NotAllowed
from tasks.results import JobResult, JobSummary
from tasks.sessions import Policy, SessionSummary
from tasks.settings import StoreSettings, read_settings
from tasks.states import FINAL_JOB, TaskStatus
from tasks.statistics import FleetStatistics, TenantStatistics
from tasks.store import Pruned
from tasks.tool_figures import ToolReport
from tasks.usage import Budget

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

MOST: Final = 1_000
"""Rows of a list that an API gives at once."""


class _Page(BaseModel):
    jobs: list[JobSummary]
    next: str | None = None


class _Statistics(RootModel[FleetStatistics | TenantStatistics]):
    """Of the fleet, or of the key's tenant."""


class _Forgotten(BaseModel):
    forgotten: int


class RemoteTroupe(AsyncTroupe):
    """A producer's connection to a fleet over HTTP. Use it in one event loop; connects with its first call.

    Methods and errors are those of `AsyncTroupe`; `ApiUnavailable`, and what is refused to its key, come to them:
    `Unauthenticated`, `NotAllowed`, `RateLimited`, `DailyBudgetSpent`. `store` and `states` are not to be had.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        settings: StoreSettings | None = None,
        api_key: str | SecretStr | None = None,
        insecure: bool | None = None,
    ) -> None:
        said: dict[str, Any] = {"api_url": url, "api_key": api_key, "api_insecure": insecure}
        given = {name: value for name, value in said.items() if value is not None}
        self.api = Connection(read_settings(RemoteSettings, **given))
        """How it is asked."""
        self.dead = RemoteDeadList(self.api)

    @classmethod
    def through(cls, transport: "httpx2.AsyncBaseTransport", url: str, api_key: SecretStr | None) -> Self:
        """A client whose requests go through this transport, as to an app of the same process."""
        made = cls(url, api_key=api_key)
        made.api.transport = transport
        return made

    def __repr__(self) -> str:
        return f"<troupe at {self.api.settings.api_url}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            raise AttributeError(f"{name}: this client goes over HTTP and has not what is only to be had in the store")

    @property
    def people(self) -> RemotePeople:
        """See `AsyncTroupe.people`."""
        return RemotePeople(self.api)

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
        """See `AsyncTroupe.submit`. Data files are uploaded first; the tenant is that of the key, unless an operator
        names another."""
        options = job_options(
            model=model, knowledge=knowledge, data=data, plan=plan, budget_usd=budget_usd, budget=budget,
            timeout=timeout, idempotency_key=idempotency_key, tenant=tenant, priority=priority,
            max_in_flight=max_in_flight, max_steps=max_steps, replan=replan, review=review,
        )  # fmt: skip
        return await self._accepted("jobs", await asked_for(self.api, task, options), idempotency_key)

    async def replay(
        self,
        recording: Recording,
        *,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        idempotency_key: str | None = None,
    ) -> AsyncJobHandle:
        """See `AsyncTroupe.replay`."""
        lines = b"".join(line.model_dump_json().encode() + b"\n" for line in recording.lines)
        query = {"timeout": length_of(timeout) / timedelta(seconds=1)}
        reply = await self.api.ask("POST", "replays", query=query, content=lines, key=idempotency_key)
        return self.job(reply.read(JobResult).job_id)

    def job(self, job_id: str) -> AsyncJobHandle:
        """See `AsyncTroupe.job`."""
        return RemoteJobHandle(self, parse_job_id(job_id))

    async def diff(self, before: str, after: str) -> JobDiff:
        """See `AsyncTroupe.diff`."""
        one, other = parse_job_id(before), parse_job_id(after)
        return (await self.api.ask("GET", f"jobs/{one}/diff", query={"with": other})).read(JobDiff)

    def session(self, session: str | None = None) -> RemoteSessionHandle:
        """See `AsyncTroupe.session`."""
        name = new_session_id(0).partition(".")[0] if session is None else session
        if SESSION_NAME.fullmatch(name) is None and SESSION_ID.fullmatch(name) is None:
            parse_session_id(name)
        return RemoteSessionHandle(self, SessionId(name))

    async def sessions(self, limit: int = 20) -> list[SessionSummary]:
        """See `AsyncTroupe.sessions`. At most 1,000."""
        if limit < 1:
            return []
        return await self._list("sessions", SessionSummary, limit=min(limit, MOST))

    async def jobs(self, limit: int = 20) -> list[JobSummary]:
        """See `AsyncTroupe.jobs`."""
        found: list[JobSummary] = []
        cursor: str | None = None
        while len(found) < limit:
            query = {"limit": min(limit - len(found), MOST), "cursor": cursor}
            page = (await self.api.ask("GET", "jobs", query=query)).read(_Page)
            found += page.jobs
            cursor = page.next
            if cursor is None:
                break
        return found

    async def prune(
        self,
        older_than: float | timedelta,
        statuses: Collection[TaskStatus] = FINAL_JOB,
        *,
        dry_run: bool = False,
        progress: Callable[[Pruned], None] | None = None,
    ) -> int:
        """See `AsyncTroupe.prune`. `progress` is called once, at the end."""
        age = older_than if isinstance(older_than, timedelta) else timedelta(seconds=older_than)
        if age < timedelta(0):
            raise ContractError(f"older_than: {older_than} is no age")
        body: dict[str, JsonValue] = {
            "older_than_s": age / timedelta(seconds=1), "statuses": [*sorted(statuses)], "dry_run": dry_run,
        }  # fmt: skip
        forgotten = (await self.api.ask("POST", "prune", body=body, wait=600)).read(_Forgotten).forgotten
        if progress is not None:
            progress(Pruned(looked_at=forgotten, forgotten=forgotten))
        return forgotten

    async def workers(self) -> list[WorkerPresence]:
        """See `AsyncTroupe.workers`."""
        return await self._list("workers", WorkerPresence)

    async def orchestrators(self) -> list[OrchestratorPresence]:
        """See `AsyncTroupe.orchestrators`."""
        return await self._list("orchestrators", OrchestratorPresence)

    async def agents(self) -> list[AgentDefinition]:
        """See `AsyncTroupe.agents`."""
        return await self._list("agents", AgentDefinition)

    async def tools(self, since: float | timedelta = DAY) -> list[ToolReport]:
        """See `AsyncTroupe.tools`."""
        return await self._list("tools", ToolReport, since=length(since) / timedelta(seconds=1))

    async def stats(self, since: float | timedelta = DAY) -> FleetStatistics:
        """See `AsyncTroupe.stats`. For keys of operators.

        Raises:
            NotAllowed: the key is of one tenant, whose figures alone it may see: GET /v1/statistics.
        """
        query = {"since": length(since) / timedelta(seconds=1)}
        reply = (await self.api.ask("GET", "statistics", query=query)).read(_Statistics)
        if isinstance(reply.root, TenantStatistics):
            raise NotAllowed("statistics of the whole fleet are for operators; those of a tenant: GET /v1/statistics")
        return reply.root

    async def scale(self, bounds: ScaleBounds = USUAL_BOUNDS) -> list[Scale]:
        """See `AsyncTroupe.scale`."""
        within = bounds.within / timedelta(seconds=1)
        return await self._list(
            "scale", Scale, least=bounds.least, most=bounds.most, slots=bounds.slots, within_s=within
        )

    async def metrics(self) -> list[MetricsPresence]:
        """See `AsyncTroupe.metrics`."""
        return await self._list("metrics-endpoints", MetricsPresence)

    async def close(self) -> None:
        """Give the connections back."""
        await self.api.close()

    async def _send(self, session: SessionId, text: str, policy: Policy, options: JobOptions) -> AsyncJobHandle:
        body = await asked_for(self.api, text, options)
        said = {"text": body.pop("task"), "policy": policy.value, **body}
        return await self._accepted(f"sessions/{session}/messages", said, options.get("idempotency_key"))

    async def _accepted(self, path: str, body: dict[str, JsonValue], key: str | None) -> AsyncJobHandle:
        reply = await self.api.ask("POST", path, body=body, key=key or fresh_key())
        return self.job(reply.read(JobResult).job_id)

    async def _list(self, path: str, kind: type[T], **query: float | None) -> list[T]:
        return (await self.api.ask("GET", path, query=query)).read(list[kind])
