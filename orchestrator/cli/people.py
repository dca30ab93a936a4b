"""Commands about what steps ask people: approvals, approve, deny, answer."""

import getpass
import json as json_module
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.table import Column, Table
from rich.text import Text

from orchestrator.cli.jobs import AsJson, Job, wide_console
from orchestrator.cli.lists import print_json
from orchestrator.cli.place import connect
from orchestrator.people import wording
from tasks.errors import ContractError

Step = Annotated[str, typer.Argument(metavar="STEP", help="Id of the step that waits.", show_default=False)]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="Which one, where a step waits for several.")]


def approvals(json: AsJson = False) -> None:
    """List what steps ask people: approvals and questions."""
    with connect() as troupe:
        found = troupe.people.list()
    if json:
        print_json(found)
        return
    table = Table(Column("job", no_wrap=True), Column("step", no_wrap=True), "asks for", "until", "what", box=None)
    for one in found:
        until = one.expires_at.astimezone().strftime("%d %b %H:%M:%S") if one.expires_at else ""
        table.add_row(one.job_id, one.step, one.kind, until, Text(wording(one)))
    wide_console().print(table)


def approve(
    job: Job,
    step: Step,
    edit: Annotated[
        str | None,
        typer.Option("--edit", metavar="JSON", help="Arguments in place of its own; of a step: description, input."),
    ] = None,
    key: Key = None,
) -> None:
    """Let a tool call be made that a step waits to make, or a step begin."""
    with connect() as troupe:
        done = troupe.people.approve(job, step, key=key, arguments=_arguments(edit), by=getpass.getuser())
    typer.echo(f"approved: {wording(done)}")


def deny(
    job: Job,
    step: Step,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; its agent is told.")] = "",
    key: Key = None,
) -> None:
    """Let a tool call not be made: the step goes on without it. Or a step not begin."""
    with connect() as troupe:
        done = troupe.people.deny(job, step, key=key, reason=reason, by=getpass.getuser())
    typer.echo(f"denied: {wording(done)}")


def answer(
    job: Job,
    step: Step,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The answer.", show_default=False)],
    key: Key = None,
) -> None:
    """Answer a question that a step waits for."""
    with connect() as troupe:
        troupe.people.answer(job, step, text, key=key, by=getpass.getuser())
    typer.echo("answered")


def _arguments(text: str | None) -> JsonValue:
    if text is None:
        return None
    try:
        value: JsonValue = json_module.loads(text)
    except ValueError as error:
        raise ContractError(f"--edit: {text!r} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ContractError("--edit: give the arguments as a JSON object")
    return value
