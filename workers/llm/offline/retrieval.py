"""The search policy: ask the documents in several ways, then quote the sentences that bear on the step."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from workers.llm.offline.asking import enumerate_words
from workers.llm.offline.kinship import kin_words, telling
from workers.llm.offline.moves import Answer, Call, Calls, Move
from workers.llm.offline.reading import Brief, Exchange, entries, string
from workers.llm.offline.relevance import most_relevant, paired
from workers.llm.offline.sentences import Sentence, sentences
from workers.llm.offline.terms import key_words, stem
from workers.llm.offline.topics import Topic, about_of, topics_of

SEARCH: Final = "search_passages"
MAX_QUERIES: Final = 3
MAX_QUERY: Final = 200
PASSAGES: Final = 8
"""Passages asked for with each query."""
MAX_SENTENCES: Final = 6
MAX_PASSAGES: Final = 24
MAX_PASSAGE: Final = 8_000
WEAK_ASPECT: Final = 0.55
"""Share of the best merit below which a sentence says too little under an aspect."""
OTHER_WORDS: Final = 2
"""Related words that a query gets for each word of an aspect."""
NOTHING_ON: Final = "Nothing was found on"
ENOUGH: Final = 3
"""Passages from which no second round of queries is made."""


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


def queries_for(description: str) -> list[str]:
    """One to three queries, the most particular first."""
    topics = topics_of(description)
    candidates = [_terms(topic.text) for topic in topics] if len(topics) > 1 else _in_several_ways(topics[0])
    distinct: dict[frozenset[str], str] = {}
    for candidate in candidates:
        if candidate:
            distinct.setdefault(frozenset(candidate.casefold().split()), candidate)
    return list(distinct.values())[:MAX_QUERIES] or [about_of(description)[:MAX_QUERY] or "overview"]


def findings(description: str, passages: list[Passage], done: Iterable[Exchange] = ()) -> str:
    """The most relevant sentences as a list, the best first, each with its source; or plainly that there are none."""
    read: list[Sentence] = []
    for origin, passage in enumerate(passages[:MAX_PASSAGES]):
        read.extend(paired(sentences(passage.text[:MAX_PASSAGE], origin=origin, citation=passage.id)))
    headings = {origin: passage.heading for origin, passage in enumerate(passages[:MAX_PASSAGES])}
    topics = topics_of(description)
    lines: list[str] = []
    for topic in topics:
        chosen, lacking = _on(topic, read, headings, max(2, MAX_SENTENCES // len(topics)))
        lines.extend(line for one in chosen if (line := f"- {one.cited_text}") not in lines)
        if chosen and lacking:
            lines.append(f"- {NOTHING_ON} {topic.subject} regarding {enumerate_words(lacking)}.")
    return "\n".join(lines) if lines else _nothing(about_of(description), passages, done)


def _on(topic: Topic, read: list[Sentence], headings: dict[int, str], limit: int) -> tuple[list[Sentence], list[str]]:
    """Sentences on a topic, the best first, then as they stood; and the aspects that none of them speaks of."""
    if not topic.aspects:
        chosen = most_relevant(read, topic, headings=headings, limit=limit)
        return _apart([*chosen[:1], *_in_order(chosen[1:])]), []
    found: list[Sentence] = []
    lacking: list[str] = []
    for aspect in topic.aspects:
        room = max(2, limit // len(topic.aspects))
        best = most_relevant(read, topic, aspect=aspect, headings=headings, limit=room, weak=WEAK_ASPECT)
        found.extend(best)
        lacking.extend([] if best else [aspect])
    about = most_relevant(read, topic, headings=headings, limit=1 + len(lacking))
    return _apart([*found[:1], *_in_order([*about, *found[1:]])])[: limit + 1], lacking


def _in_order(chosen: list[Sentence]) -> list[Sentence]:
    return sorted(chosen, key=lambda one: (one.origin, one.position))


def _apart(chosen: list[Sentence]) -> list[Sentence]:
    """Each sentence once, also where it is part of a longer quotation."""
    distinct: list[Sentence] = []
    for one in chosen:
        if one.text not in {other.text for other in distinct}:
            distinct.append(one)
    return [one for one in distinct if not any(one.text in other.text and one != other for other in distinct)]


def _nothing(about: str, passages: list[Passage], done: Iterable[Exchange]) -> str:
    errors = [exchange.output for exchange in done if exchange.failed]
    if errors and not passages:
        return f"The documents could not be searched ({about}): {' '.join(errors[0].split())[:300]}"
    near = [passage for passage in passages if passage.heading or passage.text.strip()][:ENOUGH]
    if near:
        places = "; ".join(f"{_label(passage)} [{passage.id}]" for passage in near)
        return f"No sentence in the documents bears directly on: {about}. The nearest places are: {places}."
    return f"Nothing was found in the documents about: {about}."


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


def _in_several_ways(topic: Topic) -> list[str]:
    """All words of the topic; the subject with each aspect, also in other words; the subject alone."""
    if not topic.aspects:
        parts = topic.subject.split(";")
        each = [topic.subject] if topic.context else parts if len(parts) > 1 else []
        return [_terms(f"{topic.subject} {topic.context}"), *map(_terms, each)]
    each = [f"{_terms(f'{topic.subject} {aspect}')} {' '.join(_other_words(aspect))}" for aspect in topic.aspects]
    return [*(" ".join(one.split())[:MAX_QUERY] for one in each[: MAX_QUERIES - 1]), _terms(topic.subject)]


def _other_words(aspect: str) -> list[str]:
    return [word for one, worth in telling(aspect).items() if worth == 1 for word in kin_words(one)[:OTHER_WORDS]]


def _terms(text: str) -> str:
    """The words that carry meaning, as written; the text itself when there are none."""
    distinct: dict[str, str] = {}
    for word in key_words(text):
        distinct.setdefault(stem(word), word)
    return " ".join(distinct.values())[:MAX_QUERY].strip()


def _label(passage: Passage) -> str:
    heading = passage.heading or passage.text
    return " ".join(heading.split())[:80]
