"""JSON, JSON lines and separated values: cut between records, never parsed, so a broken file is still readable."""

import csv
from collections.abc import Iterator, Sequence
from typing import Final

from workers.knowledge.readers.base import Collector, Extract

_GROUP_CHARS: Final = 1200
"""Records are gathered up to about this size: a passage of its own for each row would say too little."""


def read_json(lines: list[str], name: str) -> Extract:
    """Blocks of a JSON file, cut where the outermost members begin."""
    found = Collector()
    depths = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    outer = min((depth for depth in depths if depth), default=0)
    starts = [
        at
        for at, line in enumerate(lines)
        if at == 0 or (len(line) - len(line.lstrip()) <= outer and line.strip(" \t]},") != "")
    ]
    _collect(found, lines, starts)
    return Extract("json", name, found.finish())


def read_json_lines(lines: list[str], name: str) -> Extract:
    """Blocks of a JSON lines file, cut between lines."""
    found = Collector()
    _collect(found, lines, range(len(lines)))
    return Extract("json", name, found.finish())


def read_separated(lines: list[str], name: str) -> Extract:
    """Blocks of a CSV or TSV file, cut between rows. The column names are the heading of all of them."""
    found = Collector()
    starts = list(_row_starts(lines))
    header = next((at for at in starts if lines[at].strip()), 0)
    columns = _columns(lines[header])
    if len(columns) > 1:
        found.heading(1, ", ".join(columns), lines[header], header + 1)
    _collect(found, lines, starts)
    return Extract("csv", name, found.finish())


def _collect(found: Collector, lines: list[str], starts: Sequence[int]) -> None:
    """Add blocks of whole records; `starts` are the indexes of their first lines, the first one 0."""
    first, size = 0, 0
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        length = sum(len(line) + 1 for line in lines[start:end])
        if size and size + length > _GROUP_CHARS:
            found.add(lines[first:start], range(first + 1, start + 1), code=True)
            first, size = start, 0
        size += length
    found.add(lines[first:], range(first + 1, len(lines) + 1), code=True)


def _row_starts(lines: list[str]) -> Iterator[int]:
    """Lines outside quotes: a quoted value may hold line ends."""
    inside = False
    for at, line in enumerate(lines):
        if not inside:
            yield at
        inside ^= line.count('"') % 2 == 1


def _columns(header: str) -> list[str]:
    separator = max(",;\t|", key=header.count)
    try:
        row = next(csv.reader([header], delimiter=separator))
    except (csv.Error, StopIteration):
        return []
    return [name.strip() for name in row if name.strip()]
