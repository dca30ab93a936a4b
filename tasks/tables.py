"""Which files may be a job's data, their names in SQL, and the names of their columns. Workers parse them."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tasks.errors import BadTable
from tasks.headers import column_names
from tasks.models import TableRef

TEXT_SUFFIXES: Final = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
SUFFIXES: Final = (*TEXT_SUFFIXES, ".parquet", *(f"{suffix}.gz" for suffix in TEXT_SUFFIXES))
"""Kinds of data files, by the end of their name."""

MAX_NAME_CHARS: Final = 63
_MAGIC: Final = {".parquet": b"PAR1", ".gz": b"\x1f\x8b"}
_RESERVED_WORDS: Final = """
    all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by case cast check
    collate collation column columns concurrently constraint create cross current_date current_time current_timestamp
    default deferrable desc describe distinct do else end except false fetch for foreign freeze from full generated
    glob grant group having ilike in initially inner intersect into is isnull join lambda lateral leading left like
    limit map natural not notnull null offset on only or order outer overlaps pivot pivot_longer pivot_wider placing
    positional primary qualify references returning right row select semi show similar some struct summarize symmetric
    table tablesample then to trailing true try_cast tuple union unique unpack unpivot using values variadic verbose
    when where window with
"""
RESERVED: Final = frozenset(_RESERVED_WORDS.split())
"""Words that SQL wants quoted when they name a table; such a file's table gets `_table` appended."""


def table_refs(paths: Iterable[Path | str]) -> tuple[TableRef, ...]:
    """Check data files and name them, in the given order. A file that is given twice counts once.

    The name is the file's own, made a name of SQL: `Sales 2024.csv` becomes `sales_2024`, a second one `sales_2024_2`.

    Raises:
        BadTable: missing, a directory, unreadable, empty, of an unknown kind, or not of the kind that its name says.
    """
    files = list(dict.fromkeys(_checked(Path(path)) for path in paths))
    taken: set[str] = set()
    refs: list[TableRef] = []
    for file in files:
        name = _free(sql_name(file), taken)
        taken.add(name)
        refs.append(TableRef(name=name, path=str(file), columns=column_names(file, kind_of(file) or "")))
    return tuple(refs)


def kind_of(path: Path) -> str | None:
    """The suffix that says what the file is (`.csv`, `.json.gz` …); None: of no known kind."""
    name = path.name.lower()
    return next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), None)


def sql_name(path: Path) -> str:
    """The file's name as a name of SQL that needs no quotes."""
    stem = path.name[: -len(kind_of(path) or path.suffix) or None]
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[: MAX_NAME_CHARS - 6]
    if not name or name[0].isdigit():
        name = f"t_{name}".rstrip("_")
    return f"{name}_table" if name in RESERVED else name


def _free(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name[: MAX_NAME_CHARS - len(str(number)) - 1]}_{number}"
    return candidate


def _checked(path: Path) -> Path:
    try:
        file = path.expanduser().resolve()
        if not file.exists():
            raise BadTable(f"no data file at {str(path)!r}")
        if not file.is_file():
            raise BadTable(f"{str(path)!r} is not a file; name each data file")
        kind = kind_of(file)
        if kind is None:
            raise BadTable(f"{str(path)!r} is of no known kind; data files end in {', '.join(SUFFIXES)}")
        with file.open("rb") as stream:
            start = stream.read(4)
    except (OSError, ValueError, RuntimeError) as exc:  # RuntimeError: a home directory that cannot be found
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise BadTable(f"{str(path)!r} cannot be read: {reason}") from exc
    if not start:
        raise BadTable(f"{str(path)!r} is empty")
    magic = _MAGIC.get(kind[kind.rindex(".") :], b"")
    if not start.startswith(magic):
        raise BadTable(f"{str(path)!r} is not a {kind} file, whatever its name says")
    return file
