"""Opens the `mcp` package's client for a server. The package takes most of a second to load: it is met at first use."""

import asyncio
import importlib
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from workers.tools.mcp_settings import McpServerConfig

if TYPE_CHECKING:
    from mcp.client.client import Client
    from mcp_types import Tool as McpTool

MAX_PAGES: Final = 100
MAX_REASON_CHARS: Final = 200


async def make_client(config: McpServerConfig, stack: AsyncExitStack) -> "Client":
    """A client that is not connected yet; what it needs is closed with the stack.

    Raises:
        OSError: its log file cannot be opened.
    """
    await asyncio.to_thread(importlib.import_module, "mcp.client.client")
    import httpx2
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if config.url is not None:
        headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        limits = httpx2.Timeout(config.connect_s, read=config.timeout_s + config.connect_s)
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=limits))
        return Client(streamable_http_client(config.url, http_client=http), cache=None)
    place = Path(config.log_file or os.devnull)
    errors = stack.enter_context(await asyncio.to_thread(place.open, "a", encoding="utf-8"))
    program = StdioServerParameters(
        command=config.command or "",
        args=list(config.args),
        env={name: value.get_secret_value() for name, value in config.env.items()},
        cwd=config.cwd,
        encoding_error_handler="replace",
    )
    return Client(stdio_client(program, errlog=errors), cache=None)


async def list_tools(client: "Client") -> "list[McpTool]":
    """Every page of the server's list."""
    tools: list[McpTool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


def reason(error: BaseException) -> str:
    """The first real cause inside groups of errors, in a few words."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return said[:MAX_REASON_CHARS]
