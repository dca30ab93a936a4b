"""Commands that are one process of a fleet each: orchestrator, flower."""

import asyncio
import os
from typing import Annotated, Final

import typer

from orchestrator.place import store_settings
from orchestrator.settings import OrchestratorSettings
from tasks.errors import BadSetting
from tasks.logs import LogSettings, configure_logs
from tasks.metrics.settings import MetricsSettings
from tasks.parent import end_with_parent
from tasks.settings import read_settings

MAX_PORT: Final = 65_535


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
) -> None:
    """Run Flower on the fleet's broker. Beyond loopback it wants FLOWER_BASIC_AUTH=user:password."""
    from orchestrator.local.monitor import LOOPBACK, serve
    from orchestrator.local.redis_server import port_is_free
    from tasks.app import make_app

    where = address or os.environ.get("FLOWER_ADDRESS") or LOOPBACK[0]
    number = port or _port_of(os.environ.get("FLOWER_PORT") or "5555")
    protected = bool(os.environ.get("FLOWER_BASIC_AUTH"))
    if where not in LOOPBACK and not protected:
        raise BadSetting(f"Flower would listen on {where} without a password: set FLOWER_BASIC_AUTH=user:password")
    if not port_is_free(number):
        raise BadSetting(f"port {number} is taken; choose another one with --port")
    if not protected:  # Flower keeps its API shut without a password, also for this machine alone
        os.environ.setdefault("FLOWER_UNAUTHENTICATED_API", "true")
    configure_logs(read_settings(LogSettings))
    end_with_parent()
    arguments = [f"--address={where}", f"--port={number}", "--max_tasks=10000"]
    arguments.append("--tasks_columns=name,uuid,state,kwargs,result,received,started,runtime,worker")
    serve(make_app(store_settings(), current=True), arguments, guarded=not protected)


def _port_of(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= MAX_PORT:
        raise BadSetting(f"FLOWER_PORT: {text!r} is no port: 1 to {MAX_PORT}")
    return int(text)
