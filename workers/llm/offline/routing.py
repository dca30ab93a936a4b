"""Which part of a task concerns the tables, which the documents, which both."""

import re
from enum import Enum, auto
from typing import Final

from workers.llm.offline.asking import Ask
from workers.llm.offline.columns import name_stems, names_in
from workers.llm.offline.reading import Brief
from workers.llm.offline.terms import stem, words

_FIGURE_WORDS: Final = """
    average mean median sum total count number percentage percent share ratio correlation correlate distribution
    histogram maximum minimum max min highest lowest largest smallest longest shortest biggest oldest youngest cheapest
    most fewest top bottom trend rank ranking statistics outlier breakdown sort group"""
_FIGURES: Final = frozenset(map(stem, _FIGURE_WORDS.split()))
_TABLE_WORDS: Final = frozenset(map(stem, ("table", "csv", "dataset", "data", "column", "row", "spreadsheet")))
_QUANTITY = re.compile(
    r"\bhow (?:many|much|large|big|long|often|high|well|good|old|expensive|likely)\b|\b(?:per|by|for each)\s+\w+|"
    r"\btop[- ]?\d+\b",
    re.IGNORECASE,
)
_EXPLAINING = re.compile(
    r"^(?:why|explain|describe|define|what (?:happens|does|do)\b|"
    r"how (?:to|do|does|did|is|are|can|could|should|would)\b|(?:what|who) (?:is|are)\b)",
    re.IGNORECASE,
)
_DEFINING = re.compile(r"^(?:what|who) (?:is|are)\b", re.IGNORECASE)
_DOCUMENT_WORDS = re.compile(
    r"\b(?:documents?|docs|texts?|reports?|manual|articles?|papers?|sources?)\b", re.IGNORECASE
)


class Place(Enum):
    """Where an answer is to be looked for."""

    DOCUMENTS = auto()
    TABLES = auto()
    BOTH = auto()


def place_of(brief: Brief, ask: Ask, *, after_tables: bool) -> Place:
    """Where to look. Explanations are in documents, figures in tables, and what may be either is looked for in both.

    Args:
        after_tables: Whether what its pronouns stand for was looked for in the tables.
    """
    if not brief.tables:
        return Place.DOCUMENTS
    if not brief.knowledge and not brief.columns:
        return Place.TABLES
    clause = ask.clause
    asked = {stem(word) for word in words(clause)}
    about_table = bool(asked & (_TABLE_WORDS | {one for name in brief.tables for one in name_stems(name)}))
    columns = [name for name in brief.columns if names_in(name, clause)]
    figures = bool(asked & _FIGURES) or _QUANTITY.search(clause) is not None
    if not brief.knowledge:
        return Place.TABLES if figures or columns or about_table or (ask.refers and after_tables) else Place.DOCUMENTS
    explaining = _EXPLAINING.match(clause) is not None
    if _DOCUMENT_WORDS.search(clause) and not columns:
        return Place.DOCUMENTS
    if after_tables and ask.refers and (figures or columns):
        return Place.TABLES
    if figures and _DEFINING.match(clause):
        explaining = False
    if explaining:
        return Place.BOTH if figures and (columns or about_table) else Place.DOCUMENTS
    if figures and brief.columns and not columns and not about_table:
        return Place.BOTH  # a number that may as well be written somewhere
    if figures or len(columns) > 1:
        return Place.TABLES
    return Place.BOTH if columns or about_table else Place.DOCUMENTS
