"""Word (.docx): paragraphs, headings and tables in their order. Imported on first use."""

import re
from io import BytesIO
from typing import Final
from zipfile import BadZipFile, ZipFile

from docx import Document
from docx.table import Table
from docx.text.paragraph import Paragraph

from workers.knowledge.readers.base import Collector, Extract, Unusable, shorten

_OLE: Final = b"\xd0\xcf\x11\xe0"
"""First bytes of what Word writes for a document with a password, and of files older than .docx."""
_HEADING: Final = re.compile(r"Heading ([1-9])")
_MAX_UNPACKED_BYTES: Final = 200_000_000
"""A small archive can unpack to more than the machine's memory."""
_MAX_ENTRIES: Final = 5_000


def read_word(data: bytes, name: str) -> Extract:
    """Blocks of a Word file; they have neither lines nor pages.

    Raises:
        Unusable: encrypted, or not a Word file.
    """
    _check(data)
    document = Document(BytesIO(data))
    found = Collector()
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            found.add(_rows(item))
        else:
            _add_paragraph(found, item)
    title = shorten(document.core_properties.title) or found.first_heading or name
    return Extract("word", title, found.finish())


def _check(data: bytes) -> None:
    if data.startswith(_OLE):
        raise Unusable("encrypted, or a Word file older than .docx")
    try:
        with ZipFile(BytesIO(data)) as archive:
            entries = len(archive.infolist())
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except BadZipFile as exc:
        raise Unusable("not a Word file") from exc
    if unpacked > _MAX_UNPACKED_BYTES:
        raise Unusable(f"unpacks to {unpacked:,} bytes")
    if entries > _MAX_ENTRIES:
        raise Unusable(f"an archive of {entries:,} files")


def _add_paragraph(found: Collector, paragraph: Paragraph) -> None:
    text = paragraph.text
    style = (paragraph.style.name if paragraph.style else None) or ""
    if style == "Title":
        found.heading(1, text, text)
    elif match := _HEADING.fullmatch(style):
        found.heading(int(match[1]) + 1, text, text)
    else:
        found.add(text.split("\n"))


def _rows(table: Table) -> list[str]:
    """One line a row; a cell across columns stands once, though the library repeats it for each of them."""
    lines: list[str] = []
    for row in table.rows:
        cells = {id(cell): cell for cell in row.cells}
        lines.append("\t".join(text for cell in cells.values() if (text := " ".join(cell.text.split()))))
    return [line for line in lines if line]
