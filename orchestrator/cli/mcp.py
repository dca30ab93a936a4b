"""`troupe mcp`: the MCP server, over stdio or streamable HTTP."""

import asyncio
from typing import Annotated

import typer

from orchestrator.client import AsyncTroupe
from orchestrator.remote.settings import RemoteSettings, is_this_machine
from tasks.errors import BadSetting
from tasks.logs import LogSettings, configure_logs
from tasks.parent import end_with_parent
from tasks.settings import read_settings


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP, at /mcp; else stdio.")] = False,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="With --http: where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http: port; 0: any free one.")] = 8090,
) -> None:
    """Serve the fleet to programs that speak MCP, as tools: submit, follow, search, decide.

    With TROUPE_API_URL it goes through that API: over stdio with TROUPE_API_KEY, over HTTP with each caller's own key.
    Without, straight to Redis, for this machine only. troupe api serves /mcp by itself.
    """
    configure_logs(read_settings(LogSettings))
    end_with_parent()
    api = read_settings(RemoteSettings).api_url
    if not http:
        asyncio.run(_stdio())
        return
    if not api and not is_this_machine(host):
        raise BadSetting(
            f"--host: {host} can be reached from elsewhere, and without TROUPE_API_URL nobody needs a key: listen on "
            "127.0.0.1, or let troupe api serve /mcp"
        )
    asyncio.run(_http(api, host, port))


async def _stdio() -> None:
    from orchestrator.mcp_door.server import make_server
    from orchestrator.mcp_door.ways import OneWay
    from workers.cli.shelves import shelves

    async with AsyncTroupe() as troupe:
        await make_server(OneWay(troupe, shelves())).run_stdio_async()


async def _http(api: str, host: str, port: int) -> None:
    from orchestrator.mcp_door.serving import serve
    from orchestrator.mcp_door.ways import KeyWay, OneWay
    from workers.cli.shelves import shelves

    def ready(url: str) -> None:
        typer.echo(f"serving {url}")

    if api:
        await serve(KeyWay(api), host, port, ready)
        return
    async with AsyncTroupe() as troupe:
        await serve(OneWay(troupe, shelves()), host, port, ready)
