"""A real MCP server for tests: `python -m tests.support.mcp_server [http PORT]`, made with the official package."""

import asyncio
import os
import sys
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ImageContent

server = MCPServer("tester")


@server.tool()
def add(left: int, right: int = 1) -> int:
    """Adds two numbers."""
    return left + right


@server.tool(name="say.it")
def say(text: str) -> str:
    """Says it."""
    return text


@server.tool()
def environment(name: str) -> str:
    """One of its environment variables."""
    return os.environ.get(name, "unset")


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("on purpose")


@server.tool()
def picture() -> ImageContent:
    """A picture."""
    return ImageContent(type="image", data="AAAA", mime_type="image/png")


@server.tool()
async def hang() -> str:
    """Never ends."""
    await asyncio.Event().wait()
    return ""


@server.tool()
def die() -> str:
    """Ends the server."""
    os._exit(1)


@server.tool()
def key(context: Context[Any]) -> str:
    """The idempotency key of the call."""
    meta: Any = context.request_context.meta or {}
    return str(dict(meta).get("troupe/idempotency-key"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", port=int(sys.argv[2]))
    else:
        server.run("stdio")
