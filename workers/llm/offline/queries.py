"""From a question and the columns of a table to SQL: rankings, groups, averages, correlations, counts, shares."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from workers.llm.offline.asking import asks
from workers.llm.offline.captions import ranked_by
from workers.llm.offline.columns import Column, Table, mentioned, name_stems, quote
from workers.llm.offline.terms import stem, words

MAX_QUERIES: Final = 4
DEFAULT_TOP: Final = 5
MAX_TOP: Final = 20
MAX_GROUPS: Final = 12
MAX_PERIODS: Final = 60

_HIGH = re.compile(
    r"\b(?:most|largest|longest|biggest|highest|greatest|maximum|max|top|best|oldest|heaviest|tallest|fastest|expensive|latest|newest|leading)\b",
    re.IGNORECASE,
)
_LOW = re.compile(
    r"\b(?:least|smallest|shortest|lowest|fewest|minimum|min|bottom|worst|youngest|lightest|slowest|cheapest|earliest)\b",
    re.IGNORECASE,
)
_EACH_COLUMN = re.compile(r"\b(?:each|every|all)(?: of)?(?: the)?(?: numeric\w*)? columns?\b", re.IGNORECASE)
_TOP_N = re.compile(
    r"\b(?:top|bottom|first|the|largest|longest)[ -]?(\d{1,3}|two|three|four|five|six|seven|eight|nine|ten)\b",
    re.IGNORECASE,
)
_BY = re.compile(
    r"\b(?:per|by|for each|for every|in each|each|every|across|among|grouped by|depending on|between)\s+"
    r"(?:the\s+|each\s+)?(.{2,60})",
    re.IGNORECASE,
)
_AVERAGE = re.compile(r"\b(?:average|mean|avg|typical)\b", re.IGNORECASE)
_MEDIAN = re.compile(r"\bmedian\b", re.IGNORECASE)
_SUM = re.compile(r"\b(?:total|sum|overall|altogether)\b", re.IGNORECASE)
_COUNT = re.compile(r"\b(?:how many|number of|count)\b", re.IGNORECASE)
_RELATION = re.compile(
    r"\b(?:correlat\w*|relat\w*|depend\w*|associat\w*|versus|vs|against|influence\w*|effect)\b", re.IGNORECASE
)
_SHARE = re.compile(
    r"\b(?:share|proportion|percent\w*|distribution|breakdown|split|composition|ratio|rate)\b", re.IGNORECASE
)
_OVER = re.compile(
    r"\b(?:over|more than|above|at least|greater than|longer than|larger than|>=?)\s*\$?(\d+(?:[.,]\d+)*)",
    re.IGNORECASE,
)
_UNDER = re.compile(
    r"\b(?:under|less than|below|at most|fewer than|shorter than|smaller than|<=?)\s*\$?(\d+(?:[.,]\d+)*)",
    re.IGNORECASE,
)
_FIRST_ONLY = re.compile(r"^(?:what|which|who)(?: \w+)? (?:is|was|has)\b", re.IGNORECASE)
_MOST_OF = re.compile(r"\b(?:most|fewest|least|many)\s+(\w+)", re.IGNORECASE)
_WHICH = re.compile(r"^(?:which|what|who)\b", re.IGNORECASE)
_HOW_WELL = re.compile(r"\bhow (?:well|good|bad|badly|complete|completely|thorough|thoroughly|far)\b", re.IGNORECASE)
_QUALITY: Final = frozenset(
    map(stem, ("coverage", "rate", "ratio", "share", "percent", "percentage", "score", "rating", "quality", "grade"))
)
_ADDITIVE: Final = frozenset(
    map(stem, ("revenue", "sales", "quantity", "units", "cost", "costs", "amount", "profit", "turnover", "volume"))
)
"""What is added up over a period unless the question wants an average."""
_COUNTS: Final = frozenset(map(stem, ("count", "number", "orders", "sold")))
"""What "how many" adds up, beside the above."""
_MOST = re.compile(r"\b(?:most|least|sold|sells?)\b", re.IGNORECASE)
_PERIOD = re.compile(
    r"\b(?:per|by|each|every|and|over the)\s+(year|quarter|month|week|day)s?\b|\bover time\b|\btrends?\b", re.IGNORECASE
)
_NUMERALS: Final = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_HINTS: Final = (
    (
        r"\b(?:largest|biggest|smallest|how large|how big)\b",
        ("size", "bytes", "area", "population", "volume", "lines", "loc", "length", "total", "count"),
    ),
    (r"\b(?:longest|shortest)\b", ("length", "duration", "lines", "chars", "time", "distance")),
    (r"\b(?:oldest|youngest)\b", ("age",)),
    (r"\b(?:expensive|cheapest)\b", ("price", "cost", "fare", "amount")),
    (r"\b(?:heaviest|lightest)\b", ("weight", "mass")),
    (r"\b(?:tallest|highest)\b", ("height", "elevation", "altitude")),
    (r"\b(?:fastest|slowest)\b", ("speed", "seconds", "time", "duration", "ms")),
    (r"\b(?:best|worst)\b", ("score", "rating", "rank", "quality")),
    (r"\bearn(?:s|ed|ing)?\b", ("revenue", "income", "profit", "sales", "amount")),
    (r"\b(?:sold|sells?)\b", ("sales", "quantity", "units", "revenue")),
    (r"\b(?:spent|spends?|paid|pays?)\b", ("amount", "price", "cost", "total", "paid", "fare")),
)
"""Superlatives and the columns that they speak of when the question names none."""


class Shape(Enum):
    """What the rows of a result are."""

    RANKING = auto()
    """Label, value, further values; in the order asked for."""
    GROUPS = auto()
    """Group, value, count; in the order asked for."""
    PERIODS = auto()
    """Beginning of the period, value; in the order of time."""
    COUNT = auto()
    """One row with one number."""
    FIGURES = auto()
    """One row with figures of one column."""
    CORRELATION = auto()


@dataclass(frozen=True, slots=True)
class Query:
    """One query, and the words for what it returns."""

    sql: str
    caption: str
    """What is ranked, grouped or counted, such that a sentence can begin with 'The' before it."""
    shape: Shape
    measure: str = ""
    """Column that the values come from."""
    condition: str = ""
    """Filter in words, with a blank before it."""
    extreme: str = "highest"
    """What the first group is."""
    single: bool = False
    """Whether a ranking was asked for its first row."""


def queries(table: Table, question: str) -> list[Query]:
    """At most four queries that answer the question from one table; an overview when it names nothing there.

    What is asked of the rows of a ranking ("… and how well are they documented?") is shown with them too.
    """
    found: list[Query] = []
    ranked: tuple[int, str] | None = None
    every = _questions(question)
    about = [ask for ask in every if bears_on(table, ask)]  # the others are answered by documents, or other tables
    for ask in about or every:
        made = list(_by_question(table, ask))
        wanted = [query.measure for query in made if query.shape is Shape.FIGURES]
        if ranked is not None and wanted and len(wanted) == len(made):
            place, first = ranked
            also = [column for column in table.columns if column.name in wanted]
            found[place] = next(one for one in _by_question(table, first, also) if one.shape is Shape.RANKING)
        elif any(query.shape is Shape.RANKING for query in made):
            ranked = (len(found) + [query.shape for query in made].index(Shape.RANKING), ask)
        found.extend(made)
    distinct = list({query.sql: query for query in found}.values()) or list(_overview(table))
    return distinct[:MAX_QUERIES]


def _questions(text: str) -> list[str]:
    return [ask.clause for ask in asks(text)] or [text]


def _by_question(table: Table, question: str, also: Sequence[Column] = ()) -> Iterator[Query]:
    """The queries for one question; a ranking shows the further columns too."""
    named = _preferred(mentioned(table.columns, question), question)
    if _EACH_COLUMN.search(question):
        for one in table.measures[:MAX_QUERIES]:
            yield _figures(table, one, "", "")
        return
    measures = [
        one for one in named if one.is_number and (not one.is_identifier or one.is_named_as_identifier(question))
    ]
    measure = next((one for one in measures if one.is_measure), None) or next(iter(measures), None)
    measure = measure or (None if _counts_rows(table, question) else _hinted(table, question))
    groups = [one for one in _groups(table, question, named) if one.distinct is None or one.distinct != table.rows]
    where, condition = _filter(table, question, measures)
    ranked = _HIGH.search(question) or _LOW.search(question)
    counted = _COUNT.search(question) and not (measures and ranked)
    if period := _period(table, question, measure, where, condition):
        yield period
    if relation := _RELATION.search(question):
        after = [one for one in mentioned(table.columns, question[relation.start() :]) if one.is_number]
        related = after if len(after) > 1 else measures
        if len(related) > 1:
            yield _correlation(table, related[0], related[1])
            return
    several = [one for one in table.columns if f"{one.sql} IN (" in where]
    groups = several + [one for one in groups if f"{one.sql} = " not in where and one not in several]
    for group in groups[:2]:
        yield _grouped(table, group, measure if measure not in groups else None, question, where, condition)
    if groups or period:
        return
    if counted or condition:
        yield Query(_select("count(*) AS n", table, where), "number of rows", Shape.COUNT, condition=condition)
    if ranked and measure is not None:
        yield _ranking(table, measure, [*named, *also], question, where, condition)
    elif not counted or condition:
        wanted = [column for column in measures if column.is_measure][:2]
        for one in wanted or ([measure] if measure is not None and _aggregates(question) else []):
            yield _figures(table, one, where, condition)


def _period(table: Table, question: str, measure: Column | None, where: str, condition: str) -> Query | None:
    """Rows and the measure over time, when the question asks for it and the table has a date."""
    match = _PERIOD.search(question)
    column = next((one for one in table.columns if one.is_time and "date" in one.type.lower() + one.name.lower()), None)
    column = column or next((one for one in table.columns if "timestamp" in one.type.lower()), None)
    if match is None or column is None:
        return None
    unit = (match[1] or "month").lower()
    figures, caption, value = "count(*) AS n", "number of rows", ""
    if measure is not None and measure.is_measure:
        name, function = _aggregate(question)
        if measure.stems & _ADDITIVE and not (_AVERAGE.search(question) or _MEDIAN.search(question)):
            name, function = "total", "sum"
        figures = f"round({function}({measure.sql}), 4) AS {quote(f'{name}_{measure.name}')}, {figures}"
        caption, value = f"{name} {measure.name}", measure.name
    time = f"CAST(date_trunc('{unit}', {column.sql}) AS DATE) AS {quote(unit)}"
    sql = _select(f"{time}, {figures}", table, where, f"GROUP BY 1 ORDER BY 1 LIMIT {MAX_PERIODS}")
    return Query(sql, f"{caption} per {unit}", Shape.PERIODS, value, condition)


def _ranking(table: Table, measure: Column, named: list[Column], question: str, where: str, condition: str) -> Query:
    high, low = _HIGH.search(question), _LOW.search(question)
    falls = low is None or (high is not None and high.start() < low.start())
    texts = [one for one in named if not one.is_number and not one.is_time and one.distinct != 1]
    label = max(texts, key=lambda one: one.distinct or 0, default=None) or table.label
    more = [one.sql for one in named if one.is_number and one != measure][:2]
    columns = ", ".join([*([label.sql] if label else []), measure.sql, *more])
    known = f"{where or 'WHERE'}{' AND' if where else ''} {measure.sql} IS NOT NULL"
    order = f"ORDER BY {measure.sql} {'DESC' if falls else 'ASC'}{', ' + label.sql if label else ''}"
    sql = _select(columns, table, known, order, f"LIMIT {_top(question)}")
    caption = ranked_by(table, question, label, measure, falls=falls)
    single = _FIRST_ONLY.search(question) is not None
    return Query(sql, f"{caption}{condition}", Shape.RANKING, measure.name, condition, single=single)


def _preferred(named: list[Column], question: str) -> list[Column]:
    """Columns that a question names; for 'how well' only shares and scores, if there are any among them."""
    if _HOW_WELL.search(question) is None:
        return named
    shares = [one for one in named if one.is_share or one.stems & _QUALITY]
    return [one for one in named if one in shares or not one.is_number] if shares else named


def _grouped(table: Table, group: Column, measure: Column | None, question: str, where: str, condition: str) -> Query:
    if measure is None or measure == group or not measure.is_measure:
        columns = f"{group.sql}, count(*) AS n, round(100.0 * count(*) / sum(count(*)) OVER (), 1) AS percent"
        sql = _select(columns, table, where, f"GROUP BY 1 ORDER BY n DESC, 1 LIMIT {MAX_GROUPS}")
        return Query(sql, f"number of rows per {group.name}", Shape.GROUPS, "", condition)
    name, function = _aggregate(question)
    if _COUNT.search(question) and measure.stems & (_ADDITIVE | _COUNTS) and not _AVERAGE.search(question):
        name, function = "total", "sum"
    value = f"round({function}({measure.sql}), 4) AS {quote(f'{name}_{measure.name}')}"
    falls = "ASC" if _LOW.search(question) and not _HIGH.search(question) else "DESC"
    order = f"GROUP BY 1 ORDER BY 2 {falls} NULLS LAST, 1 LIMIT {MAX_GROUPS}"
    sql = _select(f"{group.sql}, {value}, count(*) AS n", table, where, order)
    extreme = "lowest" if falls == "ASC" else "highest"
    return Query(sql, f"{name} {measure.name} per {group.name}", Shape.GROUPS, measure.name, condition, extreme)


def _figures(table: Table, measure: Column, where: str, condition: str) -> Query:
    column = measure.sql
    figures = (
        f"count({column}) AS n, round(avg({column}), 4) AS average, median({column}) AS median, "
        f"min({column}) AS minimum, max({column}) AS maximum"
    )
    figures += "" if measure.is_share else f", sum({column}) AS total"
    sql = _select(figures, table, where)
    return Query(sql, f"figures of {measure.name}", Shape.FIGURES, measure.name, condition)


def _correlation(table: Table, left: Column, right: Column) -> Query:
    known = f"WHERE {left.sql} IS NOT NULL AND {right.sql} IS NOT NULL"
    sql = _select(f"round(corr({left.sql}, {right.sql}), 4) AS correlation, count(*) AS n", table, known)
    return Query(sql, f"{left.name} and {right.name}", Shape.CORRELATION)


def _aggregate(question: str) -> tuple[str, str]:
    """The figure that a question wants of each group, in words and in SQL: the average unless it says otherwise."""
    if _MEDIAN.search(question):
        return "median", "median"
    if _SUM.search(question) or (_MOST.search(question) and not _AVERAGE.search(question)):
        return "total", "sum"
    return "average", "avg"


def _select(columns: str, table: Table, *rest: str) -> str:
    """One SELECT. Names are quoted and the query tool refuses all but reads, so nothing in the text can do harm."""
    return " ".join([f"SELECT {columns} FROM {table.sql}", *filter(None, rest)])  # noqa: S608


def _overview(table: Table) -> Iterator[Query]:
    label, measures, categories = table.label, table.measures, table.categories
    if categories:
        yield _grouped(table, categories[0], measures[0] if measures else None, "average", "", "")
    if measures and label is not None and label not in categories:
        yield _ranking(table, measures[0], [], "highest", "", "")
    if not categories and not measures:
        yield Query(_select("*", table, f"LIMIT {DEFAULT_TOP}"), "first rows", Shape.RANKING)


def _groups(table: Table, question: str, named: list[Column]) -> list[Column]:
    """Columns to group by: named after 'per', 'by' and the like, or categories that the question names."""
    after = [mentioned(table.columns, match[1])[:1] for match in _BY.finditer(question)]
    found = [column for group in after for column in group if not column.is_measure or column.distinct in range(2, 13)]
    if _aggregates(question) or _COUNT.search(question) or _HIGH.search(question) or _LOW.search(question) or not found:
        repeated = {one.name for one in table.categories}
        found += [one for one in named if one.name in repeated or _repeats(table, one)]
        if _WHICH.search(question):  # "which customer …": the rows of one customer belong together
            found += [one for one in named if one.is_identifier and not one.is_named_as_identifier(question)]
    return list({column.name: column for column in found}.values())


def _repeats(table: Table, column: Column) -> bool:
    """Whether a text column names groups of rows rather than rows."""
    if column.is_number or column.is_time or column.distinct is None or table.rows is None:
        return False
    return 1 < column.distinct <= 0.6 * table.rows


def _filter(table: Table, question: str, measures: list[Column]) -> tuple[str, str]:
    """WHERE clause and its words, from values and thresholds in the question."""
    asked = f" {' '.join(words(question))} "
    stems = {stem(word) for word in words(question)}
    clauses: list[str] = []
    said: list[str] = []
    for column in table.columns:
        held = [one for one in column.values if len(one) > 2 and _is_said(one, asked, stems)]
        literals = [f"'{one.replace(chr(39), chr(39) * 2)}'" for one in held]
        if held:
            several = f"{column.sql} IN ({', '.join(literals)})"
            clauses.append(f"{column.sql} = {literals[0]}" if len(held) == 1 else several)
            said.append(f"{column.name} is {' or '.join(held)}")
    if measures:
        for pattern, sign in ((_OVER, ">"), (_UNDER, "<")):
            if match := pattern.search(question):
                number = match[1].replace(",", "")
                sign += "=" if "at " in match[0].lower() or "=" in match[0] else ""
                clauses.append(f"{measures[0].sql} {sign} {number}")
                said.append(f"{measures[0].name} {sign} {number}")
    return (f"WHERE {' AND '.join(clauses)}", f" where {' and '.join(said)}") if clauses else ("", "")


def _counts_rows(table: Table, question: str) -> bool:
    """Whether the rows themselves are what there are most of: `which region has most orders`, of a table `orders`."""
    match = _MOST_OF.search(question)
    return match is not None and stem(match[1].lower()) in name_stems(table.name)


def bears_on(table: Table, question: str) -> bool:
    """Whether a question speaks of the table: of its name, a column, or a value that it holds."""
    asked = {stem(word) for word in words(question)}
    return bool(asked & name_stems(table.name) or mentioned(table.columns, question) or _filter(table, question, [])[0])


def _is_said(value: str, asked: str, stems: set[str]) -> bool:
    """Whether a value stands in a question; a single word of some length also in another form: refund, refunds."""
    parts = words(value)
    return bool(parts) and (
        f" {' '.join(parts)} " in asked or (len(parts) == 1 and len(value) > 3 and stem(parts[0]) in stems)
    )


def _hinted(table: Table, question: str) -> Column | None:
    if _SHARE.search(question) or not (_HIGH.search(question) or _LOW.search(question) or _aggregates(question)):
        return None
    for pattern, hints in _HINTS:
        if re.search(pattern, question, re.IGNORECASE):
            for hint in hints:
                for column in table.measures:
                    if hint in words(column.name.replace("_", " ")):
                        return column
    return next(iter(table.measures), None)


def _aggregates(question: str) -> bool:
    return any(pattern.search(question) for pattern in (_AVERAGE, _MEDIAN, _SUM, _SHARE, _BY))


def _top(question: str) -> int:
    match = _TOP_N.search(question)
    if match is None:
        return DEFAULT_TOP
    number = _NUMERALS.get(match[1].lower()) or int(match[1])
    return max(1, min(number, MAX_TOP))
