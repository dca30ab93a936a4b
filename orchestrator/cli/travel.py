"""`troupe fork`, `retry` and `diff`: a job again from one of its steps, its failed part again, two jobs compared."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.difference import print_diff
from orchestrator.cli.jobs import AsJson, BudgetUsd, Job, Model, print_outcome
from orchestrator.cli.place import connect
from orchestrator.travel.edit import NO_EDIT, Edit, read_edit
from tasks.errors import ContractError
from tasks.results import JobResult

STDIN = Path("-")
DIFFERENT = 1

Wait = Annotated[float, typer.Option("--wait", min=0, metavar="S", help="Wait up to this many seconds for its end.")]


def fork(
    job: Job,
    step: Annotated[
        str,
        typer.Option("--from", metavar="STEP", help="First step to do anew: one of the plan, synthesis, or plan."),
    ],
    edit: Annotated[
        Path | None,
        typer.Option("--edit", metavar="FILE", help="Changes of steps and task, JSON or TOML; - is stdin."),
    ] = None,
    model: Model = None,
    budget_usd: BudgetUsd = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.001, metavar="S", help="Seconds until it fails; unless given, as JOB's."),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="A second fork with the same key returns the first one.")
    ] = None,
    in_session: Annotated[
        bool, typer.Option("--in-session", help="Say the task again in JOB's session, as a new turn.")
    ] = False,
    wait: Wait = 0,
    json: AsJson = False,
) -> None:
    """Submit a job again from one of its steps, and print the new job's id.

    Steps that succeeded before it are reused, at no cost.
    """
    changes = NO_EDIT if edit is None else _read(edit)
    with connect() as troupe:
        handle = troupe.job(job).fork(
            step, edit=changes, model=model, budget_usd=budget_usd, timeout=timeout, idempotency_key=idempotency_key,
            in_session=in_session,
        )  # fmt: skip
        outcome = handle.wait(wait) if wait > 0 else handle.snapshot()
    typer.echo(_reuse(outcome, job), err=True)
    if json or wait > 0:
        print_outcome(outcome, json=json)
    else:
        typer.echo(outcome.job_id)


def retry(job: Job, wait: Wait = 0, json: AsJson = False) -> None:
    """Try the failed part of a job again; what succeeded stays."""
    with connect() as troupe:
        handle = troupe.job(job)
        steps = handle.retry()
        typer.echo(f"job {job} goes on: {', '.join(steps)}", err=json or wait > 0)
        outcome = handle.wait(wait) if wait > 0 else handle.snapshot()
    if json or wait > 0:
        print_outcome(outcome, json=json)


def diff(
    before: Annotated[str, typer.Argument(metavar="JOB", help="The one job.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="JOB", help="The other job.", show_default=False)],
    json: AsJson = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 when they differ.")] = False,
) -> None:
    """Print what differs between two jobs: plan, results, answer, sources, cost, time."""
    with connect() as troupe:
        found = troupe.diff(before, after)
    if json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        print_diff(found)
    if exit_code and found.differs:
        raise typer.Exit(DIFFERENT)


def _read(path: Path) -> Edit:
    try:
        text = sys.stdin.read() if path == STDIN else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ContractError(f"{path} cannot be read: {reason}") from error
    name, known = ("what came on stdin", None) if path == STDIN else (str(path), path.suffix.lower())
    return read_edit(text, name=name, toml={".toml": True, ".json": False}.get(known or ""))


def _reuse(outcome: JobResult, job: str) -> str:
    reused = [step.id for step in outcome.steps if step.reused_from is not None]
    return f"job {outcome.job_id}: {', '.join(reused) or 'nothing'} reused from {job}"
