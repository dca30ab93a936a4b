"""`troupe sessions`: conversations that outlive their jobs, listed, shown, forgotten."""

from typing import Annotated

import typer
from rich.table import Column, Table

from orchestrator.cli.chat import shown
from orchestrator.cli.jobs import AsJson, wide_console
from orchestrator.cli.lists import Limit, group, print_json
from orchestrator.cli.place import connect
from tasks.errors import UnknownSession

Session = Annotated[str, typer.Argument(metavar="SESSION", help="Its id or name.", show_default=False)]

sessions = group("sessions", "List the sessions that were used last; show or forget one.", lists=True)


@sessions.callback()
def list_sessions(
    context: typer.Context,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List the sessions that were used last; show or forget one."""
    if context.invoked_subcommand is not None:
        return
    with connect() as troupe:
        found = troupe.sessions(limit)
    if json:
        print_json(found)
        return
    table = Table(Column("session", no_wrap=True), "status", "messages", "waiting", "last used", box=None)
    for one in found:
        used = f"{one.updated_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(one.session_id, one.status.value, str(one.messages), str(one.waiting), used)
    wide_console().print(table)


@sessions.command()
def show(session: Session, json: AsJson = False) -> None:
    """Print all that is known of a session."""
    with connect() as troupe:
        state = troupe.session(session).state()
    typer.echo(state.model_dump_json(indent=2) if json else shown(state))


@sessions.command()
def delete(session: Session) -> None:
    """Forget a session; its open jobs are cancelled."""
    with connect() as troupe:
        handle = troupe.session(session)
        if not handle.delete():
            raise UnknownSession(f"there is no session {handle.id!r}")
    typer.echo(f"session {handle.id} forgotten")
