"""`troupe watch`: a job's events, for people as a tree or lines, for programs as JSON."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from orchestrator.blocking import JobHandle
from orchestrator.cli.console import PlainConsole
from orchestrator.cli.jobs import Job
from orchestrator.cli.place import connect
from orchestrator.cli.tree import JobView, Refresh, follow
from tasks.errors import StoreUnavailable
from tasks.events import JobEvent
from tasks.states import TaskStatus


def watch(
    job: Job,
    since: Annotated[
        int, typer.Option(min=0, metavar="N", help="Begin after the event with this number, as `seq` says it.")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print each event, as it happens, as one line of JSON.")] = False,
) -> None:
    """Follow a job live until it ends."""
    with connect() as troupe:
        handle = troupe.job(job)
        events = resumable(handle.events(since), handle, since)
        if json:
            print_events(events)
        else:
            view, refresh = JobView(handle.id), Refresh(handle)
            if since:
                view.begin(handle.snapshot())
            follow(view, events, PlainConsole(stderr=True), refresh)
        status = handle.status()
    if status is not TaskStatus.COMPLETED:
        raise typer.Exit(1)


def print_events(events: Iterable[JobEvent]) -> None:
    """Print events, a line each; a reader that is killed has every line that is whole, and goes on after the last."""
    for event in events:
        typer.echo(event.model_dump_json())  # flushes


def resumable(events: Iterable[JobEvent], handle: JobHandle, since: int) -> Iterator[JobEvent]:
    """The same events.

    Raises:
        StoreUnavailable: it says how to go on later.
    """
    seen = since
    try:
        for event in events:
            yield event
            seen = event.seq
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{error}; go on with: troupe watch {handle.id} --since {seen}") from error
