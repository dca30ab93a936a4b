"""Tools about jobs and conversations."""

from typing import Annotated

from anyio.lowlevel import checkpoint
from mcp_types import CallToolResult
from pydantic import Field

from orchestrator.client import AsyncTroupe
from orchestrator.handle import AsyncJobHandle
from orchestrator.mcp_door.calling import Ctx, JobText, Seconds, Tools
from orchestrator.mcp_door.following import Progress, answerable, follow, unbroken
from orchestrator.mcp_door.replies import CancelReply, JobReply, JobRow, JobsReply, JobStanding, Reply
from orchestrator.request import JobOptions
from tasks.errors import ResultTimeout
from tasks.models import DEFAULT_TIMEOUT
from tasks.results import JobResult

TaskText = Annotated[str, Field(description="What is to be done, in plain words.", max_length=100_000)]
Bases = Annotated[
    list[str] | None, Field(description="Knowledge bases to search; `default` unless given.", max_length=20)
]
Dollars = Annotated[float | None, Field(gt=0, description="The most that its model calls may cost, in dollars.")]
Timeout = Annotated[float | None, Field(gt=0, description="Seconds from now after which it fails.")]


class JobTools(Tools):
    """Submit, look at, wait for, follow and cancel."""

    async def submit_job(
        self,
        context: Ctx,
        task: TaskText,
        knowledge: Bases = None,
        budget_usd: Dollars = None,
        timeout_s: Timeout = None,
        wait: Annotated[bool, Field(description="Wait for the answer; progress is told meanwhile.")] = False,
    ) -> Annotated[CallToolResult, JobReply]:
        """Submit a job: it is planned, worked on by several agents, and answered with sources. Without `wait` it
        returns at once, and job_result or follow_job gives the answer. With `wait` a cancelled call cancels the job."""

        async def begin(troupe: AsyncTroupe) -> AsyncJobHandle:
            return await troupe.submit(task, **_options(knowledge, budget_usd, timeout_s))

        async def work(troupe: AsyncTroupe) -> Reply:
            if not wait:
                return JobReply.of(await (await begin(troupe)).snapshot())
            job = await unbroken(begin(troupe))
            return JobReply.of(await self._to_the_end(context, job))

        return await self._do(context, work)

    async def ask_session(
        self,
        context: Ctx,
        text: TaskText,
        session: Annotated[
            str | None, Field(description="The conversation's name or id; a new one unless given.", max_length=100)
        ] = None,
        knowledge: Bases = None,
        budget_usd: Dollars = None,
        timeout_s: Timeout = None,
    ) -> Annotated[CallToolResult, JobReply]:
        """Say something in a conversation that outlives this one, and wait for the answer; progress is told meanwhile.
        `session` of the answer is what to give for the next message. A cancelled call cancels its job."""

        async def work(troupe: AsyncTroupe) -> Reply:
            handle = troupe.session(session)
            job = await unbroken(handle.send(text, **_options(knowledge, budget_usd, timeout_s)))
            return JobReply.of(await self._to_the_end(context, job), session=handle.id)

        return await self._do(context, work)

    async def job_status(self, context: Ctx, job_id: JobText) -> Annotated[CallToolResult, JobStanding]:
        """Where a job stands: its status, its steps, and what they wait for."""

        async def work(troupe: AsyncTroupe) -> Reply:
            return JobStanding.of(await troupe.job(job_id).snapshot())

        return await self._do(context, work)

    async def job_result(
        self, context: Ctx, job_id: JobText, wait_s: Seconds = 0
    ) -> Annotated[CallToolResult, JobReply]:
        """A job's answer with its sources; where it stands if it has none yet. Waits for it if asked."""

        async def work(troupe: AsyncTroupe) -> Reply:
            job = troupe.job(job_id)
            if wait_s:
                try:
                    return JobReply.of(await job.wait(wait_s))
                except ResultTimeout:
                    pass
            return JobReply.of(await job.snapshot())

        return await self._do(context, work)

    async def follow_job(
        self,
        context: Ctx,
        job_id: JobText,
    ) -> Annotated[CallToolResult, JobReply]:
        """Follow a job until it ends: progress is told as it happens, then its answer. A cancelled call leaves the job
        as it is."""

        async def work(troupe: AsyncTroupe) -> Reply:
            job = troupe.job(job_id)
            since = (await job.standing()).last_event
            found = await job.snapshot()
            if found.finished_at is None:
                found = await follow(job, context, Progress.of(found), since)
            return JobReply.of(found)

        return await self._do(context, work)

    async def cancel_job(self, context: Ctx, job_id: JobText) -> Annotated[CallToolResult, CancelReply]:
        """Cancel a job on all workers. One that has ended stays what it is."""

        async def work(troupe: AsyncTroupe) -> Reply:
            job = troupe.job(job_id)
            return CancelReply(job_id=job.id, status=await job.cancel())

        return await self._do(context, work)

    async def list_jobs(
        self, context: Ctx, limit: Annotated[int, Field(ge=1, le=100, description="How many, at most.")] = 20
    ) -> Annotated[CallToolResult, JobsReply]:
        """The newest jobs, newest first."""

        async def work(troupe: AsyncTroupe) -> Reply:
            return JobsReply(jobs=[JobRow.of(one) for one in await troupe.jobs(limit)])

        return await self._do(context, work)

    async def _to_the_end(self, context: Ctx, job: AsyncJobHandle) -> JobResult:
        async with answerable(self.way, job):
            await checkpoint()  # it may have been broken off while the job was accepted
            return await follow(job, context, Progress())


def _options(knowledge: list[str] | None, budget_usd: float | None, timeout_s: float | None) -> JobOptions:
    return {
        "knowledge": tuple(knowledge or ()),
        "budget_usd": budget_usd,
        "timeout": DEFAULT_TIMEOUT if timeout_s is None else timeout_s,
    }
