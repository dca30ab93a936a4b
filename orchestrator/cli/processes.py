"""Commands that are one process of a fleet each: orchestrator, flower."""

import asyncio
from typing import Annotated

import typer

from orchestrator.place import home, store_settings
from orchestrator.settings import OrchestratorSettings
from tasks.logs import LogSettings, configure_logs
from tasks.metrics.settings import MetricsSettings
from tasks.parent import end_with_parent
from tasks.settings import read_settings


def orchestrator() -> None:
    """Run one orchestrator until SIGTERM, then drain. Several may run."""
    from orchestrator.process import serve

    settings, metrics, store = read_settings(OrchestratorSettings), read_settings(MetricsSettings), store_settings()
    configure_logs(read_settings(LogSettings))
    end_with_parent()
    asyncio.run(serve(store, settings, metrics))


def flower(
    address: Annotated[
        str | None, typer.Option(help="Address to listen on. Default: FLOWER_ADDRESS, or 127.0.0.1.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port. Default: FLOWER_PORT, or 5555.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show only: no button does anything.")] = False,
) -> None:
    """Run Flower, Celery's monitor, on the fleet's broker: workers, and attempts at steps as tasks.

    Whoever can open it can cancel jobs and stop workers. So beyond this machine it wants a password:
    FLOWER_BASIC_AUTH=user:password (or FLOWER_AUTH with OAuth). All of Flower's own options are there as FLOWER_…
    variables. What it has seen is kept in TROUPE_HOME/flower: at most 10,000 tasks.

    It is a view. What a job really is, `troupe show JOB` says.
    """
    from orchestrator.local.flower_server import configure, defaults, serve
    from tasks.app import make_app

    configure_logs(read_settings(LogSettings))
    store = store_settings()
    chosen = {"--address": address, "--port": port, "--read_only": read_only or None}
    arguments = [f"{name}={value}" for name, value in chosen.items() if value is not None]
    protected = configure(defaults(home(), store.broker), arguments)
    end_with_parent()
    serve(make_app(store, current=True), store, protected=protected)
