"""Commands about how the fleet gets on: tools, stats."""

from typing import Annotated

import typer

from orchestrator.cli.jobs import AsJson, wide_console
from orchestrator.cli.listing import read_age
from orchestrator.cli.lists import print_json
from orchestrator.cli.place import connect
from orchestrator.cli.stats_tables import sections, tool_cells, tool_table
from tasks.tool_figures import ToolReport

Since = Annotated[str, typer.Option("--since", metavar="AGE", help="How far back to count: 30m, 24h; at most 7d.")]


def tools(since: Since = "24h", json: AsJson = False) -> None:
    """List the tools of living workers, with their limits and how their calls went."""
    with connect() as troupe:
        found = troupe.tools(read_age(since, "--since"))
    if json:
        print_json(found)
        return
    if not found:
        typer.echo("no living workers with tools: start some with troupe worker QUEUE…, or troupe up", err=True)
        return
    table = tool_table("tool", "agents", "limits")
    table.add_column("description", no_wrap=True)
    for one in found:
        description = one.description.partition(". ")[0][:80]
        table.add_row(one.name, ", ".join(one.agents), limits(one), *tool_cells(one.figures), description)
    wide_console().print(table)


def stats(since: Since = "24h", json: AsJson = False) -> None:
    """Print what the fleet did: throughput, success, durations, tools, tokens and cost."""
    with connect() as troupe:
        found = troupe.stats(read_age(since, "--since"))
    if json:
        typer.echo(found.model_dump_json(indent=2))
        return
    typer.echo(f"from {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC")
    console = wide_console()
    for table in sections(found):
        typer.echo()
        console.print(table)


def limits(tool: ToolReport) -> str:
    """Its limits, in short."""
    parts = [f"{tool.timeout_s:g} s"]
    for value, text in ((tool.rate_limit, "a minute"), (tool.max_uses, "a step"), (tool.concurrency, "at once")):
        if value is not None:
            parts.append(f"{value} {text}")
    if tool.requires_approval:
        parts.append("asks first")
    return ", ".join(parts)
