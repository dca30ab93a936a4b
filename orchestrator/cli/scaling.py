"""Commands for those who watch and size a fleet from outside: scale, metrics."""

import json as json_text
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Column, Table

from orchestrator.cli.jobs import AsJson, wide_console
from orchestrator.cli.lists import print_json
from orchestrator.cli.place import connect
from orchestrator.scaling import ScaleBounds
from tasks.presence import MetricsPresence


def scale(
    least: Annotated[int, typer.Option("--min", min=0, help="Workers of a queue that has nothing to do.")] = 0,
    most: Annotated[int, typer.Option("--max", min=1, help="Most workers of a queue.")] = 100,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Attempts that one worker does at once. Default: as the living ones.")
    ] = None,
    within: Annotated[float, typer.Option(min=0.1, metavar="S", help="A waiting step should begin so soon.")] = 10.0,
    json: AsJson = False,
) -> None:
    """Print how many workers each queue wants now; it starts none."""
    bounds = ScaleBounds(least, most, slots, timedelta(seconds=within))
    with connect() as troupe:
        found = troupe.scale(bounds)
    if json:
        print_json(found)
        return
    if not found:
        typer.echo("no steps and no living workers", err=True)
        return
    names = ("ready", "dispatched", "running", "oldest", "workers", "slots", "wanted")
    table = Table("queue", *(Column(name, justify="right", no_wrap=True) for name in names), "reason", box=None)
    for one in found:
        counts = [str(one.ready), str(one.dispatched), str(one.running), f"{one.oldest_ready_s:.1f} s"]
        table.add_row(one.queue, *counts, str(one.workers), str(one.slots), str(one.wanted), one.reason)
    wide_console().print(table)


def metrics(json: AsJson = False) -> None:
    """List where living processes serve their figures; --json as Prometheus' file_sd wants it."""
    with connect() as troupe:
        found = troupe.metrics()
    if json:
        typer.echo(json_text.dumps([_target(one) for one in found], indent=1))
        return
    if not found:
        typer.echo("no living process serves figures: set TROUPE_METRICS_PORT, or use troupe up --metrics", err=True)
        return
    table = Table("process", "role", "host", "address", box=None)
    for one in found:
        table.add_row(one.name, one.role, one.host, f"http://{one.address}/metrics")
    wide_console().print(table)


def _target(one: MetricsPresence) -> dict[str, object]:
    return {"targets": [one.address], "labels": {"role": one.role, "process": one.name}}
