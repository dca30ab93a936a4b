"""Tools over a job's data files: which there are, what is in them, and SQL to ask them.

Each result names its sources: `source` is the id to cite. DuckDB runs in a process apart (`table_child`); importing
this module loads neither DuckDB nor a model SDK.
"""

import atexit
import functools
import hashlib
from pathlib import Path
from typing import Annotated, Final, cast

from pydantic import BaseModel, Field, JsonValue

from tasks.models import Source, SourceKind, TableRef
from tasks.settings import read_settings
from tasks.tenancy import may_read
from workers.context import current_step
from workers.knowledge.settings import KnowledgeSettings
from workers.tools.base import ToolError, tool
from workers.tools.table_process import TableProcesses
from workers.tools.table_settings import LONGEST_CALL_S, TableSettings

MAX_HEADER_CHARS: Final = 2000
MAX_OUTPUT_CHARS: Final = 40_000


class ListedColumn(BaseModel):
    """One column, briefly."""

    name: str
    type: str
    """SQL type."""


class ListedTable(BaseModel):
    """One table, briefly."""

    name: str
    file: str
    rows: int
    columns: list[ListedColumn]
    source: str | None = None
    error: str | None = None
    """Why it cannot be used."""


class TopValue(BaseModel):
    """A frequent value."""

    value: JsonValue
    count: int


class ColumnSummary(BaseModel):
    """One column. Mean, deviation and quartiles are of its finite numbers; None where it holds none."""

    name: str
    type: str
    nulls: int
    distinct: int
    distinct_is_exact: bool
    min: JsonValue
    max: JsonValue
    mean: float | None = None
    std: float | None = None
    """Sample standard deviation (n - 1)."""
    q25: float | None = None
    median: float | None = None
    q75: float | None = None
    not_finite: int = 0
    """NaN and infinities."""
    top: list[TopValue]
    """Most frequent values; none when all differ."""


class TableSummary(BaseModel):
    """One table, with its numbers."""

    name: str
    source: str
    rows: int
    columns: list[ColumnSummary]
    more_columns: list[str]
    """Columns beyond those described."""
    sample: list[list[JsonValue]]
    """First rows."""


class QueryResult(BaseModel):
    """What a query returned."""

    columns: list[str]
    types: list[str]
    rows: list[list[JsonValue]]
    row_count: int
    """Rows given here."""
    truncated: bool
    """There are more rows than these."""
    sources: list[str]
    """Ids to cite, one for each table that the query names."""


@tool(timeout=LONGEST_CALL_S)
def list_tables() -> list[ListedTable]:
    """List the data tables of this job: name, number of rows, columns with their SQL types."""
    found = cast("list[dict[str, object]]", _ask({"op": "list"}))
    refs = {ref.name: ref for ref in current_step().claim.job.data}
    return [
        ListedTable(
            name=str(one["name"]),
            file=Path(refs[str(one["name"])].path).name,
            rows=int(str(one["rows"])),
            columns=[
                ListedColumn(name=name, type=kind) for name, kind in cast("dict[str, str]", one["columns"]).items()
            ],
            source=None if one["fault"] else _cite(refs[str(one["name"])], f"DESCRIBE {one['name']}"),
            error=cast("str | None", one["fault"]),
        )
        for one in found
    ]


@tool(timeout=LONGEST_CALL_S, max_output_chars=MAX_OUTPUT_CHARS)
def describe_table(table: str) -> TableSummary:
    """Describe one table: per column type, nulls, distinct values, range, mean, deviation, quartiles, top values.

    Also gives the first rows. Use it before writing SQL.

    Args:
        table: Name of the table, as list_tables gives it.
    """
    found = cast("dict[str, object]", _ask({"op": "describe", "table": table}))
    ref = next(ref for ref in current_step().claim.job.data if ref.name == found["name"])
    return TableSummary.model_validate({**found, "source": _cite(ref, f"SUMMARIZE {ref.name}")})


@tool(timeout=LONGEST_CALL_S)
def query_table(sql: str, limit: Annotated[int, Field(ge=1)] = 50) -> QueryResult:
    """Run one SELECT in DuckDB's SQL over the job's tables. Read-only: no files, no settings, one statement.

    Aggregate in SQL instead of fetching many rows.

    Args:
        sql: The SELECT; names of columns with blanks or capitals stand in double quotes.
        limit: Most rows to return, up to 200.
    """
    found = cast("dict[str, object]", _ask({"op": "query", "sql": sql, "limit": limit}))
    named = cast("list[str]", found.pop("tables"))
    refs = {ref.name: ref for ref in current_step().claim.job.data}
    sources = [_cite(refs[name], sql) for name in named]
    rows = cast("list[object]", found["rows"])
    return QueryResult.model_validate({**found, "row_count": len(rows), "sources": sources})


def source_id(path: str, sql: str) -> str:
    """The id of a query's result as a source: equal for the same file and the same SQL, but for blanks."""
    text = f"{path}\n{_normal(sql)}"
    return "t" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:10]


@functools.cache
def processes() -> TableProcesses:
    """The table processes of this worker. Settings are read at the first use; the processes end with the worker."""
    pool = TableProcesses(read_settings(TableSettings))
    atexit.register(pool.close)
    return pool


def _ask(request: dict[str, object]) -> object:
    job = current_step().claim.job
    if not job.data:
        raise ToolError("no_tables", "this job has no data files; answer without tables")
    home = read_settings(KnowledgeSettings).home
    if not all(may_read(home, job.tenant, Path(ref.path)) for ref in job.data):
        raise ToolError("no_tables", "this job's data files are another tenant's; answer without tables")
    return processes().ask((job.id, job.data), request)


def _cite(ref: TableRef, sql: str) -> str:
    header = _header(Path(ref.path))
    line = None if header is None else 1
    return current_step().cite(
        Source(
            id=source_id(ref.path, sql),
            kind=SourceKind.TABLE,
            title=Path(ref.path).name,
            path=ref.path,
            line_start=line,
            line_end=line,
            text=header or "",
            query=sql.strip(),
        )
    )


def _normal(sql: str) -> str:
    return " ".join(sql.split()).rstrip("; ")


def _header(path: Path) -> str | None:
    """The first line of a plain CSV or TSV file, verbatim; None for other kinds."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return None
    try:
        with path.open("rb") as stream:
            line = stream.readline(4 * MAX_HEADER_CHARS)
    except OSError:
        return None
    return line.decode("utf-8-sig", "replace").rstrip("\r\n")[:MAX_HEADER_CHARS]
