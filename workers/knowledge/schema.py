"""The index's fields and how words become terms, for passages and questions alike."""

from functools import cache
from typing import Final

import tantivy

WEIGHTS: Final = {"body": 1.0, "heading": 0.5, "title": 0.3}
"""Searched fields; their scores add up, so a word in a heading or title counts on top of the text. Short fields score
high by themselves: with weights from 1 on, passages were found less often by their own words (300 queries on the
topics of Python's help, mean reciprocal rank 0.85 at 1.0/0.6 and 0.92 here)."""
MAX_TERMS: Final = 64
"""Different words of a question that count; a pasted page is no question."""

_ANALYZER: Final = "passage_words"
_ALONE: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}"
"""Scripts without blanks between words: each character is a term."""
_WORDS: Final = rf"[{_ALONE}]|[\p{{L}}\p{{N}}\p{{M}}--[{_ALONE}]]+"
_MAX_TERM_BYTES: Final = 64
"""Longer words are keys, hashes and encoded data that nobody asks for."""
_STOP_TEXT: Final[str] = """
    a about all also am an and any are as at be been being but by can could did do does doing for from had has have
    having he her here him his how i if in into is it its just me my no not of on or our out over own please same she
    should so some such than that the their them then there these they this those to too under until up us very was we
    were what when where which while who whom why will with would you your
"""


def build_schema() -> tantivy.Schema:
    """Fields of a passage: what is searched, what it is found again by, and the passage itself."""
    builder = tantivy.SchemaBuilder()
    for name in WEIGHTS:
        builder.add_text_field(name, tokenizer_name=_ANALYZER, index_option="freq")
    builder.add_text_field("path", tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("ordinal", fast=True)
    builder.add_bytes_field("source", stored=True)
    return builder.build()


def register(index: tantivy.Index) -> None:
    """Make an index that will be written know its analysis; it is not kept on disk."""
    index.register_tokenizer(_ANALYZER, _analyzer(stop_words=False))


def terms(question: str) -> list[str]:
    """Terms to look for, in order and without repetition. Stop words go, unless there is nothing else."""
    found = _analyzer(stop_words=True).analyze(question) or _analyzer(stop_words=False).analyze(question)
    return list(dict.fromkeys(found))[:MAX_TERMS]


def build_query(schema: tantivy.Schema, question: str) -> tantivy.Query | None:
    """A query for passages with any of the words; None when the text has no words.

    Built from terms, not parsed: brackets, quotes, colons and AND in a question are just characters.
    """
    parts = [
        (tantivy.Occur.Should, tantivy.Query.boost_query(_term(schema, field, term), weight))
        for term in terms(question)
        for field, weight in WEIGHTS.items()
    ]
    return tantivy.Query.boolean_query(parts) if parts else None


def path_query(schema: tantivy.Schema, path: str) -> tantivy.Query:
    """A query for all passages of one file."""
    return tantivy.Query.term_query(schema, "path", path, index_option="basic")


def _term(schema: tantivy.Schema, field: str, term: str) -> tantivy.Query:
    return tantivy.Query.term_query(schema, field, term, index_option="freq")


@cache
def _analyzer(*, stop_words: bool) -> tantivy.TextAnalyzer:
    builder = (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(_WORDS))
        .filter(tantivy.Filter.remove_long(_MAX_TERM_BYTES))
        .filter(tantivy.Filter.lowercase())
    )
    if stop_words:
        builder = builder.filter(tantivy.Filter.custom_stopword(list[str](_STOP_TEXT.split())))
    return builder.filter(tantivy.Filter.ascii_fold()).filter(tantivy.Filter.stemmer("english")).build()
