"""Readers: files of many kinds to blocks of text. Heavy parsers load when their first file comes."""

from dataclasses import replace
from pathlib import PurePath
from typing import Final

from workers.knowledge.readers.base import Block, Extract, Unusable
from workers.knowledge.readers.decoding import decode, lines_of

__all__ = ["SUFFIXES", "Block", "Extract", "Unusable", "extract"]

_KINDS: Final = {
    "markdown": (".md", ".markdown"),
    "plain": (".txt", ".text", ".rst"),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "word": (".docx",),
    "json": (".json",),
    "json lines": (".jsonl", ".ndjson"),
    "separated": (".csv", ".tsv"),
}
SUFFIXES: Final = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}
"""Reader of each known suffix, in lower case."""


def extract(path: PurePath, data: bytes) -> Extract:
    """Read one file.

    Args:
        path: Where it is; only the name matters.
        data: Its whole content.

    Raises:
        Unusable: unknown kind, empty, binary, encrypted or broken; the message says which.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise Unusable(f"unknown kind ({path.suffix or 'no suffix'})")
    if not data:
        raise Unusable("empty")
    try:
        found = _read(kind, data, path.name)
    except Unusable:
        raise
    except MemoryError as exc:
        raise Unusable("it needs too much memory to be read (TROUPE_DOCUMENT_MEMORY_MB)") from exc
    except Exception as exc:  # parsers of foreign formats raise whatever a malformed file makes them meet
        raise Unusable(f"cannot be read: {type(exc).__name__}: {str(exc)[:200]}") from exc
    if not found.blocks:
        raise Unusable("no text in it")
    return found


def _read(kind: str, data: bytes, name: str) -> Extract:
    match kind:
        case "pdf":
            from workers.knowledge.readers.pdf import read_pdf

            return read_pdf(data, name)
        case "word":
            from workers.knowledge.readers.word import read_word

            return read_word(data, name)
        case "html":
            from workers.knowledge.readers.webpage import read_html

            return read_html(decode(data), name)
        case _:
            return _read_lines(kind, lines_of(data), name)


def _read_lines(kind: str, lines: list[str], name: str) -> Extract:
    from workers.knowledge.readers import markdown, plain, records

    readers = {
        "markdown": markdown.read_markdown,
        "plain": plain.read_plain,
        "json": records.read_json,
        "json lines": records.read_json_lines,
        "separated": records.read_separated,
    }
    return replace(readers[kind](lines, name), lines=lines)
