"""One connection to an MCP server, made again when it broke. Loads the `mcp` package at the first connection."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import JsonValue

from tasks.errors import TransientError
from workers.tools.base import ToolError
from workers.tools.current import current_call
from workers.tools.mcp_client import list_tools, make_client, reason
from workers.tools.mcp_content import as_text
from workers.tools.mcp_settings import McpServerConfig

if TYPE_CHECKING:
    from mcp.client.client import Client
    from mcp_types import Tool as McpTool

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""Between two tries to connect; doubled from the first on."""
MAX_SILENT: Final = 2
"""Calls without an answer, one after the other, that end a connection: the next call makes a new one."""
GRACE_S: Final = 0.2
KEY_FIELD: Final = "troupe/idempotency-key"
"""Field of a call's `_meta` with `current_call().key`."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("worker")


class ServerAwayError(TransientError):
    """The server cannot be reached now."""

    code = "server_unavailable"


class _Link:
    """One connection; lives in a task of its own, because the library wants it closed where it was opened."""

    def __init__(self, name: str, config: McpServerConfig) -> None:
        self.ready: asyncio.Future[tuple[Client, list[McpTool]]] = asyncio.get_running_loop().create_future()
        self.broken = asyncio.Event()
        self.task = asyncio.create_task(self._live(name, config), name=f"mcp-{name}")

    async def _live(self, name: str, config: McpServerConfig) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(config.connect_s):
                    client = await stack.enter_async_context(await make_client(config, stack))
                    tools = await list_tools(client)
                self.ready.set_result((client, tools))
                await self.broken.wait()
        except Exception as error:  # noqa: BLE001 (the library lets through whatever process, network and server do)
            if self.ready.done():
                log.info("mcp_connection_ended", server=name, reason=reason(error))
            else:
                self.ready.set_exception(ServerAwayError(reason(error)))
        finally:
            self.broken.set()
            if not self.ready.done():
                self.ready.set_exception(ServerAwayError("it was closed"))
            self.ready.exception()  # looked at: nobody may be waiting any more


class McpServer:
    """A server that may come and go. Lives in one event loop."""

    def __init__(self, name: str, config: McpServerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.config = config
        self._clock = clock
        self._link: _Link | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._not_before = 0.0
        self._last = "it was not asked yet"
        self._silent = 0

    async def tools(self) -> "list[McpTool]":
        """What the server offers, as it said when the connection was made.

        Raises:
            ServerAwayError: it cannot be reached, or could not a moment ago.
        """
        return (await self._connected())[1]

    async def call(self, tool: str, arguments: dict[str, JsonValue]) -> str:
        """Call a tool by its own name.

        Raises:
            ToolError: `server_unavailable`, `timeout`, `refused` (by the protocol) or `failed` (by the tool).
        """
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS, REQUEST_TIMEOUT

        try:
            client, _ = await self._connected()
        except ServerAwayError as error:
            raise self._away(str(error)) from error
        meta: Any = {KEY_FIELD: current_call().key}
        try:
            result = await client.call_tool(tool, arguments, self.config.timeout_s, meta=meta)
        except asyncio.CancelledError:  # our own limit, or the step's end: the server was too slow for it
            self._count_silence()
            raise
        except MCPError as error:
            if error.code == INVALID_PARAMS:
                self._silent = 0
                raise ToolError("refused", f"{self.name} refused the call: {error.message}") from error
            if error.code == REQUEST_TIMEOUT:
                self._count_silence()
                said = f"{self.name} did not answer within {self.config.timeout_s:g} s; ask it for less"
                raise ToolError("timeout", said) from error
            self._drop()
            raise self._away(error.message) from error
        except Exception as error:  # (likewise)
            self._drop()
            raise self._away(reason(error)) from error
        self._silent = 0
        if result.is_error:
            raise ToolError("failed", as_text(result) or f"{tool} failed and did not say why")
        return as_text(result)

    async def close(self) -> None:
        """End the connection, and the server's process."""
        self._drop()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _connected(self) -> "tuple[Client, list[McpTool]]":
        link = self._link
        if link is None or link.broken.is_set():
            if self._clock() < self._not_before:
                raise ServerAwayError(self._last)
            link = self._link = _Link(self.name, self.config)
            link.task.add_done_callback(self._ending.discard)
            self._ending.add(link.task)
        # Neither shared fate nor endless patience: a step that stops waiting must not take the connection from others,
        # and a program that will not even end takes some seconds to be put away.
        await asyncio.wait({link.ready}, timeout=self.config.connect_s + GRACE_S)
        try:
            connected = link.ready.result() if link.ready.done() else None
            if connected is None:
                raise ServerAwayError("no answer in time")
        except ServerAwayError as error:
            if self._link is link:  # the first of those who waited
                self._link = None
                self._note_failure(str(error))
            raise
        self._failures = 0
        return connected

    def _note_failure(self, why: str) -> None:
        pause = min(FIRST_PAUSE_S * 2**self._failures, LONGEST_PAUSE_S)
        self._failures, self._last, self._not_before = self._failures + 1, why, self._clock() + pause
        log.warning("mcp_server_away", server=self.name, reason=why, again_in_s=pause)

    def _count_silence(self) -> None:
        self._silent += 1
        if self._silent >= MAX_SILENT:
            self._drop()

    def _drop(self) -> None:
        link, self._link, self._silent = self._link, None, 0
        if link is None:
            return
        link.broken.set()
        if not link.ready.done():
            link.task.cancel()

    def _away(self, why: str) -> ToolError:
        said = f"the server {self.name} is not available ({why}); go on without its tools, or try again later"
        return ToolError(ServerAwayError.code, said)
