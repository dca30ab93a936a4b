"""`troupe jobs`: the newest jobs, and the forgetting of old ones."""

import re
from datetime import timedelta
from typing import Annotated, Final

import typer
from rich.table import Column, Table

from orchestrator.cli.console import PlainConsole
from orchestrator.cli.jobs import AsJson, wide_console
from orchestrator.cli.lists import Limit, group, print_json
from orchestrator.cli.place import connect
from tasks.results import MICROUSD
from tasks.states import FINAL_JOB, TaskStatus
from tasks.store import Pruned

AGE: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
ENDINGS: Final = ",".join(sorted(FINAL_JOB))

jobs = group("jobs", "List the newest jobs; or forget old ones.", lists=True)


@jobs.callback()
def list_jobs(
    context: typer.Context,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List the newest jobs; or forget old ones."""
    if context.invoked_subcommand is not None:
        return
    with connect() as troupe:
        found = troupe.jobs(limit)
    if json:
        print_json(found)
        return
    table = Table(Column("job", no_wrap=True), "status", "steps", "cost", "created", box=None)
    table.add_column("task", no_wrap=True)
    for one in found:
        table.add_row(
            one.job_id,
            one.status.value,
            f"{one.steps_done}/{one.steps_total}",
            f"${one.cost_microusd / MICROUSD:.4f}",
            f"{one.created_at:%Y-%m-%d %H:%M:%S}",
            " ".join(one.task.split())[:60],
        )
    wide_console().print(table)


@jobs.command()
def prune(
    older_than: Annotated[str, typer.Option(metavar="AGE", help="Time since a job's end: 90s, 30m, 12h, 7d.")] = "7d",
    status: Annotated[str, typer.Option(metavar="STATUS,…", help="Only jobs that ended so.")] = ENDINGS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    json: AsJson = False,
) -> None:
    """Forget jobs that have ended, before their retention is over. Open jobs always stay."""
    age, statuses = read_age(older_than), read_statuses(status)
    with connect() as troupe, PlainConsole(stderr=True).status("looking") as shown:
        size = 0

        def progress(so_far: Pruned) -> None:
            nonlocal size
            size = so_far.bytes
            shown.update(f"{so_far.looked_at} jobs looked at, {so_far.forgotten} {'found' if dry_run else 'forgotten'}")

        count = troupe.prune(age, statuses, dry_run=dry_run, progress=progress)
    if json:
        typer.echo(f'{{"forgotten": {0 if dry_run else count}, "found": {count}, "bytes": {size}}}')
    else:
        typer.echo(f"{count} jobs {'would be forgotten' if dry_run else 'forgotten'}{shown_size(size)}")


def read_age(text: str, option: str = "--older-than") -> timedelta:
    """A length of time with its unit."""
    found = AGE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        return timedelta(seconds=float(found[1]) * UNITS[found[2]])
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no age: 90s, 30m, 12h, 7d", param_hint=option) from None


def shown_size(size: int) -> str:
    """What they took, for people; nothing when it is not known."""
    if not size:
        return ""
    return f", about {size / 1e6:,.1f} MB" if size >= 1_000_000 else f", about {max(size // 1000, 1)} kB"


def read_statuses(text: str) -> list[TaskStatus]:
    """Final statuses, separated by commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    strange = [name for name in names if name not in set(FINAL_JOB)]
    if strange or not names:
        raise typer.BadParameter(f"{', '.join(strange) or 'none'}; there are: {ENDINGS}", param_hint="--status")
    return [TaskStatus(name) for name in names]
