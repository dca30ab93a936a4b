"""What all tools share: whose call it is, the client it is done with, and errors that come back with their code."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from orchestrator.client import AsyncTroupe
from orchestrator.mcp_door.replies import Reply, refused, told
from orchestrator.mcp_door.ways import Caller, Way
from tasks.errors import TroupeError

Ctx = Context[Any]
JobText = Annotated[str, Field(description="Id of the job, as submit_job or list_jobs gave it.", max_length=100)]
Seconds = Annotated[float, Field(ge=0, le=60, description="Most seconds to wait for it.")]

LOOKS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
"""Changes nothing."""
BEGINS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)
"""Begins work, which costs something."""
DECIDES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)
"""Lets something be done that cannot be undone."""
ENDS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
"""Ends something; a second time changes nothing."""


class Tools:
    """Tools of one kind."""

    def __init__(self, way: Way) -> None:
        self.way = way

    async def _do(self, context: Ctx, work: Callable[[AsyncTroupe], Awaitable[Reply]]) -> CallToolResult:
        try:
            async with self.way.troupe(caller_of(context)) as troupe:
                return told(await work(troupe))
        except TroupeError as error:
            return refused(error)


def caller_of(context: Ctx) -> Caller:
    """Whose call it is."""
    request: Any = context.request_context.request
    if request is None or context.headers is None:
        return Caller()
    headers = {name.lower(): value for name, value in context.headers.items()}
    return Caller(headers, request.client.host if request.client else "")
