"""DuckDB over a job's data files: load them, shut every door, then answer. Runs in the child process.

The order is the sandbox: files become tables of an in-memory database first; then file access is switched off and the
configuration locked; only then is anything run that a model wrote.
"""

import glob
import json
import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb

from tasks.tables import kind_of
from workers.tools.table_sql import TableError, tables_read
from workers.tools.table_values import Row, clean

MEGABYTE: Final = 1 << 20
MAX_ERROR_CHARS: Final = 600
MAX_RESULT_CHARS: Final = 15_000
"""Rows end where their JSON reaches this; a tool's output may hold 20,000 characters."""
MAX_SQL_CHARS: Final = 20_000
_DRAWING: Final = re.compile(r"\n\nLINE |\n\s*Possible solution", re.IGNORECASE)
_READERS: Final = {
    ".csv": "read_csv(?, sample_size = -1)",
    ".tsv": "read_csv(?, sample_size = -1, delim = '\t')",
    ".json": "read_json(?, sample_size = -1)",
    ".jsonl": "read_json(?, sample_size = -1, format = 'newline_delimited')",
    ".ndjson": "read_json(?, sample_size = -1, format = 'newline_delimited')",
    ".parquet": "read_parquet(?)",
}
"""Every row is looked at before a type is chosen: a type guessed from a sample fails, or lies, further down."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine may use."""

    memory_mb: int = 256
    threads: int = 2
    query_s: float = 10.0
    load_s: float = 30.0
    max_file_mb: int = 512
    max_rows: int = 200


@dataclass(slots=True)
class Table:
    """One loaded file, or why it could not be loaded."""

    name: str
    path: str
    rows: int = 0
    columns: dict[str, str] = field(default_factory=dict[str, str])
    """Names with their SQL types, in the order of the file."""
    fault: str | None = None


class TableEngine:
    """The tables of one job. Not for several threads at once.

    Args:
        files: Names with paths.
        limits: Bounds of memory, time and size.
    """

    def __init__(self, files: dict[str, str], limits: Limits) -> None:
        self.limits = limits
        self._db = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{limits.memory_mb}MiB",
                "threads": str(limits.threads),
                "temp_directory": "",
                "python_enable_replacements": "false",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
                "allow_community_extensions": "false",
                "allow_persistent_secrets": "false",
            },
        )
        self._db.execute("SET TimeZone = 'UTC'")
        self._loaded_by = time.monotonic() + limits.load_s
        self.tables = {name: self._load(Table(name, path)) for name, path in files.items()}
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Drop everything."""
        self._db.close()

    def table(self, name: str) -> Table:
        """The loaded table of that name, in any case.

        Raises:
            TableError: unknown_table or bad_table.
        """
        found = self.tables.get(name.strip().strip('"').lower())
        if found is None:
            there = ", ".join(sorted(self.tables)) or "none"
            raise TableError("unknown_table", f"there is no table {name!r}; the tables are: {there}")
        if found.fault is not None:
            raise TableError("bad_table", found.fault)
        return found

    def query(self, sql: str, limit: int) -> dict[str, object]:
        """Run one SELECT: columns, types, rows, whether there are more, the tables it names.

        Raises:
            TableError: bad_sql, not_allowed, unknown_table, bad_table, failed, timeout or out_of_memory.
        """
        named = self._read_only(sql)
        limit = max(1, min(limit, self.limits.max_rows))
        with self._watch(self.limits.query_s, named):
            relation = self._db.sql(sql)
            columns, types = list(relation.columns), [str(kind) for kind in relation.types]
            found = relation.limit(limit + 1).fetchall()
        rows = _fitting([clean(row) for row in found[:limit]])
        return {
            "columns": columns,
            "types": types,
            "rows": rows,
            "truncated": len(rows) < len(found),
            "tables": named,
        }

    def select(self, sql: str) -> list[tuple[object, ...]]:
        """Run SQL of our own, within the time limit of a query."""
        with self._watch(self.limits.query_s, []):
            return self._db.execute(sql).fetchall()

    def _read_only(self, sql: str) -> list[str]:
        if len(sql) > MAX_SQL_CHARS:
            raise TableError("bad_sql", f"the query has {len(sql)} characters; at most {MAX_SQL_CHARS}")
        try:
            statements = self._db.extract_statements(sql)
        except duckdb.Error as exc:
            raise TableError("bad_sql", _words(exc)) from exc
        if len(statements) != 1:
            raise TableError("bad_sql", f"give exactly one statement, a SELECT; these are {len(statements)}")
        try:
            kind = statements[0].type
        except ValueError:  # a kind that DuckDB has and its Python names do not, as UPDATE EXTENSIONS
            kind = None
        if kind is not duckdb.StatementType.SELECT:
            name = "that kind of statement" if kind is None else kind.name
            raise TableError("not_allowed", f"{name} is not allowed: only one SELECT (or WITH … SELECT), to read")
        # fetchall, here and below: DuckDB 2 streams, and an unfinished result blocks the connection.
        answer = self._db.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
        tree: dict[str, object] = json.loads(str(answer[0][0]))
        if tree.get("error"):
            raise TableError("not_allowed", f"that statement cannot be checked: {tree.get('error_message')}")
        named = tables_read(tree.get("statements"), self.tables.keys())
        for name in named:
            self.table(name)
        return named

    def _load(self, table: Table) -> Table:
        try:
            self._read_file(table)
        except (TableError, OSError, duckdb.Error) as exc:
            reason = exc.message if isinstance(exc, TableError) else _words(exc)
            table.fault = f"table {table.name!r} ({Path(table.path).name}) cannot be read: {reason}"
        return table

    def _read_file(self, table: Table) -> None:
        path = Path(table.path)
        kind = (kind_of(path) or "").removesuffix(".gz")
        if kind not in _READERS or not path.is_absolute() or not path.is_file():
            raise TableError("bad_table", "not a data file that this worker can see")
        size = path.stat().st_size
        if size > self.limits.max_file_mb * MEGABYTE:
            limit = f"{self.limits.max_file_mb} MB (TROUPE_TABLE_MAX_FILE_MB)"
            raise TableError("bad_table", f"{size // MEGABYTE} MB is more than the limit of {limit}")
        name = quoted(table.name)
        left = self._loaded_by - time.monotonic()
        if left <= 0:
            raise TableError("timeout", f"loading took more than {self.limits.load_s:g} s (TROUPE_TABLE_LOAD_S)")
        with self._watch(left, []):
            # glob.escape: brackets and stars in a file's name would match other files.
            self._db.execute(f"CREATE TABLE {name} AS FROM {_READERS[kind]}", [glob.escape(table.path)])
            described = self._db.execute(f"DESCRIBE {name}").fetchall()
            table.columns = {str(row[0]): str(row[1]) for row in described}
            table.rows = int(str(self._db.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]))  # noqa: S608

    @contextmanager
    def _watch(self, seconds: float, named: list[str]) -> Generator[None]:
        """Interrupt after the time, and put DuckDB's errors into words."""
        timer = threading.Timer(seconds, self._db.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.InterruptException as exc:
            raise TableError(
                "timeout", f"stopped after {seconds:g} s; ask for less: filter, aggregate, join on keys"
            ) from exc
        except (duckdb.OutOfMemoryException, MemoryError) as exc:
            limit = f"{self.limits.memory_mb} MB (TROUPE_TABLE_MEMORY_MB)"
            raise TableError("out_of_memory", f"needs more memory than the limit of {limit}; ask for less") from exc
        except duckdb.Error as exc:
            raise TableError("failed", _words(exc) + self._columns_of(named, exc)) from exc
        finally:
            timer.cancel()

    def _columns_of(self, named: list[str], error: Exception) -> str:
        if "column" not in str(error).lower():
            return ""
        lists = [f"{name}({', '.join(map(quoted, self.tables[name].columns))})" for name in named]
        return f" The columns are: {'; '.join(lists)}."[:2000] if lists else ""


def quoted(name: str) -> str:
    """The name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def _fitting(rows: list[Row]) -> list[Row]:
    room = MAX_RESULT_CHARS
    for position, row in enumerate(rows):
        room -= len(json.dumps(row, ensure_ascii=False))
        if room < 0:
            return rows[: max(1, position)]
    return rows


def _words(error: Exception) -> str:
    """The first paragraph or two of DuckDB's message, on one line, without the drawing of the query."""
    text = _DRAWING.split(str(error))[0]
    line = " ".join(text.split())
    return line if len(line) <= MAX_ERROR_CHARS else line[: MAX_ERROR_CHARS - 1] + "…"
