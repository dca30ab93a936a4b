"""Values of a database as JSON has them: exact where JSON can be, text where it cannot, long text cut."""

import base64
import math
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final, cast

JsonScalar = str | int | float | bool | None
Row = list[object]

MAX_CELL_CHARS: Final = 500
MAX_BYTES: Final = 48
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 6


def clean(row: Iterable[object]) -> Row:
    """One row, ready for JSON."""
    return [json_safe(value) for value in row]


def json_safe(value: object, depth: int = 0) -> object:
    """The value as JSON has it.

    Decimals become numbers where a double holds them, text elsewhere; NaN and infinities text; dates and times
    ISO 8601; bytes base 64. Text over MAX_CELL_CHARS and lists over MAX_ITEMS are cut, and say so.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        more = f"… ({len(value)} bytes)" if len(value) > MAX_BYTES else ""
        return base64.b64encode(value[:MAX_BYTES]).decode() + more
    if depth < MAX_DEPTH and isinstance(value, dict | list | tuple):
        return _nested(cast("dict[object, object] | list[object] | tuple[object, ...]", value), depth)
    return cut(str(value))  # timedelta, UUID and whatever a newer DuckDB returns


def cut(text: str, limit: int = MAX_CELL_CHARS) -> str:
    """The text, or its beginning with a mark."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _nested(value: dict[object, object] | list[object] | tuple[object, ...], depth: int) -> object:
    if isinstance(value, dict):
        return {str(key): json_safe(item, depth + 1) for key, item in list(value.items())[:MAX_ITEMS]}
    items = [json_safe(item, depth + 1) for item in value[:MAX_ITEMS]]
    return items if len(value) <= MAX_ITEMS else [*items, f"… ({len(value)} items)"]
