"""`troupe api`: the HTTP API and the page, until SIGTERM."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.place import home, store_settings
from tasks.errors import BadSetting
from tasks.logs import LogSettings, configure_logs
from tasks.parent import end_with_parent
from tasks.settings import read_settings

if TYPE_CHECKING:
    from fastapi import FastAPI


def api(
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where to listen. Default: TROUPE_API_HOST, or 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one. Default: TROUPE_API_PORT, or 8080.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate, to serve https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the page too.")] = True,
) -> None:
    """Serve the HTTP API and the page until SIGTERM. Several may run.

    Without an API key (troupe keys create) only this machine may come in.
    """
    from orchestrator.api.door import Door
    from orchestrator.api.serving import loop_factory, serve
    from orchestrator.api.settings import ApiSettings
    from orchestrator.client import AsyncTroupe
    from orchestrator.mcp_door.serving import mount as mount_mcp
    from orchestrator.web import mount as mount_page
    from workers.cli.shelves import shelves

    if (tls_cert is None) != (tls_key is None):
        raise BadSetting("--tls-cert and --tls-key belong together")
    for file in (tls_cert, tls_key):
        if file is not None and not file.is_file():
            raise BadSetting(f"there is no file {str(file)!r}")
    said = {name: value for name, value in {"api_host": host, "api_port": port}.items() if value is not None}
    settings, store = read_settings(ApiSettings, **said), store_settings()
    configure_logs(read_settings(LogSettings))
    end_with_parent()

    def mount(app: "FastAPI") -> None:
        mount_mcp(app)
        if page:
            mount_page(app)

    async def run() -> None:
        door = Door(AsyncTroupe(settings=store), settings, home(), shelves())
        await serve(door, certificate=tls_cert, key=tls_key, ready=_say, mount=mount)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())


def _say(url: str) -> None:
    typer.echo(f"serving {url}")
