"""Captions of rankings: 'largest modules by lines', in the question's own words where it has any."""

import re

from workers.llm.offline.columns import Column, Table, name_stems
from workers.llm.offline.terms import stem, words

_SUPERLATIVE = re.compile(
    r"\b(?!(?:latest|newest|earliest|interest|request|forest|harvest|contest|protest|suggest|invest|honest|modest)\b)"
    r"[a-z]{3,}est\b",
    re.IGNORECASE,
)
_MANY = re.compile(r"\b(?:most|fewest|least)\b", re.IGNORECASE)


def ranked_by(table: Table, question: str, label: Column | None, measure: Column, *, falls: bool) -> str:
    """'largest modules by lines', or 'countries with the highest population'."""
    superlative = _SUPERLATIVE.search(question)
    noun = _plural(_noun(table, question, label))
    if superlative and superlative[0].lower() not in ("highest", "lowest"):
        return f"{superlative[0].lower()} {noun} by {measure.name}"
    if measure.name.endswith("s") and _MANY.search(question):
        return f"{noun} with the {'most' if falls else 'fewest'} {measure.name}"
    return f"{noun} with the {'highest' if falls else 'lowest'} {measure.name}"


def _noun(table: Table, question: str, label: Column | None) -> str:
    """What the rows are, in the question's own word when it is the name of the table or of the label."""
    names: frozenset[str] = name_stems(table.name)
    if label is not None:
        names |= label.stems
    for word in words(question):
        if stem(word) in names and word not in _measure_names(table):
            return word
    return label.name if label else "rows"


def _measure_names(table: Table) -> frozenset[str]:
    return frozenset(one.name.lower() for one in table.measures)


def _plural(noun: str) -> str:
    return noun if noun.endswith("s") or "_" in noun else f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def singular(caption: str) -> str:
    """'largest module by lines' of 'largest modules by lines'."""
    return re.sub(r"(?<=[^s\W])s(?= (?:by|with) )", "", caption, count=1)
