"""The search policy: ask the documents in several ways, then quote the sentences that bear on the step."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from workers.llm.offline.choosing import most_relevant, reading_order
from workers.llm.offline.moves import Answer, Call, Calls, Move
from workers.llm.offline.reading import Brief, Exchange, entries, string
from workers.llm.offline.sentences import Sentence, sentences
from workers.llm.offline.terms import key_words, stem

SEARCH: Final = "search_passages"
MAX_QUERIES: Final = 3
MAX_QUERY: Final = 200
PASSAGES: Final = 8
"""Passages asked for with each query."""
MAX_SENTENCES: Final = 6
MAX_PASSAGES: Final = 24
MAX_PASSAGE: Final = 8_000
ENOUGH: Final = 3
"""Passages from which no second round of queries is made."""

_BOILERPLATE = re.compile(
    r"^\s*(?:please\s+)?(?:find|search|look|retrieve|collect|gather|research|identify|locate)\b(?:\s+out)?(?:\s+for)?\s*"
    r"(?:(?:in|through)\s+)?(?:what\s+)?(?:(?:the|all|any|relevant)\s+)*(?:documents?|sources?|passages?|information|evidence|facts|everything)?"
    r"(?:\s+(?:say|says|state|have to say|tell us))?\s*(?:in the documents\s+)?(?:(?:about|on|for|of)\b)?\s*:?\s*",
    re.IGNORECASE,
)
_REGARDING = re.compile(r",?\s+(?:regarding|with respect to|in terms of|with regard to|concerning)\s+", re.IGNORECASE)
_CONTEXT = re.compile(r"\s*\(([^()]{3,200})\)\s*$")


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as the tool showed it."""

    id: str
    text: str
    heading: str = ""


def search(brief: Brief) -> Move:
    """Query first; once more when little came; then answer."""
    done = brief.outcomes(SEARCH)
    passages = passages_of(done)
    asked = {str(exchange.arguments.get("query", "")).casefold() for exchange in done}
    if not done:
        queries = queries_for(brief.step or brief.task)
    elif len(passages) < ENOUGH and brief.turns < 2:
        queries = [word for word in key_words(brief.step)[:MAX_QUERIES] if word not in asked]
    else:
        queries = []
    if queries:
        return Calls(tuple(Call(SEARCH, {"query": query, "k": PASSAGES}) for query in queries))
    return Answer(findings(brief.step or brief.task, passages, done))


def about_of(description: str) -> str:
    """What a search step is about: its description without the words around it."""
    rest = _BOILERPLATE.sub("", description, count=1).strip(" \t\r\n:;,.?!")
    return rest or description.strip()


def queries_for(description: str) -> list[str]:
    """One to three queries, the most particular first."""
    about = " ".join(about_of(description).split())
    context = _CONTEXT.search(about)
    focus = _CONTEXT.sub("", about)
    parts = _REGARDING.split(focus, maxsplit=1)
    candidates = [
        _terms(about),
        _terms(parts[0]) if len(parts) > 1 else "",
        _terms(focus) if context else "",
        *(_terms(part) for part in about.split(";")[:MAX_QUERIES] if ";" in about),
    ]
    distinct: dict[frozenset[str], str] = {}
    for candidate in candidates:
        if candidate:
            distinct.setdefault(frozenset(candidate.casefold().split()), candidate)
    return list(distinct.values())[:MAX_QUERIES] or [about[:MAX_QUERY] or "overview"]


def findings(about: str, passages: list[Passage], done: Iterable[Exchange] = ()) -> str:
    """The most relevant sentences as a list, each with its source; or plainly that there are none."""
    topic = about_of(about)
    found: list[Sentence] = []
    for origin, passage in enumerate(passages[:MAX_PASSAGES]):
        found.extend(sentences(passage.text[:MAX_PASSAGE], origin=origin, citation=passage.id))
    focus = _REGARDING.split(_CONTEXT.sub("", topic), maxsplit=1)[0]
    chosen = reading_order(most_relevant(found, topic, focus=focus, limit=MAX_SENTENCES))
    if chosen:
        return "\n".join(f"- {one.cited_text}" for one in chosen)
    errors = [exchange.output for exchange in done if exchange.failed]
    if errors and not passages:
        return f"The documents could not be searched ({topic}): {' '.join(errors[0].split())[:300]}"
    near = [passage for passage in passages if passage.heading or passage.text.strip()][:ENOUGH]
    if near:
        places = "; ".join(f"{_label(passage)} [{passage.id}]" for passage in near)
        return f"No sentence in the documents bears directly on: {topic}. The nearest places are: {places}."
    return f"Nothing was found in the documents about: {topic}."


def passages_of(done: Iterable[Exchange]) -> list[Passage]:
    """Distinct passages, those first that several queries ranked high."""
    ranks: dict[str, float] = {}
    known: dict[str, Passage] = {}
    for exchange in done:
        for rank, entry in enumerate(entries(exchange.parsed, "passages")):
            name, text = string(entry, "id"), string(entry, "text")
            if name and text:
                known.setdefault(name, Passage(name, text, string(entry, "heading") or string(entry, "title")))
                ranks[name] = ranks.get(name, 0.0) + 1 / (10 + rank)
    return sorted(known.values(), key=lambda passage: -ranks[passage.id])


def _terms(text: str) -> str:
    """The words that carry meaning, as written; the text itself when there are none."""
    distinct: dict[str, str] = {}
    for word in key_words(text):
        distinct.setdefault(stem(word), word)
    return " ".join(distinct.values())[:MAX_QUERY].strip()


def _label(passage: Passage) -> str:
    heading = passage.heading or passage.text
    return " ".join(heading.split())[:80]
