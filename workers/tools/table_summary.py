"""A table in numbers: exact counts, and means and deviations that lose no digits."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Final

from workers.tools.table_engine import Table, TableEngine, quoted
from workers.tools.table_sql import TableError
from workers.tools.table_values import clean, cut, json_safe

MAX_COLUMNS: Final = 40
"""Columns described in detail; of the others only names are given."""
EXACT_DISTINCT_ROWS: Final = 200_000
"""Up to so many rows distinct values are counted, above they are estimated (HyperLogLog)."""
TOP_VALUES: Final = 5
SAMPLE_ROWS: Final = 3
SHORT: Final = 80
DECIMALS: Final = 12
_INTEGERS: Final = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
)
_FLOATS: Final = frozenset({"FLOAT", "DOUBLE"})
_ORDERED: Final = ("VARCHAR", "DATE", "TIME", "BOOLEAN", "ENUM", "UUID", "INTERVAL", "HUGEINT", "UHUGEINT")


def summarize(engine: TableEngine, name: str) -> dict[str, object]:
    """Describe a table: rows, each column's numbers and most frequent values, the first rows.

    Raises:
        TableError: unknown_table, bad_table, timeout or out_of_memory.
    """
    table = engine.table(name)
    shown = list(table.columns)[:MAX_COLUMNS]
    sample = engine.select(f"SELECT {', '.join(map(quoted, shown))} FROM {quoted(table.name)} LIMIT {SAMPLE_ROWS}")  # noqa: S608
    return {
        "name": table.name,
        "rows": table.rows,
        "columns": [_column(engine, table, column) for column in shown],
        "more_columns": list(table.columns)[MAX_COLUMNS:],
        "sample": [[_short(value) for value in clean(row)] for row in sample],
    }


def _column(engine: TableEngine, table: Table, column: str) -> dict[str, object]:
    kind = table.columns[column]
    name = quoted(column)
    exact = table.rows <= EXACT_DISTINCT_ROWS
    distinct = f"count(DISTINCT {name})" if exact else f"approx_count_distinct({name})"
    number = kind in _INTEGERS or kind in _FLOATS or kind.startswith("DECIMAL")
    ordered = (number or kind.startswith(_ORDERED)) and not kind.endswith("]")
    ends = f"min({name}), max({name})" if ordered else "NULL, NULL"
    nulls, different, least, most = _one(engine, table, f"count(*) - count({name}), {distinct}, {ends}")
    repeats = int(str(different)) < table.rows - int(str(nulls))
    return {
        "name": column,
        "type": cut(kind, SHORT),
        "nulls": nulls,
        "distinct": different,
        "distinct_is_exact": exact,
        "min": _short(json_safe(least)),
        "max": _short(json_safe(most)),
        **(_numbers(engine, table, column) if number and ordered else {}),
        "top": _top(engine, table, name) if repeats else [],
    }


def _top(engine: TableEngine, table: Table, name: str) -> list[dict[str, object]]:
    rows = engine.select(
        f"SELECT {name}, count(*) FROM {quoted(table.name)} WHERE {name} IS NOT NULL "  # noqa: S608
        f"GROUP BY 1 ORDER BY 2 DESC, CAST({name} AS VARCHAR) LIMIT {TOP_VALUES}"
    )
    return [{"value": _short(json_safe(value)), "count": count} for value, count in rows]


def _numbers(engine: TableEngine, table: Table, column: str) -> dict[str, object]:
    """Mean, sample standard deviation and quartiles of the finite values."""
    name = quoted(column)
    finite = f"isfinite({name})" if table.columns[column] in _FLOATS else "true"
    where = f"FILTER (WHERE {name} IS NOT NULL AND {finite})"
    quartiles = f"quantile_cont(CAST({name} AS DOUBLE), [0.25, 0.5, 0.75]) {where}"
    count, values, outside = _one(engine, table, f"count(*) {where}, {quartiles}, count({name}) - count(*) {where}")
    if not count or not isinstance(values, list):
        return {"not_finite": outside}
    mean, deviation = _moments(engine, table, column, where, int(str(count)))
    low, middle, high = clean(values)  # pyright: ignore[reportUnknownArgumentType]
    return {
        "mean": mean,
        "std": deviation,
        "q25": low,
        "median": middle,
        "q75": high,
        "not_finite": outside,
    }


def _moments(
    engine: TableEngine, table: Table, column: str, where: str, count: int
) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation.

    Sums are exact: integers as integers, and decimal fractions as the decimals that the file says, not as the doubles
    next to them. Deviations are taken from the mean before they are squared, so nothing cancels. On the NIST StRD
    univariate sets this gives 15 digits, where the doubles alone cannot give more than 9 (NumAcc3).
    """
    exact = _exact(engine, table, column, where)
    name = quoted(column)
    if exact is None:
        return _rounded_moments(engine, table, name, where)
    expression, total, scale = exact
    mean = Fraction(total) / count
    centre = round(mean * 10**scale)
    text = f"{Decimal(centre).scaleb(-scale):f}"
    shifted = f"CAST({expression} - CAST('{text}' AS {_type(scale)}) AS DOUBLE)"
    (deviation,) = _one(engine, table, f"stddev_samp({shifted}) {where}")
    return float(mean), _float(deviation)


def _rounded_moments(engine: TableEngine, table: Table, name: str, where: str) -> tuple[float | None, float | None]:
    """The same for doubles that are no short decimals: a compensated sum, and again deviations from the mean."""
    mean = _float(_one(engine, table, f"favg(CAST({name} AS DOUBLE)) {where}")[0])
    if mean is None:
        return None, None
    centred = f"CAST({name} AS DOUBLE) - CAST('{mean!r}' AS DOUBLE)"
    return mean, _float(_one(engine, table, f"stddev_samp({centred}) {where}")[0])


def _exact(engine: TableEngine, table: Table, column: str, where: str) -> tuple[str, Decimal, int] | None:
    """An expression with the column's exact values, their sum, and their number of decimals; None: there is none."""
    name, kind = quoted(column), table.columns[column]
    if kind in _INTEGERS:
        expression, scale, fits = f"CAST({name} AS HUGEINT)", 0, "true"
    elif kind in _FLOATS:
        expression, scale = f"TRY_CAST(CAST({name} AS VARCHAR) AS {_type(DECIMALS)})", DECIMALS
        same = f"CAST({expression} AS {kind}) IS NOT DISTINCT FROM {name}"
        fits = f"bool_and({same} AND abs({name}) < 1e15) {where}"
    else:
        expression, scale, fits = name, int(kind.rstrip(")").split(",")[1]), "true"
    try:
        fit, total = _one(engine, table, f"{fits}, sum({expression}) {where}")
    except TableError as fault:
        if fault.code != "failed":  # failed: the sum has more than 38 digits
            raise
        return None
    if not fit:
        return None
    return expression, Decimal(str(total)), scale


def _type(scale: int) -> str:
    return f"DECIMAL(38, {scale})" if scale else "HUGEINT"


def _one(engine: TableEngine, table: Table, selection: str) -> tuple[object, ...]:
    return engine.select(f"SELECT {selection} FROM {quoted(table.name)}")[0]  # noqa: S608


def _float(value: object) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else None


def _short(value: object) -> object:
    return cut(value, SHORT) if isinstance(value, str) else value
