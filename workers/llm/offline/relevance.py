"""Which sentences answer a question: those on its subject, under the aspect asked for, in words of their own kind."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from workers.llm.offline.choosing import Candidate, diverse, leans, shape
from workers.llm.offline.kinship import closeness, telling
from workers.llm.offline.sentences import Sentence
from workers.llm.offline.terms import rarity, stems, weigh, words
from workers.llm.offline.topics import Topic

WEAK: Final = 0.4
"""Share of the best merit below which a sentence is not worth its place."""
ENOUGH: Final = {1: 0.3, 2: 0.5, 3: 0.4}
"""Share of the subject's weight that a sentence must cover to count as one about it, by the number of its words."""
ENOUGH_OF_MANY: Final = 0.3
LATE: Final = 8
"""Meaningful words before the subject from which it is mentioned in passing."""
MAX_PAIR: Final = 420
"""Longest pair of sentences that is quoted as one."""
NO_HEADINGS: Final[Mapping[int, str]] = {}

_HISTORY = re.compile(r"\b(?:versions?|history|since when|new in|added|deprecated|released?)\b", re.IGNORECASE)
_IN_VERSION = re.compile(r"\b(?:changed|new|added|deprecated|removed) in version\b", re.IGNORECASE)
_CUES: Final = (
    (
        re.compile(r"^why\b|\b(?:reasons?|causes?)\b", re.IGNORECASE),
        re.compile(
            r"\b(?:because|since|so that|therefore|this means|reason|in order to|prevents?|avoids?|otherwise|would|"
            r"due to)\b",
            re.IGNORECASE,
        ),
    ),
    (
        re.compile(r"^how (?:to|do (?:i|we|you)|can (?:i|we|you)|should (?:i|we|you))\b", re.IGNORECASE),
        re.compile(
            r"^(?:to|use|call|set|run|pass|give|define|write|add)\b|"
            r"\b(?:must|should|can be|by \w+ing|is done|use|uses|set|sets|define|defines|pass|add|call)\b",
            re.IGNORECASE,
        ),
    ),
)
"""Forms of questions, and the words by which their answers are known."""


def most_relevant(
    found: Sequence[Sentence],
    topic: Topic,
    *,
    limit: int,
    aspect: str = "",
    headings: Mapping[int, str] = NO_HEADINGS,
    weak: float = WEAK,
) -> list[Sentence]:
    """At most `limit` sentences that bear on the topic, the best first; none that shares no word with its subject.

    `Sentence.origin` counts as the rank of the text that it came from: earlier texts weigh more.

    Args:
        aspect: Leaves out sentences that say nothing under it.
        headings: What stands above the text of each origin.
    """
    focus = telling(topic.subject)
    wider = {one: value for one, value in telling(topic.context).items() if one not in focus}
    told = telling(aspect)
    under = {one: value for one, value in told.items() if one not in focus} or told
    bags = [stems(one.text) for one in found]
    weights = rarity(bags)
    worth = _worth(focus, wider, weights, len(found))
    total = math.fsum(worth.values()) or 1.0
    focal = math.fsum(worth[one] for one in focus) or 1.0
    least = ENOUGH.get(sum(value == 1 for value in focus.values()), ENOUGH_OF_MANY) * focal
    candidates: list[Candidate] = []
    for order, (sentence, bag) in enumerate(zip(found, bags, strict=True)):
        held = frozenset(bag)
        near = {one: closeness(one, held) if len(focus) > 1 else float(one in held) for one in worth}
        on_focus = math.fsum(worth[one] * near[one] for one in focus)
        answers = math.fsum(value * closeness(one, held) for one, value in under.items())
        if on_focus < least or not on_focus or (aspect and not answers):
            continue
        merit = math.fsum(worth[one] * near[one] for one in worth) / total
        merit += answers / math.fsum(under.values()) if aspect else 0.0
        merit *= _fit(sentence, bag, focus, topic.subject, headings.get(sentence.origin, ""))
        candidates.append(Candidate(sentence, order, weigh(bag, weights), merit / (1 + 0.08 * sentence.origin)))
    return diverse(candidates, limit, weak)


def paired(found: Sequence[Sentence]) -> list[Sentence]:
    """The sentences; each that leans on the one right before it is taken together with that."""
    whole: list[Sentence] = []
    for place, one in enumerate(found):
        before = found[place - 1] if place else None
        if before is not None and one.follows and before.origin == one.origin and leans(one) and not leans(before):
            text = f"{before.text} {one.text}"
            if len(text) <= MAX_PAIR and not _IN_VERSION.search(text):
                whole.append(replace(one, text=text, citations=before.citations))
                continue
        whole.append(one)
    return whole


def _worth(
    focus: Mapping[str, float], wider: Mapping[str, float], weights: Mapping[str, float], size: int
) -> dict[str, float]:
    """What a word of the request is worth: its rarity, the mean when nothing has it; in the focus never below that."""
    present = [weights[one] for one in sorted({*focus, *wider}) if one in weights]
    usual = math.fsum(present) / len(present) if present else math.log(1 + size)
    rare = {one: weights.get(one, usual) for one in sorted({*focus, *wider})}
    mean = math.fsum(rare.values()) / len(rare) if rare else 0.0
    if not wider:
        return {one: value * focus[one] for one, value in rare.items()}
    return {
        one: 2 * max(value, mean) * focus[one] if one in focus else value * wider[one] for one, value in rare.items()
    }


def _fit(sentence: Sentence, bag: Sequence[str], focus: Mapping[str, float], question: str, heading: str) -> float:
    """How well a sentence answers: by its shape, where it names the subject, and what stands above its text."""
    shared = {one for one in focus if one in bag}
    fit = shape(sentence, bag, shared)
    above = set(stems(heading.rpartition("›")[2] or heading))
    first = next((place for place, one in enumerate(bag) if one in shared), LATE)
    if first >= LATE:
        fit *= 0.8 if shared & above else 0.6
    if set(focus) & above:
        fit *= 1.3 if above <= set(focus) else 1.15
    elif above:
        fit *= 0.75
    whole = stems(question)
    if set(pairwise(whole)) & set(pairwise(bag)):
        fit *= 1.5  # 'import system' as one term
    for asked, answered in _CUES:
        if asked.search(question) and answered.search(sentence.text):
            fit *= 1.5
    if _IN_VERSION.search(sentence.text) and _HISTORY.search(question):
        fit *= 5.0  # takes back what `shape` holds against it
    return fit if words(sentence.text) else 0.0
