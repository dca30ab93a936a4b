"""Tools about what steps ask people. Who decides is the caller: a host should ask its user first."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field, JsonValue

from orchestrator.client import AsyncTroupe
from orchestrator.mcp_door.calling import Ctx, JobText, Tools
from orchestrator.mcp_door.replies import AskedReply, DecidedReply, Reply

BY = "mcp"
"""Who decided, where no key says it."""
StepText = Annotated[str, Field(description="Id of the step that waits, as list_asked gave it.", max_length=100)]
KeyText = Annotated[str | None, Field(description="Which one, where a step waits for several.", max_length=200)]


class PeopleTools(Tools):
    """List what is asked, and decide."""

    async def list_asked(
        self, context: Ctx, limit: Annotated[int, Field(ge=1, le=100, description="How many, at most.")] = 50
    ) -> Annotated[CallToolResult, AskedReply]:
        """Approvals and questions that steps wait for, the oldest first."""

        async def work(troupe: AsyncTroupe) -> Reply:
            return AskedReply(asked=await troupe.people.list(limit))

        return await self._do(context, work)

    async def approve(
        self,
        context: Ctx,
        job_id: JobText,
        step: StepText,
        key: KeyText = None,
        arguments: Annotated[
            dict[str, JsonValue] | None, Field(description="Arguments in place of those that were asked for.")
        ] = None,
    ) -> Annotated[CallToolResult, DecidedReply]:
        """Let a tool call be made, or a step begin. Only when the user has said so."""

        async def work(troupe: AsyncTroupe) -> Reply:
            asked = await troupe.people.approve(job_id, step, key=key, arguments=arguments, by=BY)
            return DecidedReply(decision="approved", asked=asked)

        return await self._do(context, work)

    async def deny(
        self,
        context: Ctx,
        job_id: JobText,
        step: StepText,
        key: KeyText = None,
        reason: Annotated[str, Field(description="What its agent is told.", max_length=20_000)] = "",
    ) -> Annotated[CallToolResult, DecidedReply]:
        """Let a tool call not be made, or a step not begin. Its agent is told the reason."""

        async def work(troupe: AsyncTroupe) -> Reply:
            asked = await troupe.people.deny(job_id, step, key=key, reason=reason, by=BY)
            return DecidedReply(decision="denied", asked=asked)

        return await self._do(context, work)

    async def answer(
        self,
        context: Ctx,
        job_id: JobText,
        step: StepText,
        text: Annotated[str, Field(description="The answer.", min_length=1, max_length=20_000)],
        key: KeyText = None,
    ) -> Annotated[CallToolResult, DecidedReply]:
        """Answer a question that a step asks."""

        async def work(troupe: AsyncTroupe) -> Reply:
            asked = await troupe.people.answer(job_id, step, text, key=key, by=BY)
            return DecidedReply(decision="answered", asked=asked)

        return await self._do(context, work)
