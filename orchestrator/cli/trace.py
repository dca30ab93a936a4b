"""`troupe trace`: what a job did, as a tree, as data, as a graph, or as a page to open in a browser."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, assert_never

import typer

from orchestrator.cli.console import PlainConsole
from orchestrator.cli.jobs import Job, wide_console
from orchestrator.cli.place import connect
from orchestrator.tracing.document import document
from orchestrator.tracing.dot import dot
from orchestrator.tracing.mermaid import mermaid
from orchestrator.tracing.tree import Depth, notices, tree
from tasks.errors import ContractError
from tasks.trace import Trace

FILE_WIDTH: Final = 160
"""Characters of a line of a tree in a file."""


class Format(StrEnum):
    """How a trace is shown."""

    TREE = "tree"
    JSON = "json"
    MERMAID = "mermaid"
    DOT = "dot"
    HTML = "html"


def trace(
    job: Job,
    format: Annotated[  # noqa: A002
        Format, typer.Option("--format", "-f", help="tree, json (docs/trace.schema.json), mermaid, dot, html.")
    ] = Format.TREE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file in place of stdout.")
    ] = None,
    depth: Annotated[Depth, typer.Option(help="How far down the tree goes.")] = Depth.CALLS,
) -> None:
    """Show what a job did: steps, attempts, model and tool calls, with times and costs. Also while it runs."""
    with connect() as troupe:
        found = troupe.job(job).trace()
    if output is not None:
        _write(output, _text(found, format, depth))
    elif format is Format.TREE:
        _print(found, depth)
    else:
        typer.echo(_text(found, format, depth), nl=False)


def _print(found: Trace, depth: Depth) -> None:
    console = wide_console()
    console.print(tree(found, console.width, depth), highlight=False, no_wrap=True, overflow="ellipsis", crop=False)
    for line in notices(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _text(found: Trace, form: Format, depth: Depth) -> str:
    match form:
        case Format.TREE:
            return "\n".join([tree(found, FILE_WIDTH, depth).plain, *notices(found), ""])
        case Format.JSON:
            return f"{found.model_dump_json(indent=2)}\n"
        case Format.MERMAID:
            return mermaid(found)
        case Format.DOT:
            return dot(found)
        case Format.HTML:
            return document(found)
        case _:
            assert_never(form)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ContractError(f"cannot write {str(path)!r}: {error.strerror}") from error
    PlainConsole(stderr=True).print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)
