"""Commands about how the fleet gets on: tools, stats."""

from typing import Annotated

import typer
from rich.table import Column, Table

from orchestrator.cli.jobs import AsJson, wide_console
from orchestrator.cli.listing import read_age
from orchestrator.cli.place import connect
from tasks.tool_figures import ToolFigures, ToolReport

Since = Annotated[str, typer.Option("--since", metavar="AGE", help="How far back to count: 30m, 24h; at most 7d.")]
FIGURES = ("calls", "success", "mean", "p50", "p95", "errors")


def tools(since: Since = "24h", json: AsJson = False) -> None:
    """List the tools of living workers, with their limits and how their calls went."""
    with connect() as troupe:
        found = troupe.tools(read_age(since, "--since"))
    if json:
        typer.echo("[" + ",\n ".join(one.model_dump_json() for one in found) + "]")
        return
    if not found:
        typer.echo("no living workers with tools: start some with troupe worker QUEUE…, or troupe up", err=True)
        return
    table = _table("tool", "agents", "limits")
    table.add_column("description", no_wrap=True)
    for one in found:
        description = one.description.partition(". ")[0][:80]
        table.add_row(one.name, ", ".join(one.agents), limits(one), *shown(one.figures), description)
    wide_console().print(table)


def stats(since: Since = "24h", json: AsJson = False) -> None:
    """Print how tool calls went: by tool and agent, and in total."""
    with connect() as troupe:
        found = troupe.stats(read_age(since, "--since"))
    if json:
        typer.echo(found.model_dump_json(indent=2))
        return
    table = _table("tool", "agent")
    for one in found.tools:
        table.add_row(one.tool, one.agent, *shown(one))
    table.add_row("total", "", *shown(found.totals))
    typer.echo(f"tool calls from {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC")
    wide_console().print(table)


def shown(figures: ToolFigures) -> list[str]:
    """One cell for each of FIGURES."""
    rate = "" if figures.success_rate is None else f"{figures.success_rate:.1%}"
    errors = ", ".join(f"{code} {count}" for code, count in figures.errors.items())
    return [str(figures.calls), rate, *map(_duration, (figures.mean_ms, figures.p50_ms, figures.p95_ms)), errors]


def limits(tool: ToolReport) -> str:
    """Its limits, in short."""
    parts = [f"{tool.timeout_s:g} s"]
    for value, text in ((tool.rate_limit, "a minute"), (tool.max_uses, "a step"), (tool.concurrency, "at once")):
        if value is not None:
            parts.append(f"{value} {text}")
    if tool.requires_approval:
        parts.append("asks first")
    return ", ".join(parts)


def _table(*first: str) -> Table:
    right = [Column(name, justify="right", no_wrap=True) for name in FIGURES[:-1]]
    return Table(*first, *right, FIGURES[-1], box=None)


def _duration(ms: float | None) -> str:
    if ms is None:
        return ""
    if ms >= 10_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.2g} ms"
