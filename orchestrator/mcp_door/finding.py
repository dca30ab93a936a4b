"""Tools about what there is: agents and knowledge."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from orchestrator.api.shelves import shelves_of
from orchestrator.client import AsyncTroupe
from orchestrator.mcp_door.calling import Ctx, Tools
from orchestrator.mcp_door.replies import AgentRow, AgentsReply, HitsReply, KnowledgeReply, Reply
from orchestrator.remote.client import RemoteTroupe
from tasks.errors import UnknownKnowledge
from tasks.ids import NAME
from tasks.knowledge import BaseStats, PassageHit
from tasks.tenancy import DEFAULT_TENANT

MOST = 200
"""Agents and knowledge bases that are listed."""


class FindingTools(Tools):
    """List agents and knowledge bases, and search these."""

    async def list_agents(self, context: Ctx) -> Annotated[CallToolResult, AgentsReply]:
        """Agents of living workers: what jobs can be done here."""

        async def work(troupe: AsyncTroupe) -> Reply:
            return AgentsReply(agents=[AgentRow.of(one) for one in (await troupe.agents())[:MOST]])

        return await self._do(context, work)

    async def list_knowledge(self, context: Ctx) -> Annotated[CallToolResult, KnowledgeReply]:
        """Knowledge bases, and how much they hold."""

        async def work(troupe: AsyncTroupe) -> Reply:
            if isinstance(troupe, RemoteTroupe):
                found = (await troupe.api.ask("GET", "knowledge")).read(list[BaseStats])
            else:
                found = await shelves_of(self.way.shelves).bases(DEFAULT_TENANT)
            return KnowledgeReply(knowledge=found[:MOST])

        return await self._do(context, work)

    async def search_knowledge(
        self,
        context: Ctx,
        query: Annotated[str, Field(description="Words to look for.", min_length=1, max_length=1000)],
        knowledge: Annotated[str, Field(description="The knowledge base.", max_length=100)] = "default",
        limit: Annotated[int, Field(ge=1, le=20, description="How many passages, at most.")] = 6,
    ) -> Annotated[CallToolResult, HitsReply]:
        """Passages of documents that fit some words, best first. No job and no model is needed for it."""

        async def work(troupe: AsyncTroupe) -> Reply:
            if NAME.fullmatch(knowledge) is None:  # nor is it to become part of a path
                raise UnknownKnowledge(f"there is no knowledge base {knowledge!r}")
            if isinstance(troupe, RemoteTroupe):
                asked = {"q": query, "k": limit}
                reply = await troupe.api.ask("GET", f"knowledge/{knowledge}/search", query=asked)
                found = reply.read(list[PassageHit])
            else:
                found = await shelves_of(self.way.shelves).search(DEFAULT_TENANT, knowledge, query, limit)
            return HitsReply(knowledge=knowledge, hits=found)

        return await self._do(context, work)
