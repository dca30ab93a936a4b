"""`troupe kb`: documents into knowledge bases, and passages out of them."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tasks.errors import ContractError
from tasks.ids import NAME
from tasks.settings import read_settings
from tasks.tenancy import DEFAULT_TENANT, tenant_home
from workers.cli.run_documents import ingest_for_run
from workers.knowledge import shelf
from workers.knowledge.index import MAX_HITS, Hit, KnowledgeBase
from workers.knowledge.ingest import Progress as FileDone
from workers.knowledge.ingest import Report, ingest
from workers.knowledge.settings import KnowledgeSettings

_MAX_NAMED: Final = 100
"""Skipped files that are named one by one; of the rest, a count for each reason."""
_MAX_SHOWN_CHARS: Final = 320
"""Text of a passage in the list of hits; `--json` has all of it."""
_JSON_FIELDS: Final = ("title", "path", "heading", "line_start", "line_end", "page_start", "page_end", "text")

__all__ = ["ingest_for_run", "kb"]

kb = typer.Typer(
    help="Make documents searchable: add, search, list, remove.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Option("--kb", metavar="NAME", help="Knowledge base.")]
Tenant = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose knowledge bases.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@kb.command()
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders.", show_default=False)],
    name: Name = shelf.DEFAULT_NAME,
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Add files, and all files below folders. Again: only what is new or has changed is read."""
    settings = _settings(tenant)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def advance(done: FileDone) -> None:
            bar.update(task, completed=done.done, total=done.total)

        report = ingest(name, paths, settings, on_progress=advance)
    for line in skipped_lines(report.skipped):
        typer.echo(line, err=True)
    typer.echo(summary(report))


@kb.command()
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Words to look for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, max=MAX_HITS, help="How many passages.")] = 6,
    name: Name = shelf.DEFAULT_NAME,
    as_json: AsJson = False,
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Find the passages that fit some words best."""
    hits = KnowledgeBase.open(name, _settings(tenant).home).search(query, k)
    if as_json:
        _print_json([_as_json(hit) for hit in hits])
        return
    if not hits:
        typer.echo(f"nothing found in {name!r}", err=True)
    for hit in hits:
        _print_hit(hit)


@kb.command()
def stats(name: Name = shelf.DEFAULT_NAME, as_json: AsJson = False, tenant: Tenant = DEFAULT_TENANT) -> None:
    """Show how much a knowledge base holds."""
    found = asdict(KnowledgeBase.open(name, _settings(tenant).home).stats())
    if as_json:
        _print_json(found)
        return
    found["kinds"] = ", ".join(f"{count} {kind}" for kind, count in found["kinds"].items())
    for label, value in found.items():
        typer.echo(f"{label.replace('_', ' '):<12} {value:,}" if isinstance(value, int) else f"{label:<12} {value}")


@kb.command("list")
def list_bases(as_json: AsJson = False, tenant: Tenant = DEFAULT_TENANT) -> None:
    """List the knowledge bases."""
    home = _settings(tenant).home
    found = [KnowledgeBase.open(name, home).stats() for name in shelf.names(home)]
    if as_json:
        _print_json([asdict(one) for one in found])
        return
    if not found:
        typer.echo("there is no knowledge base yet: `troupe kb add PATH` makes one", err=True)
    for one in found:
        typer.echo(f"{one.name:<24} {one.documents:>8,} documents {one.passages:>9,} passages")


@kb.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Knowledge base.", show_default=False)],
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Delete a knowledge base. The documents themselves stay."""
    shelf.remove(name, _settings(tenant).home)
    typer.echo(f"removed {name}")


def _settings(tenant: str) -> KnowledgeSettings:
    """Settings with the tenant's own home.

    Raises:
        ContractError: it has not the form of a tenant's name.
    """
    if NAME.fullmatch(tenant) is None:
        raise ContractError(f"{tenant!r} is not the name of a tenant: lower-case letters, digits, - and _")
    settings = read_settings(KnowledgeSettings)
    return settings.model_copy(update={"home": tenant_home(settings.home, tenant)})


def summary(report: Report) -> str:
    """What an ingestion did, in one line."""
    parts = {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "skipped": report.skipped,
    }
    done = ", ".join(f"{len(what)} {word}" for word, what in parts.items() if what)
    return f"{report.knowledge}: {done}; {report.documents:,} documents, {report.passages:,} passages"


def skipped_lines(skipped: Sequence[tuple[str, str]]) -> Iterable[str]:
    """One line for each skipped file; past the first hundred, one for each reason."""
    for path, reason in skipped[:_MAX_NAMED]:
        yield f"skipped {path}: {reason}"
    for reason, count in sorted(Counter(reason for _, reason in skipped[_MAX_NAMED:]).items()):
        yield f"skipped {count} more: {reason}"


def _as_json(hit: Hit) -> dict[str, object]:
    return {"id": hit.source.id, "score": hit.score, **{name: getattr(hit.source, name) for name in _JSON_FIELDS}}


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def _print_hit(hit: Hit) -> None:
    source = hit.source
    text = " ".join(source.text.split())
    shown = text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1].rstrip() + "…"
    section = (source.heading or "").removeprefix(source.title).removeprefix(" › ")
    heading = f" › {section}" if section else ""
    typer.echo(f"{hit.score:8.2f}  {source.title}{heading}\n          {source.path}{_place(hit)}  [{source.id}]")
    typer.echo(f"          {shown}\n")


def _place(hit: Hit) -> str:
    """`:12` for a line, as editors take it; ` p. 3` for a page."""
    if hit.source.line_start is not None:
        return f":{hit.source.line_start}"
    return f" p. {hit.source.page_start}" if hit.source.page_start is not None else ""
