"""What workers announce of their agents' tools."""

from collections.abc import Iterable
from datetime import timedelta

from tasks.tool_figures import MAX_DESCRIPTION_CHARS, ToolDefinition
from workers.tools.base import Tool


def definition(agent: str, tool: Tool) -> ToolDefinition:
    """A tool of one agent, as people are shown it."""
    text = " ".join(tool.description.split())
    cut = text if len(text) <= MAX_DESCRIPTION_CHARS else f"{text[: MAX_DESCRIPTION_CHARS - 1]}…"
    return ToolDefinition(
        name=tool.name,
        description=cut,
        agents=(agent,),
        timeout_s=tool.timeout / timedelta(seconds=1),
        rate_limit=tool.rate_limit,
        retries=tool.retries,
        max_uses=tool.max_uses,
        concurrency=tool.concurrency,
        idempotent=tool.idempotent,
        requires_approval=bool(tool.requires_approval),
        tags=tuple(sorted(tool.tags)),
    )


def listed(toolboxes: Iterable[tuple[str, Iterable[Tool]]]) -> tuple[ToolDefinition, ...]:
    """The tools of agents, given as (agent, tools)."""
    return tuple(definition(agent, tool) for agent, tools in toolboxes for tool in tools)
