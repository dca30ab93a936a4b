"""The names of a data file's columns, from its first bytes: enough for a planner to know what a table is about."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast

MAX_BYTES: Final = 65_536
"""What is read of a file, after unpacking."""
MAX_COLUMNS: Final = 200
MAX_NAME_CHARS: Final = 200
"""Longest name; a longer one is no name, but text."""
_DELIMITERS: Final = ",;\t|"


def column_names(path: Path, kind: str) -> tuple[str, ...]:
    """At most 200 names, in the file's order; empty when the first 64 KB do not show them. Never raises.

    Args:
        kind: What the file is, as `kind_of` says. Parquet keeps its names at its end, so it gets none.
    """
    bare = kind.removesuffix(".gz")
    if bare == ".parquet":
        return ()
    text = _start(path, packed=bare != kind)
    names = _of_line(text, "\t" if bare == ".tsv" else None) if bare in (".csv", ".tsv") else _of_record(text)
    kept = dict.fromkeys(name for raw in names if (name := raw.strip()) and len(name) <= MAX_NAME_CHARS)
    return tuple(kept)[:MAX_COLUMNS]


def _start(path: Path, *, packed: bool) -> str:
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            return stream.read(MAX_BYTES).decode("utf-8-sig", "replace")
    except (OSError, EOFError, zlib.error):
        return ""  # the worker that opens the table says what is wrong with it


def _of_line(text: str, delimiter: str | None) -> list[str]:
    """The cells of the first line; none when a number stands among them, for then it is a row of data."""
    line, newline, _ = text.partition("\n")
    if not newline and len(text.encode()) >= MAX_BYTES:
        return []  # cut within the header
    delimiter = delimiter or max(_DELIMITERS, key=line.count)
    try:
        cells = [cell for row in csv.reader([line.rstrip("\r")], delimiter=delimiter) for cell in row]
    except csv.Error:
        return []
    return [] if any(map(_is_number, cells)) else cells


def _of_record(text: str) -> Iterable[str]:
    """The keys of the first object: alone on a line, or the first of an array."""
    bare = text.lstrip().removeprefix("[").lstrip()
    try:
        found = cast("object", json.JSONDecoder().raw_decode(bare)[0])
    except (ValueError, RecursionError):
        return ()
    return cast("dict[str, object]", found) if isinstance(found, dict) else ()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
