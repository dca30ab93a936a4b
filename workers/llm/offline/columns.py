"""Tables as the table tools describe them, and the words of a question that name their columns."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import JsonValue

from workers.llm.offline.reading import entries, string
from workers.llm.offline.terms import STOP_WORDS, stem, words

_NUMBERS: Final = ("int", "decimal", "numeric", "double", "float", "real", "huge", "number")
_TIMES: Final = ("date", "time")
_IDENTIFIERS: Final = """
    id ids key index idx uuid guid code zip postcode plz sku isbn ean ref reference phone fax serial account"""
_ID_WORDS: Final = frozenset(_IDENTIFIERS.split())
_ID_ENDS: Final = frozenset({"no", "nr", "num", "number"})
"""Last words of identifiers of several words: `order_no`, `invoice number`."""
FEW: Final = 30
"""Most distinct values of a column that is taken for a category."""
MIN_NUMBERED: Final = 20
"""Rows from which whole numbers without a gap are taken for their numbers; among few it may be chance."""
SHORT_FORM: Final = 3
"""Letters that a short form of a word has at least."""
MIN_LEFT_OUT: Final = 4
"""Letters that a short form leaves out at least; fewer, and it is likely another word."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, with what is known of its values."""

    name: str
    type: str
    distinct: int | None = None
    nulls: int | None = None
    facts: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    values: tuple[str, ...] = ()
    """Its most frequent values, if it holds text."""
    counts_rows: bool = False
    """Whether it only numbers the rows, without a gap."""

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return any(one in self.type.lower() for one in _NUMBERS) and "interval" not in self.type.lower()

    @property
    def is_time(self) -> bool:
        """Whether it holds dates or times."""
        return any(one in self.type.lower() for one in _TIMES)

    @property
    def is_identifier(self) -> bool:
        """Whether its values tell rows, or things, apart and mean nothing else."""
        parts = words(_spaced(self.name))
        return self.counts_rows or bool(set(parts) & _ID_WORDS) or (len(parts) > 1 and parts[-1] in _ID_ENDS)

    @property
    def is_measure(self) -> bool:
        """Whether adding or averaging it makes sense: a number that is no identifier and no year."""
        return self.is_number and not self.is_identifier and "year" not in words(_spaced(self.name))

    def is_named_as_identifier(self, question: str) -> bool:
        """Whether a question speaks of the identifier itself (`order id`), not of what it stands for (`order`)."""
        return bool(set(words(_spaced(question))) & set(words(_spaced(self.name))) & (_ID_WORDS | _ID_ENDS))

    @property
    def is_share(self) -> bool:
        """Whether all its values lie between 0 and 1, and not only at the ends."""
        low, high = self.facts.get("min"), self.facts.get("max")
        inside = isinstance(low, int | float) and isinstance(high, int | float) and low >= 0 and high <= 1
        return inside and self.is_number and "int" not in self.type.lower()

    @property
    def stems(self) -> frozenset[str]:
        """Stems of the words in its name."""
        return name_stems(self.name)

    @property
    def sql(self) -> str:
        """Its name as an SQL identifier."""
        return quote(self.name)


@dataclass(frozen=True, slots=True)
class Table:
    """One table."""

    name: str
    rows: int | None
    columns: tuple[Column, ...] = ()
    source: str = ""
    """Id to cite; empty until it was described."""

    @property
    def sql(self) -> str:
        """Its name as an SQL identifier."""
        return quote(self.name)

    @property
    def measures(self) -> list[Column]:
        """Columns to add, average and rank by."""
        return [one for one in self.columns if one.is_measure]

    @property
    def categories(self) -> list[Column]:
        """Columns whose values repeat, to group by; those with the fewest values first."""
        limit = min(FEW, max(2, (self.rows or FEW) // 2))
        repeated = [
            one for one in self.columns if not one.is_time and one.distinct is not None and 1 < one.distinct <= limit
        ]
        texts = [one for one in repeated if not one.is_number]
        return sorted(texts, key=lambda one: one.distinct or 0)

    @property
    def label(self) -> Column | None:
        """The column that names a row: the text column with most distinct values, earlier ones first."""
        texts = [one for one in self.columns if not one.is_number and not one.is_time]
        named = [one for one in texts if one.stems & {"name", "title"}]
        return max(named or texts, key=lambda one: one.distinct or 0, default=None)


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def listed(value: JsonValue) -> list[Table]:
    """Tables as `list_tables` gives them: a list, or an object with it; unreadable ones are left out."""
    if isinstance(value, list):
        value = {"tables": value}
    return [
        _table(entry, "name") for entry in entries(value, "tables") if string(entry, "name") and not entry.get("error")
    ]


def described(value: JsonValue) -> Table | None:
    """A table as `describe_table` gives it; None when that is not what it is."""
    if not isinstance(value, dict):
        return None
    key = "table" if string(value, "table") else "name"
    return _table(value, key) if string(value, key) else None


def mentioned(columns: Iterable[Column], question: str) -> list[Column]:
    """Columns that the question names, in the order of their mention; a fuller match goes first."""
    found = [
        (place, -hits, order, column)
        for order, column in enumerate(columns)
        for place, hits in [names_in(column.name, question) or (-1, 0)]
        if hits
    ]
    return [column for *_, column in sorted(found, key=lambda one: one[:3])]


def names_in(name: str, question: str) -> tuple[int, int] | None:
    """Whether a question names a column or table: at which word first, and by how many words of the name.

    At least half of the name's words must be there: by their stem, or as a short form (`doc` of 'documented').
    """
    asked = [stem(word) for word in words(_spaced(question))]
    parts = name_stems(name)
    places = [place for part in parts for place in [_place(part, asked)] if place is not None]
    return (min(places), len(places)) if places and 2 * len(places) >= len(parts) else None


def name_stems(name: str) -> frozenset[str]:
    """Stems of the words in a column's or table's name."""
    return frozenset(stem(word) for word in words(_spaced(name)))


def _place(part: str, asked: list[str]) -> int | None:
    if part in asked:
        return asked.index(part) if len(part) > 1 else None
    if len(part) < SHORT_FORM or part in STOP_WORDS:
        return None
    return next((place for place, one in enumerate(asked) if _abbreviates(part, one) or _abbreviates(one, part)), None)


def _abbreviates(short: str, whole: str) -> bool:
    """`doc` for 'document', `temp` for 'temperature'; not `age` for 'agent'."""
    return len(short) >= SHORT_FORM and len(whole) >= len(short) + MIN_LEFT_OUT and whole.startswith(short)


def with_source(table: Table, source: str) -> Table:
    """The same table, to be cited by `source`."""
    return replace(table, source=source)


def _table(entry: dict[str, JsonValue], key: str) -> Table:
    given = entry.get("columns")
    if isinstance(given, dict):  # names with their types
        entry = {**entry, "columns": [{"name": name, "type": kind} for name, kind in given.items()]}
    rows = _count(entry.get("rows"))
    columns = tuple(_column(one, rows) for one in entries(entry, "columns") if string(one, "name"))
    return Table(string(entry, key), rows, columns, string(entry, "source"))


def _column(entry: dict[str, JsonValue], rows: int | None) -> Column:
    top = entry.get("top")
    values: list[str] = []
    for item in top if isinstance(top, list) else []:
        value = item.get("value") if isinstance(item, dict) else item[0] if isinstance(item, list) and item else item
        if isinstance(value, str):
            values.append(value)
    return Column(
        name=string(entry, "name"),
        type=string(entry, "type"),
        distinct=_count(entry.get("distinct")),
        nulls=_count(entry.get("nulls")),
        facts={key: entry[key] for key in ("min", "max", "mean", "median", "std") if entry.get(key) is not None},
        values=tuple(values),
        counts_rows=_counts_rows(entry, rows),
    )


def _counts_rows(entry: dict[str, JsonValue], rows: int | None) -> bool:
    low, high = entry.get("min"), entry.get("max")
    if rows is None or rows < MIN_NUMBERED or not isinstance(low, int) or not isinstance(high, int):
        return False
    return "int" in string(entry, "type").lower() and _count(entry.get("distinct")) == rows == high - low + 1


def _count(value: JsonValue) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18 else None


def _spaced(name: str) -> str:
    """`petalLength_cm` as words."""
    out: list[str] = []
    for before, character in zip(" " + name, name, strict=False):
        out.append(" " + character if character.isupper() and before.islower() else character)
    return "".join(out).replace("_", " ")
