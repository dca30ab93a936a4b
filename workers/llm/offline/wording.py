"""What a query returned, as sentences and small tables."""

import json
import re
from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from workers.llm.offline.asking import cut, enumerate_words
from workers.llm.offline.captions import singular
from workers.llm.offline.columns import Table
from workers.llm.offline.queries import Query, Shape
from workers.llm.offline.reading import string

MAX_ROWS: Final = 20
MAX_CELL: Final = 60
NAMED: Final = 3
"""Rows named in the sentence; the table below it has more."""
SLIGHT: Final = 0.3
NO_RELATION: Final = 0.1
"""Correlation, without its sign, below which there is practically none."""

_TRUE_PLURAL = re.compile(r"^[a-z]{3,}[^s\W]s$")


def said(table: Table, query: Query, value: dict[str, JsonValue]) -> str:
    """A sentence about a result, and its rows as a Markdown table when there are several."""
    names = [str(name) for name in listed(value.get("columns"))]
    rows = [row for row in map(listed, listed(value.get("rows"))) if row]
    cite = _cite(value, table)
    if not names or not rows:
        return f"Table {table.name} has no rows for this: {query.caption}.{cite}"
    sentence = _sentence(table, query, names, rows)
    if query.shape in (Shape.COUNT, Shape.FIGURES, Shape.CORRELATION):
        return f"{sentence}{cite}"
    return f"{sentence}{cite}\n\n{markdown(names, rows[:MAX_ROWS])}"


def size(table: Table) -> str:
    """How large a table is, and what its columns lack."""
    gaps = [f"{one.name} ({one.nulls:,})" for one in table.columns if one.nulls][:5]
    lacking = f" Values are missing in {', '.join(gaps)}." if gaps else ""
    rows = f"{table.rows:,}" if table.rows is not None else "an unknown number of"
    names = ", ".join(one.name for one in table.columns[:12])
    cite = f" [{table.source}]" if table.source else ""
    return f"Table {table.name} has {rows} rows and {len(table.columns)} columns: {names}.{lacking}{cite}"


def markdown(names: list[str], rows: list[list[JsonValue]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(cell(name) for name in names) + " |", "|" + " --- |" * len(names)]
    lines.extend("| " + " | ".join(cell(one) for one in row[: len(names)]) + " |" for row in rows)
    return "\n".join(lines)


def cell(value: JsonValue) -> str:
    """A value as people read it, on one line."""
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cut(" ".join(text.replace("|", "\\|").split()), MAX_CELL)


def listed(value: JsonValue) -> list[JsonValue]:
    """The list, or an empty one."""
    return value if isinstance(value, list) else []


def _sentence(table: Table, query: Query, names: Sequence[str], rows: Sequence[list[JsonValue]]) -> str:
    match query.shape:
        case Shape.RANKING:
            return _ranking(query, names, rows) if len(names) > 1 else _plain(table, query, rows)
        case Shape.GROUPS:
            return _groups(query, rows) if len(names) > 1 else _plain(table, query, rows)
        case Shape.PERIODS:
            return _periods(query, rows) if len(names) > 1 else _plain(table, query, rows)
        case Shape.COUNT:
            return f"Table {table.name} has {cell(rows[0][0])} {_rows(rows[0][0])}{query.condition}."
        case Shape.FIGURES:
            return _figures(query, dict(zip(names, rows[0], strict=False)))
        case Shape.CORRELATION:
            return _correlation(query, dict(zip(names, rows[0], strict=False)))


def _plain(table: Table, query: Query, rows: Sequence[list[JsonValue]]) -> str:
    return f"{query.caption} in table {table.name}: {', '.join(cell(row[0]) for row in rows[:NAMED])}."


def _ranking(query: Query, names: Sequence[str], rows: Sequence[list[JsonValue]]) -> str:
    unit = f" {query.measure}" if _TRUE_PLURAL.match(query.measure) else ""
    more = names[2:]
    named = [
        f"{cell(row[0])} ({', '.join([f'{_value(row)}{unit}', *_further(more, row[2:])])})" for row in rows[:NAMED]
    ]
    first = f"The {singular(query.caption)} is {named[0]}"
    if len(rows) == 1:
        return f"{first}."
    if query.single:
        return f"{first}, followed by {enumerate_words(named[1:])}."
    return f"The {query.caption} are {enumerate_words(named)}."


def _groups(query: Query, rows: Sequence[list[JsonValue]]) -> str:
    shares = [f"{cell(row[0])} ({_value(row)})" for row in rows[: NAMED + 1]]
    if len(rows) == 1:
        return f"The {query.caption} is {_value(rows[0])} for {cell(rows[0][0])}{query.condition}."
    after = enumerate_words(shares[1:NAMED])
    return f"The {query.caption} is {query.extreme} for {shares[0]}, followed by {after}{query.condition}."


def _periods(query: Query, rows: Sequence[list[JsonValue]]) -> str:
    values = [row[1] if len(row) > 1 else None for row in rows]
    numbers = [float(one) for one in values if isinstance(one, int | float)]
    ends = f"from {_value(rows[0])} ({_day(rows[0][0])}) to {_value(rows[-1])} ({_day(rows[-1][0])})"
    if len(numbers) < len(rows) or len(rows) < NAMED:
        return f"The {query.caption} goes {ends}{query.condition}."
    top, low = rows[numbers.index(max(numbers))], rows[numbers.index(min(numbers))]
    extremes = f"highest is {_value(top)} ({_day(top[0])}), the lowest {_value(low)} ({_day(low[0])})"
    return f"The {query.caption} goes {ends}; the {extremes}{query.condition}."


def _figures(query: Query, figures: dict[str, JsonValue]) -> str:
    known = {name: cell(value) for name, value in figures.items() if value is not None}
    said = [f"{word} {known[name]}" for name, word in _FIGURES if name in known]
    over = f" over {known['n']} rows" if "n" in known else ""
    if "average" not in known:
        return f"There are no values of {query.measure}{over}{query.condition}."
    rest = f" ({', '.join(said)})" if said else ""
    return f"The average of {query.measure}{over}{query.condition} is {known['average']}{rest}."


_FIGURES: Final = (("median", "median"), ("minimum", "lowest"), ("maximum", "highest"), ("total", "total"))


def _correlation(query: Query, figures: dict[str, JsonValue]) -> str:
    value = figures.get("correlation")
    if not isinstance(value, int | float):
        return f"The correlation of {query.caption} cannot be computed: one of them never varies."
    tends = "tends slightly" if abs(value) < SLIGHT else "tends"
    told = f"the other {tends} to {'rise' if value > 0 else 'fall'}"
    meaning = "practically no linear relation" if abs(value) < NO_RELATION else f"as one rises, {told}"
    return (
        f"The correlation (Pearson) of {query.caption} is {cell(value)} over {cell(figures.get('n'))} rows: {meaning}."
    )


def _further(names: Sequence[str], values: Sequence[JsonValue]) -> list[str]:
    return [f"{name} {cell(value)}" for name, value in zip(names, values, strict=False) if value is not None]


def _value(row: list[JsonValue]) -> str:
    return cell(row[1]) if len(row) > 1 else "–"


def _day(value: JsonValue) -> str:
    """A date without the time of day when that is midnight."""
    return cell(value).removesuffix(" 00:00:00").removesuffix("T00:00:00")


def _rows(count: JsonValue) -> str:
    return "row" if count == 1 else "rows"


def _cite(value: dict[str, JsonValue], table: Table) -> str:
    many = [one for one in listed(value.get("sources")) if isinstance(one, str)]
    one = string(value, "source")
    ids = many or ([one] if one else [table.source] if table.source else [])
    return f" [{', '.join(ids)}]" if ids else ""
