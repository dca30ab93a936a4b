"""The analysis policy: list tables, describe those that matter, query them by rules, put the numbers into sentences."""

import json
from typing import Final

from pydantic import JsonValue

from workers.llm.offline.asking import cut
from workers.llm.offline.columns import Table, described, listed, mentioned
from workers.llm.offline.moves import Answer, Call, Calls, Move
from workers.llm.offline.planner import ANALYSIS_PREFIX
from workers.llm.offline.queries import Query, queries
from workers.llm.offline.reading import Brief, Exchange, string
from workers.llm.offline.retrieval import SEARCH, search
from workers.llm.offline.terms import stem, words

LIST: Final = "list_tables"
DESCRIBE: Final = "describe_table"
QUERY: Final = "query_table"
TABLE_ARGUMENT: Final = "table"
SQL_ARGUMENT: Final = "sql"
MAX_TABLES: Final = 3
MAX_QUERIES: Final = 6
MAX_ROWS: Final = 20
MAX_CELL: Final = 60


def analyse(brief: Brief) -> Move:
    """The next turn: list, describe, query, and at last the findings. A tool that failed is not called again."""
    question = question_of(brief.step or brief.task)
    if LIST in brief.tools and LIST not in brief.called:
        return Calls((Call(LIST, {}),))
    tables = [table for exchange in brief.outcomes(LIST) for table in listed(exchange.parsed)]
    names = [table.name for table in _relevant(tables, question)] if tables else list(brief.tables[:MAX_TABLES])
    if not names and SEARCH in brief.tools:
        return search(brief)
    if names and DESCRIBE in brief.tools and DESCRIBE not in brief.called:
        return Calls(tuple(Call(DESCRIBE, {TABLE_ARGUMENT: name}) for name in names))
    known = [found for one in brief.outcomes(DESCRIBE) if (found := described(one.parsed)) is not None]
    known = known or [table for table in tables if table.name in names]
    asked = [(table, query) for table in known for query in queries(table, question)][:MAX_QUERIES]
    if asked and QUERY in brief.tools and QUERY not in brief.called:
        return Calls(tuple(Call(QUERY, {SQL_ARGUMENT: query.sql}) for _, query in asked))
    return Answer(_findings(brief, known, asked))


def question_of(description: str) -> str:
    """What is asked of the tables, without the words around it."""
    if description.startswith(ANALYSIS_PREFIX):
        return description.partition(": ")[2] or description
    return description


def _relevant(tables: list[Table], question: str) -> list[Table]:
    asked = {stem(word) for word in words(question)}
    scored: list[tuple[int, int, Table]] = []
    for order, table in enumerate(tables):
        named = {stem(word) for word in words(table.name.replace("_", " "))}
        scored.append((-(3 * len(asked & named) + len(mentioned(table.columns, question))), order, table))
    best = sorted(scored, key=lambda one: one[:2])
    return [table for score, _, table in best if score < 0 or best[0][0] == 0][:MAX_TABLES]


def _findings(brief: Brief, tables: list[Table], asked: list[tuple[Table, Query]]) -> str:
    results = {str(one.arguments.get(SQL_ARGUMENT, "")): one for one in brief.outcomes(QUERY)}
    parts: list[str] = []
    errors: list[str] = []
    for table, query in asked:
        exchange = results.get(query.sql)
        said = _said(table, query, exchange)
        if said:
            parts.append(said)
        elif exchange is not None:
            errors.append(f"- {query.caption} could not be computed: {_reason(exchange)}")
    sizes = [f"- {_size(table)}" for table in tables]
    for exchange in [*brief.outcomes(LIST), *brief.outcomes(DESCRIBE)]:
        if exchange.failed:
            errors.append(f"- {exchange.tool} failed: {_reason(exchange)}")
    blocks = [*parts, "\n".join(sizes), "\n".join(errors)]
    text = "\n\n".join(block for block in blocks if block)
    if not tables and not parts:
        return (
            f"The tables could not be read.\n\n{text}".strip() if errors else "Nothing was found: there are no tables."
        )
    return text


def _said(table: Table, query: Query, exchange: Exchange | None) -> str:
    """A sentence about the result and its first rows as a Markdown table."""
    value = exchange.parsed if exchange is not None else None
    if not isinstance(value, dict):
        return ""
    names = [str(name) for name in _list(value.get("columns"))]
    rows = [_list(row) for row in _list(value.get("rows"))]
    cite = _cite(value, table)
    if not names or not rows:
        return f"{query.caption} in table {table.name}: no rows.{cite}"
    if query.shape == "single":
        if names == ["n"]:
            return f"{query.caption} in table {table.name}: {_cell(rows[0][0])}.{cite}" if rows[0] else ""
        figures = ", ".join(f"{name} {_cell(cell)}" for name, cell in zip(names, rows[0], strict=False))
        return f"{query.caption} in table {table.name}: {figures}.{cite}"
    first = [f"{_cell(row[0])} ({_cell(row[1])})" if len(row) > 1 else _cell(row[0]) for row in rows[:3] if row]
    lead = f"{query.caption} in table {table.name}: {', '.join(first)}.{cite}"
    return f"{lead}\n\n{_markdown(names, rows[:MAX_ROWS])}"


def _markdown(names: list[str], rows: list[list[JsonValue]]) -> str:
    lines = ["| " + " | ".join(_cell(name) for name in names) + " |", "|" + " --- |" * len(names)]
    lines.extend("| " + " | ".join(_cell(cell) for cell in row[: len(names)]) + " |" for row in rows)
    return "\n".join(lines)


def _size(table: Table) -> str:
    gaps = [f"{one.name} ({one.nulls:,})" for one in table.columns if one.nulls][:5]
    lacking = f" Values are missing in {', '.join(gaps)}." if gaps else ""
    rows = f"{table.rows:,}" if table.rows is not None else "an unknown number of"
    names = ", ".join(one.name for one in table.columns[:12])
    cite = f" [{table.source}]" if table.source else ""
    return f"Table {table.name} has {rows} rows and {len(table.columns)} columns: {names}.{lacking}{cite}"


def _cite(value: dict[str, JsonValue], table: Table) -> str:
    many = [one for one in _list(value.get("sources")) if isinstance(one, str)]
    one = string(value, "source")
    ids = many or ([one] if one else [table.source] if table.source else [])
    return f" [{', '.join(ids)}]" if ids else ""


def _cell(value: JsonValue) -> str:
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cut(" ".join(text.replace("|", "\\|").split()), MAX_CELL)


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _reason(exchange: Exchange) -> str:
    return cut(" ".join(exchange.output.split()), 200) or "no reason was given"
