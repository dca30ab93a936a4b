"""The tool `fetch_url`: the text of a public web page. For own agents; the built-in ones answer from documents.

What a page says is data, as the output of every tool. Which addresses may be called: `tasks.outbound`.
"""

import asyncio
import functools
from pathlib import PurePath
from typing import Annotated, Final

from pydantic import BaseModel, Field

from tasks.outbound.client import GuardedClient, Reply
from tasks.outbound.settings import OutboundSettings
from tasks.refusals import AddressRefused, ReplyRefused, Unreachable
from tasks.settings import read_settings
from workers.knowledge.readers import Extract, Unusable
from workers.knowledge.reading import Reader
from workers.knowledge.settings import KnowledgeSettings
from workers.tools.base import MAX_OUTPUT_CHARS, ToolError, tool

MAX_TEXT_CHARS: Final = MAX_OUTPUT_CHARS - 3_000
"""Text of one call; the rest of the output is its address and title, and what JSON adds."""
READ_S: Final = 30.0
"""Longest time for taking the text out of a page."""
TIMEOUT_S: Final = 340.0
"""More than the longest call and the longest reading together: both end by themselves, and say why."""
_KINDS: Final = {"text/html": ".html", "application/xhtml+xml": ".html", "application/pdf": ".pdf"}
"""Types that are read by a reader of documents, and the suffix that it knows them by."""
_AS_IT_IS: Final = "application/json application/ld+json application/problem+json application/xml application/rss+xml"
TYPES: Final = frozenset({"text/*", "application/atom+xml", *_KINDS, *_AS_IT_IS.split()})
_ACCEPT: Final = "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, application/pdf;q=0.8"


class FetchedPage(BaseModel):
    """A part of what an address answered."""

    url: str
    """Where it came from, after redirects."""
    title: str | None = None
    text: str
    start: int
    total: int
    """Characters of the whole text."""
    next_start: int | None = None
    """Where to read on; none at the end."""


@tool(timeout=TIMEOUT_S, concurrency=8)
async def fetch_url(url: str, start: Annotated[int, Field(ge=0)] = 0) -> FetchedPage:
    """Read the text of a public web page: HTML, plain text, JSON or PDF.

    Use it for an address that you were given or that a page names; it is no search. Pages behind a login, and addresses
    of private networks, cannot be read.

    Args:
        url: The whole address, beginning with https:// or http://.
        start: Character to begin at, to read on in a long page.
    """
    try:
        reply = await client().get(url, types=TYPES, accept=_ACCEPT)
    except (AddressRefused, Unreachable, ReplyRefused) as fault:
        raise ToolError(fault.code, f"{fault}") from fault
    if reply.status >= 400:
        raise ToolError("http_status", f"the address answers with status {reply.status}: there is no page to read")
    try:
        title, text = await asyncio.to_thread(text_of, reply)
    except Unusable as fault:
        raise ToolError("unreadable", f"the page cannot be read: {fault}") from fault
    shown = text[start : start + MAX_TEXT_CHARS]
    after = start + len(shown)
    rest = after if shown and after < len(text) else None
    return FetchedPage(url=reply.url, title=title, text=shown, start=start, total=len(text), next_start=rest)


@functools.cache
def client() -> GuardedClient:
    """The client of this worker. Settings are read at the first use."""
    return GuardedClient(read_settings(OutboundSettings))


def text_of(reply: Reply) -> tuple[str | None, str]:
    """Title and text of a page.

    Raises:
        Unusable: there is no text in it, or it cannot be read.
    """
    suffix = _KINDS.get(reply.media_type)
    body = reply.body if suffix == ".pdf" else _as_utf8(reply)
    if suffix is None:
        return None, body.decode("utf-8", "replace").replace("\0", "")
    settings = read_settings(KnowledgeSettings)
    bounded = settings.model_copy(update={"document_read_s": min(settings.document_read_s, READ_S)})
    with Reader(bounded) as reader:
        found = reader.read(PurePath(f"page{suffix}"), body)
    return found.title, _joined(found)


def _joined(found: Extract) -> str:
    return "\n\n".join("\n".join(block.lines) for block in found.blocks)


def _as_utf8(reply: Reply) -> bytes:
    if reply.charset is None:
        return reply.body
    try:
        return reply.body.decode(reply.charset, "replace").encode("utf-8", "replace")
    except (LookupError, ValueError):  # no such encoding, or none of text
        return reply.body
