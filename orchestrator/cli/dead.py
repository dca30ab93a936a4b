"""Commands about steps that were given up: dead list, show, retry, drop."""

from typing import Annotated

import typer
from rich.table import Column, Table

from orchestrator.cli.jobs import AsJson, Job, wide_console
from orchestrator.cli.lists import MOST, Limit, group, print_json
from orchestrator.cli.place import connect
from orchestrator.dead import by_job
from tasks.errors import FleetFull, NotDead, TroupeError, UnknownJob
from tasks.models import Attempt

Step = Annotated[str, typer.Argument(metavar="STEP", help="Id of the step.", show_default=False)]

dead = group("dead", "Steps that were given up: look at them, retry or drop them.", lists=False)


@dead.command("list")
def list_dead(limit: Limit = 20, json: AsJson = False) -> None:
    """List the steps that were given up last."""
    with connect() as troupe:
        found = troupe.dead.list(limit)
    if json:
        print_json(found)
        return
    table = Table(Column("job", no_wrap=True), Column("step", no_wrap=True), "agent", "attempts", "died", box=None)
    table.add_column("job is")
    table.add_column("error", no_wrap=True)
    for one in found:
        error = f"{one.error.code}: {' '.join(one.error.message.split())}"[:80]
        died = f"{one.died_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(one.job_id, one.step, one.agent, str(one.attempts), died, one.job_status.value, error)
    wide_console().print(table)


@dead.command()
def show(job: Job, step: Step, json: AsJson = False) -> None:
    """Print a step that was given up, with all its attempts."""
    with connect() as troupe:
        one = troupe.dead.show(job, step)
    if json:
        typer.echo(one.model_dump_json(indent=2))
        return
    typer.echo(f"{one.step} of job {one.job_id} ({one.job_status.value}), given up {one.died_at:%Y-%m-%d %H:%M:%S}")
    typer.echo(f"agent {one.agent}, queue {one.queue}: {one.description}")
    typer.echo(f"{one.error.code}: {one.error.message}")
    for attempt in one.history:
        typer.echo(_line(attempt))


@dead.command()
def retry(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Job id.", show_default=False)] = None,
    steps: Annotated[
        list[str] | None, typer.Argument(metavar="STEP…", help="Steps of the job.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All steps of the list (of JOB, if given).")] = False,
) -> None:
    """Try steps again, also when their job has ended since: it goes on, with its original timeout from now."""
    if every == bool(steps) or (job is None and not every):
        raise typer.BadParameter("name a JOB and its STEPs, or say --all")
    with connect() as troupe:
        if job is not None and steps:
            troupe.dead.retry(job, *steps)
            typer.echo(f"job {job} goes on: {', '.join(steps)}")
            return
        refused = 0
        for one, names in by_job(troupe.dead.list(MOST)).items():
            if job not in {None, one}:
                continue
            try:
                troupe.dead.retry(one, *names)
                typer.echo(f"job {one} goes on: {', '.join(names)}")
            except (NotDead, UnknownJob, FleetFull) as error:
                refused += 1
                typer.echo(f"troupe: {error}", err=True)
    if refused:
        raise TroupeError(f"{refused} jobs could not be retried")


@dead.command()
def drop(job: Job, step: Step) -> None:
    """Take a step off the list; it stays failed."""
    with connect() as troupe:
        troupe.dead.drop(job, step)
    typer.echo(f"{step} of job {job} dropped")


def _line(attempt: Attempt) -> str:
    reason = f"{attempt.failure.code}: {attempt.failure.message}" if attempt.failure else ""
    worker = (attempt.worker or "").partition("@")[0]
    ended = f"{attempt.outcome.value} on {worker} {attempt.finished_at:%H:%M:%S}"
    return f"  attempt {attempt.number} {ended} {reason}".rstrip()
