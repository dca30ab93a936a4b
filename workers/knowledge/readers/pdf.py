"""PDF: the text of each page, as far as it is text. Imported on first use: pypdf takes a third of a second."""

import logging
from io import BytesIO
from typing import Final

from pypdf import PdfReader
from pypdf.errors import DependencyError

from workers.knowledge.readers.base import Collector, Extract, Unusable, shorten

MAX_PAGES: Final = 10_000
MAX_TEXT_CHARS: Final = 20_000_000
"""Pages may share their content: a small file can hold a text without end."""

# pypdf describes every flaw of a file on stderr, over the progress bar; what matters is in `Extract.faults`
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def read_pdf(data: bytes, name: str) -> Extract:
    """Blocks of a PDF file, numbered by page.

    Raises:
        Unusable: encrypted, without any text, or endless.
    """
    reader = PdfReader(BytesIO(data))
    if reader.is_encrypted:
        _unlock(reader)
    found = Collector()
    faults: list[str] = []
    room = MAX_TEXT_CHARS
    for number, page in enumerate(reader.pages, start=1):
        try:
            text = page.extract_text()
        except Exception as exc:  # noqa: BLE001 - malformed pages raise anything; the other pages are still good
            faults.append(f"page {number} could not be read: {type(exc).__name__}: {exc}")
            continue
        room -= len(text)
        if number > MAX_PAGES or room < 0:
            raise Unusable(f"more than {MAX_PAGES:,} pages, or {MAX_TEXT_CHARS:,} characters")
        _add_page(found, text, number)
    blocks = found.finish()
    if not blocks:
        raise Unusable(faults[0] if faults else "no text in it (scanned pages?)")
    return Extract("pdf", _title(reader) or name, blocks, paged=True, faults=faults)


def _unlock(reader: PdfReader) -> None:
    """Open files that only restrict printing and copying: their password for reading is empty."""
    try:
        unlocked = bool(reader.decrypt(""))
    except (DependencyError, NotImplementedError) as exc:
        raise Unusable("encrypted") from exc
    if not unlocked:
        raise Unusable("encrypted: it needs a password")


def _add_page(found: Collector, text: str, number: int) -> None:
    # lone surrogates come out of broken fonts and fit into no index
    clean = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", " ")
    paragraph: list[str] = []
    for line in [*clean.split("\n"), ""]:
        if line.strip():
            paragraph.append(line.rstrip())
        elif paragraph:
            found.add(paragraph, [number] * len(paragraph))
            paragraph = []


def _title(reader: PdfReader) -> str:
    title = reader.metadata.title if reader.metadata else None
    return shorten(title.encode("utf-8", "replace").decode("utf-8")) if title else ""
