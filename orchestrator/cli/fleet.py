"""Commands about the fleet: agents, doctor."""

import asyncio
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli.jobs import wide_console
from orchestrator.cli.lists import print_json
from orchestrator.cli.place import connect
from orchestrator.doctor import examine, examine_role
from orchestrator.findings import Finding, Verdict
from orchestrator.place import home, store_settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def agents(json: AsJson = False) -> None:
    """List the agents of living workers."""
    with connect() as troupe:
        found, workers = troupe.agents(), troupe.workers()
    if json:
        print_json(found)
        return
    table = Table("agent", "queue", "version", "workers", "capabilities", "tools", "description", box=None)
    for one in found:
        count = sum(1 for worker in workers if one.queue in worker.queues)
        capabilities, tools = ", ".join(one.capabilities), ", ".join(one.tools)
        table.add_row(one.name, one.queue, one.version, str(count), capabilities, tools, one.description)
    if not found:
        typer.echo("no living workers: start some with troupe worker QUEUE…, or everything with troupe up", err=True)
        return
    wide_console().print(table)


def doctor(
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="Only what this process needs: worker or orchestrator.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Check everything that a fleet needs; exit code 1 when something is wrong."""
    if role not in {None, "worker", "orchestrator"}:
        raise typer.BadParameter(f"{role!r} is neither worker nor orchestrator", param_hint="--role")
    settings = store_settings()
    findings = asyncio.run(examine_role(settings, role) if role else examine(settings, home()))
    if json:
        print_json(findings)
    else:
        for one in findings:
            typer.echo(_line(one))
    if any(one.verdict is Verdict.PROBLEM for one in findings):
        raise typer.Exit(1)


def _line(finding: Finding) -> str:
    mark = {Verdict.OK: "ok     ", Verdict.WARNING: "warning", Verdict.PROBLEM: "problem"}[finding.verdict]
    advice = f" — {finding.advice}" if finding.advice else ""
    return f"{mark}  {finding.check}: {finding.message}{advice}"
