"""`troupe kb`: documents into knowledge bases, and passages out of them."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tasks.knowledge import Added, BaseStats, PassageHit
from tasks.redaction import STEERING
from workers.cli.bases import Bases, LocalBases, checked_tenant
from workers.cli.bases import Progress as FileDone
from workers.cli.run_documents import ingest_for_run
from workers.knowledge import shelf
from workers.knowledge.index import MAX_HITS

_MAX_NAMED: Final = 100
"""Skipped files that are named one by one; of the rest, a count for each reason."""
_MAX_SHOWN_CHARS: Final = 320
"""Text of a passage in the list of hits; `--json` has all of it."""

__all__ = ["Opener", "ingest_for_run", "kb"]

Opener = Callable[[str | None], Bases]
"""Finds the knowledge bases of a tenant; None: one's own. It is the context's `obj` where they are elsewhere."""

kb = typer.Typer(
    help="Make documents searchable: add, search, list, remove.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Option("--kb", metavar="NAME", help="Knowledge base.")]
Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="Whose knowledge bases. Default: one's own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@kb.command()
def add(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders.", show_default=False)],
    name: Name = shelf.DEFAULT_NAME,
    tenant: Tenant = None,
) -> None:
    """Add files, and all files below folders. Again: only what is new or has changed is read."""
    bases = _bases(context, tenant)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def advance(done: FileDone) -> None:
            bar.update(task, completed=done.done, total=done.total)

        added = bases.add(name, paths, advance)
    for line in skipped_lines([(one.path, one.reason) for one in added.skipped]):
        _say(line, err=True)
    _say(summary(added))


@kb.command()
def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Words to look for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, max=MAX_HITS, help="How many passages.")] = 6,
    name: Name = shelf.DEFAULT_NAME,
    as_json: AsJson = False,
    tenant: Tenant = None,
) -> None:
    """Find the passages that fit some words best."""
    hits = _bases(context, tenant).search(name, query, k)
    if as_json:
        _print_json([hit.model_dump() for hit in hits])
        return
    if not hits:
        _say(f"nothing found in {name!r}", err=True)
    for hit in hits:
        _print_hit(hit)


@kb.command()
def stats(
    context: typer.Context,
    name: Name = shelf.DEFAULT_NAME,
    as_json: AsJson = False,
    tenant: Tenant = None,
) -> None:
    """Show how much a knowledge base holds."""
    bases = _bases(context, tenant)
    found = bases.stats(name)
    if as_json:
        _print_json(_as_json(found, bases))
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.kinds.items())
    for label, value in (_as_json(found, bases) | {"kinds": kinds}).items():
        _say(f"{label.replace('_', ' '):<12} {value:,}" if isinstance(value, int) else f"{label:<12} {value}")


@kb.command("list")
def list_bases(context: typer.Context, as_json: AsJson = False, tenant: Tenant = None) -> None:
    """List the knowledge bases."""
    bases = _bases(context, tenant)
    found = bases.every()
    if as_json:
        _print_json([_as_json(one, bases) for one in found])
        return
    if not found:
        _say("there is no knowledge base yet: `troupe kb add PATH` makes one", err=True)
    for one in found:
        _say(f"{one.name:<24} {one.documents:>8,} documents {one.passages:>9,} passages")


@kb.command()
def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Knowledge base.", show_default=False)],
    tenant: Tenant = None,
) -> None:
    """Delete a knowledge base. The documents themselves stay."""
    _bases(context, tenant).remove(name)
    _say(f"removed {name}")


def _bases(context: typer.Context, tenant: str | None) -> Bases:
    """Those of a tenant: of this machine, unless whoever mounts these commands knows others."""
    opener = cast(Opener | None, context.obj) or LocalBases.of
    return opener(None if tenant is None else checked_tenant(tenant))


def summary(added: Added) -> str:
    """What became of documents that were to be added, in one line."""
    counts = {
        "added": added.added,
        "updated": added.updated,
        "unchanged": added.unchanged,
        "removed": added.removed,
        "skipped": len(added.skipped),
    }
    done = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{added.knowledge}: {done}; {added.documents:,} documents, {added.passages:,} passages"


def skipped_lines(skipped: Sequence[tuple[str, str]]) -> Iterable[str]:
    """One line for each skipped file; past the first hundred, one for each reason."""
    for path, reason in skipped[:_MAX_NAMED]:
        yield f"skipped {path}: {reason}"
    for reason, count in sorted(Counter(reason for _, reason in skipped[_MAX_NAMED:]).items()):
        yield f"skipped {count} more: {reason}"


def _as_json(found: BaseStats, bases: Bases) -> dict[str, object]:
    return {"name": found.name, "path": bases.place(found.name), **found.model_dump()}


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def _say(text: str, *, err: bool = False) -> None:
    """A line; what would steer a terminal is left out, for documents are anybody's."""
    typer.echo(STEERING.sub("", text), err=err)


def _print_hit(hit: PassageHit) -> None:
    text = " ".join(hit.text.split())
    shown = text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1].rstrip() + "…"
    section = (hit.heading or "").removeprefix(hit.title).removeprefix(" › ")
    heading = f" › {section}" if section else ""
    _say(f"{hit.score:8.2f}  {hit.title}{heading}\n          {hit.path}{_place(hit)}  [{hit.id}]")
    _say(f"          {shown}\n")


def _place(hit: PassageHit) -> str:
    """`:12` for a line, as editors take it; ` p. 3` for a page."""
    if hit.line_start is not None:
        return f":{hit.line_start}"
    return f" p. {hit.page_start}" if hit.page_start is not None else ""
