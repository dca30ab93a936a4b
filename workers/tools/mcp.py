"""Tools of MCP servers (https://modelcontextprotocol.io), as tools like all others.

A server that is away costs its tools, never the step: at the start they are missing, later they answer with an error.
"""

import asyncio
import functools
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import structlog

from tasks.errors import BadSetting
from workers.llm.base import JsonSchema
from workers.tools.base import Tool
from workers.tools.mcp_server import McpServer, ServerAwayError
from workers.tools.mcp_settings import McpServerConfig
from workers.tools.names import api_names

if TYPE_CHECKING:
    from mcp_types import Tool as McpTool

GRACE: Final = timedelta(milliseconds=500)
"""Our own limit stands behind the server's: a slow call is told by the connection, not by its cancellation."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("worker")


class McpServers:
    """The servers of a process. Connects when their tools are first wanted. Lives in one event loop."""

    def __init__(self, configs: Mapping[str, McpServerConfig]) -> None:
        self._servers = {name: McpServer(name, config) for name, config in configs.items()}

    async def tools(self, names: Iterable[str], taken: Collection[str] = ()) -> tuple[Tool, ...]:
        """The allowed tools of these servers, in order of name; of a server that is away none.

        Args:
            taken: Names that the agent's own tools have; a server's tool of the same name is left out.

        Raises:
            BadSetting: there is no such server.
        """
        wanted = sorted(set(names))
        unknown = [name for name in wanted if name not in self._servers]
        if unknown:
            known = ", ".join(sorted(self._servers)) or "none"
            raise BadSetting(f"no MCP server {unknown[0]!r}; TROUPE_MCP names: {known}")
        found = await asyncio.gather(*(_tools_of(self._servers[name]) for name in wanted))
        made: dict[str, Tool] = {}
        for tool in (tool for tools in found for tool in tools):
            if tool.name in made or tool.name in taken:
                log.warning("mcp_tool_left_out", tool=tool.name, reason="another tool has that name: give a prefix")
            else:
                made[tool.name] = tool
        return tuple(made[name] for name in sorted(made))

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))


async def _tools_of(server: McpServer) -> list[Tool]:
    try:
        offered = await server.tools()
    except ServerAwayError as error:
        log.warning("mcp_tools_missing", server=server.name, reason=str(error))
        return []
    allowed = {tool.name: tool for tool in offered if _matches(tool.name, server.config.allow)}
    prefix = f"{server.name}_" if server.config.prefix is None else server.config.prefix
    names = api_names(allowed, prefix)
    return [_tool(server, names[name], tool) for name, tool in allowed.items()]


def _tool(server: McpServer, name: str, offered: "McpTool") -> Tool:
    config = server.config
    return Tool(
        name=name,
        description=offered.description or offered.title or f"{offered.name} of {server.name}",
        function=functools.partial(server.call, offered.name),
        timeout=timedelta(seconds=config.timeout_s + config.connect_s) + GRACE,
        rate_limit=config.rate_limit,
        concurrency=config.concurrency,
        requires_approval=_matches(offered.name, config.requires_approval),
        tags=frozenset({"mcp", server.name}),
        given_schema=_schema(offered.input_schema),
        own_name=offered.name,
    )


def _schema(schema: dict[str, Any]) -> JsonSchema:
    """As the API wants it: an object at the root."""
    return {**schema, "type": "object"}


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
