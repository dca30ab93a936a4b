"""The knowledge tools: search the job's documents, read on in one, list them."""

import asyncio
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Final, TypeVar

from pydantic import BaseModel

from tasks.errors import BadDocument
from tasks.models import Source
from tasks.settings import read_settings
from tasks.tenancy import tenant_home
from workers.context import current_step
from workers.knowledge import shelf
from workers.knowledge.index import DocumentPart, KnowledgeBase, search_all
from workers.knowledge.settings import KnowledgeSettings
from workers.tools.base import MAX_OUTPUT_CHARS, ToolError, tool

MAX_PASSAGES: Final = 20
"""Passages of one answer, however many were asked for."""
MAX_LISTED: Final = 100
_NOTHING: Final = "There are no documents: this job has no knowledge base, so nothing can be found or read."
_NO_HIT: Final = "No passage has any of these words. Try synonyms or broader terms, or list_documents."
_CUT: Final = "The last passages were left out for length; search more precisely to see them."
_MARGIN_CHARS: Final = 1_000
"""What an answer holds beside its passages."""


View = TypeVar("View", bound=BaseModel)


class PassageView(BaseModel):
    """One passage, as a model sees it."""

    id: str
    """Key to cite it by."""
    title: str
    heading: str | None
    where: str
    """File name with lines or pages."""
    score: float | None = None
    """How well it fits the query, in comparison with the others; none when it was read, not searched."""
    text: str


class SearchOutput(BaseModel):
    """What a search found."""

    passages: list[PassageView]
    total: int
    """Passages that were found; more than are shown when they would have been too long."""
    note: str | None = None


class ReadOutput(BaseModel):
    """A part of one document."""

    title: str
    path: str
    passages: list[PassageView]
    start: int
    total: int
    """Passages of the whole document."""
    next_start: int | None
    """Where to read on; none at the end."""


class DocumentView(BaseModel):
    """One document."""

    title: str
    path: str
    kind: str
    passages: int


class ListOutput(BaseModel):
    """Some of the documents."""

    documents: list[DocumentView]
    total: int
    next_offset: int | None = None
    """Where the list goes on; none at the end."""
    note: str | None = None


@tool
async def search_passages(query: str, k: int = 6) -> SearchOutput:
    """Search the job's documents for passages that fit a query, best first.

    Use it before stating anything that the documents could know, and again with other words when the first result is
    poor. It compares words (BM25, English word stems), so give the terms that the passage itself would use, not a
    question or operators. Cite every passage that you rely on as [id], with the id exactly as given.

    Args:
        query: Key terms and names, for example "worker prefetch limit".
        k: How many passages, 1 to 20.
    """
    home, bases = _bases()
    if not bases:
        return SearchOutput(passages=[], total=0, note=_NOTHING)
    hits = await asyncio.to_thread(search_all, bases, query, _between(k, 1, MAX_PASSAGES), home=home)
    shown = _show([_view(hit.source, hit.score) for hit in hits], (hit.source for hit in hits))
    note = _NO_HIT if not hits else None if len(shown) == len(hits) else _CUT
    return SearchOutput(passages=shown, total=len(hits), note=note)


@tool
async def read_document(document: str, start: int = 0, count: int = 8) -> ReadOutput:
    """Read a part of one document, passage by passage in order.

    Use it when a passage that was found is not enough: to see what stands around it, or to read a short document
    as a whole. A passage's position is the number after the dash in its id. Cite passages as [id].

    Args:
        document: Title, file name or path of the document, or the id of one of its passages.
        start: Position of the first passage, from 0.
        count: How many passages, 1 to 20.
    """
    home, bases = _bases()
    if not bases:
        raise ToolError("unknown_document", _NOTHING)
    part = await asyncio.to_thread(_read, bases, home, document, start, _between(count, 1, MAX_PASSAGES))
    shown = _show([_view(source) for source in part.sources], part.sources)
    after = part.start + len(shown)
    return ReadOutput(
        title=part.document.title,
        path=part.document.path,
        passages=shown,
        start=part.start,
        total=part.document.passages,
        next_start=after if after < part.document.passages else None,
    )


@tool
async def list_documents(limit: int = 50, offset: int = 0) -> ListOutput:
    """List the documents that this job can search, with title, path and length in passages.

    Use it to learn what there is, before you search or when searches find nothing.

    Args:
        limit: How many, 1 to 100.
        offset: How many to pass over, from the start of the list.
    """
    home, bases = _bases()
    if not bases:
        return ListOutput(documents=[], total=0, note=_NOTHING)
    everything = await asyncio.to_thread(_documents, bases, home)
    first = max(offset, 0)
    shown = _within_limit(everything[first : first + _between(limit, 1, MAX_LISTED)])
    after = first + len(shown)
    return ListOutput(documents=shown, total=len(everything), next_offset=after if after < len(everything) else None)


def _bases() -> tuple[Path, tuple[str, ...]]:
    """Home folder of the running step's tenant, and the knowledge bases of its job; the default one if it names
    none."""
    step = current_step()
    home = tenant_home(read_settings(KnowledgeSettings).home, step.tenant)
    return home, shelf.in_use(step.knowledge, home)


def _show(views: list[PassageView], sources: Iterable[Source]) -> list[PassageView]:
    """As many of the passages as fit an answer; these, and no others, can be cited from now on."""
    shown = _within_limit(views)
    step = current_step()
    for _, source in zip(shown, sources, strict=False):
        step.cite(source)
    return shown


def _view(source: Source, score: float | None = None) -> PassageView:
    return PassageView(
        id=source.id, title=source.title, heading=source.heading, where=where(source), score=score, text=source.text
    )


def _within_limit(views: list[View]) -> list[View]:
    """As many of the first ones as one answer may hold."""
    room = MAX_OUTPUT_CHARS - _MARGIN_CHARS
    for count, view in enumerate(views):
        room -= len(view.model_dump_json()) + 1
        if room < 0:
            return views[:count]
    return views


def where(source: Source) -> str:
    """File name and place of a passage: `guide.md lines 10-20`, `paper.pdf page 3`."""
    name = PurePath(source.path).name
    for word, start, end in (
        ("line", source.line_start, source.line_end),
        ("page", source.page_start, source.page_end),
    ):
        if start is not None and end is not None:
            return f"{name} {word} {start}" if start == end else f"{name} {word}s {start}-{end}"
    return name


def _read(bases: Iterable[str], home: Path, document: str, start: int, count: int) -> DocumentPart:
    """The part, from the first knowledge base that knows the document."""
    failure: BadDocument | None = None
    for name in bases:
        try:
            return KnowledgeBase.open(name, home).read(document, start, count)
        except BadDocument as exc:
            failure = failure or exc
    raise ToolError("unknown_document", f"{failure}. list_documents shows what there is.") from failure


def _documents(bases: Iterable[str], home: Path) -> list[DocumentView]:
    found = {info.path: info for name in bases for info in KnowledgeBase.open(name, home).documents()}
    return [
        DocumentView(title=info.title, path=path, kind=info.kind, passages=info.passages)
        for path, info in sorted(found.items())
    ]


def _between(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
