"""Which sentences say most: by relevance to a request, by centrality (LexRank), saying nothing twice (MMR).

LexRank: Erkan and Radev 2004, https://arxiv.org/abs/1109.2128. MMR: Carbonell and Goldstein, SIGIR 1998.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from workers.llm.offline.sentences import Sentence, merge
from workers.llm.offline.terms import key_stems, likeness, rarity, stems, weigh

MAX_CANDIDATES: Final = 160
"""Most sentences that are compared pairwise; 160 take about 15 ms."""
DAMPING: Final = 0.85
ROUNDS: Final = 20
SAME: Final = 0.6
"""Likeness from which two sentences are taken to say the same."""
DIVERSITY: Final = 0.35
"""Weight of redundancy against merit."""
WEAK: Final = 0.4
"""Share of the best merit below which a sentence is not worth its place."""
MANY_QUOTES: Final = 8
"""Quotation marks from which a sentence is a list of names."""
ENOUGH: Final = 0.3
"""Share of the request's weight that a sentence must cover to count as an answer to it."""

_LEANING = re.compile(
    r"^(?:\(|(?:this|these|those|that|it|its|they|their|he|she|such|however|but|and|or|so|thus|hence|therefore|also|then|"
    r"otherwise|moreover|furthermore|additionally|similarly|likewise|instead|conversely|consequently|finally|note|here|"
    r"for example|for instance|in this case|in particular|as a result|on the other hand|in the table|the following|"
    r"the (?:above|former|latter|previous|same)|a similar|another|what has|"
    r"see|changed in|new in|added in|deprecated|chapter|section|figure|table)\b)",
    re.IGNORECASE,
)
"""Openings of sentences that need the one before them."""
_DEFINING = re.compile(r"^(?:\S+ ){1,4}(?:is|are|means?|denotes?|refers? to|represents?)\b")
_POINTING = re.compile(
    r"\b(?:as follows|see also|see section|the following|described (?:below|above|here|in)|above|below|"
    r"further explanation|for (?:more|further|full) \w+|available (?:in|at))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    sentence: Sentence
    order: int
    vector: dict[str, float]
    merit: float


def most_relevant(
    found: Sequence[Sentence], about: str, *, focus: str = "", limit: int, weak: float = WEAK
) -> list[Sentence]:
    """At most `limit` sentences that bear on `about`, the best first; none that shares no word with it.

    `Sentence.origin` counts as the rank of the text that it came from: earlier texts weigh more.

    Args:
        focus: The part of `about` that counts most: sentences without a word of it are left out.
    """
    wanted = set(key_stems(about))
    first = set(key_stems(focus)) & wanted or wanted
    bags = [stems(one.text) for one in found]
    weights = rarity(bags)
    worth = _worth(wanted, first, weights, len(found))
    total, focal = (math.fsum(sorted(worth[one] for one in group)) or 1.0 for group in (wanted, first))
    least = min(ENOUGH, 1.2 / max(1, len(first))) * focal
    candidates: list[_Candidate] = []
    for order, (sentence, bag) in enumerate(zip(found, bags, strict=True)):
        shared = wanted & set(bag)
        on_focus = math.fsum(sorted(worth[one] for one in shared & first))
        if on_focus < least:
            continue
        merit = math.fsum(sorted(worth[one] for one in shared)) / total
        merit *= _shape(sentence, bag, shared & first) / (1 + 0.08 * sentence.origin)
        candidates.append(_Candidate(sentence, order, weigh(bag, weights), merit))
    return _diverse(candidates, limit, weak)


def _worth(wanted: set[str], first: set[str], weights: Mapping[str, float], size: int) -> dict[str, float]:
    """What a word of the request is worth: its rarity, most when nothing has it; in the focus never below average."""
    worth = {one: weights.get(one, math.log(1 + size)) for one in sorted(wanted)}
    mean = math.fsum(worth.values()) / len(worth) if worth else 0.0
    if first == wanted:
        return worth
    return {one: 2 * max(value, mean) if one in first else value for one, value in worth.items()}


def most_central(found: Sequence[Sentence], about: str, *, limit: int) -> list[Sentence]:
    """At most `limit` sentences that most others resemble, with a pull towards `about`; the best first."""
    wanted = set(key_stems(about))
    bags = [stems(one.text) for one in found]
    ranked = sorted(
        range(len(found)), key=lambda place: (-len(wanted & set(bags[place])), found[place].position, place)
    )
    kept = sorted(ranked[:MAX_CANDIDATES])
    weights = rarity([bags[place] for place in kept])
    vectors = [weigh(bags[place], weights) for place in kept]
    pull = [0.1 + sum(weights[one] for one in wanted & set(bags[place])) for place in kept]
    ranks = _power(vectors, pull)
    candidates = [
        _Candidate(
            found[place],
            order,
            vectors[order],
            ranks[order] * _shape(found[place], bags[place], wanted & set(bags[place])),
        )
        for order, place in enumerate(kept)
    ]
    return _diverse(candidates, limit, 0.0)


def reading_order(chosen: Sequence[Sentence]) -> list[Sentence]:
    """In the order of their texts, and within a text as they stood."""
    return sorted(chosen, key=lambda one: (one.origin, one.position))


def _shape(sentence: Sentence, bag: Sequence[str], shared: set[str]) -> float:
    """How well a sentence stands alone: the subject early, no pointing elsewhere, of middling length."""
    early = 1.3 if shared & set(bag[:2]) else 1.0
    defining = 1.4 if shared & set(bag[:2]) and _DEFINING.match(sentence.text) else 1.0
    leaning = 0.4 if _LEANING.match(sentence.text) else 1.0
    pointing = 0.4 if _POINTING.search(sentence.text) else 1.0
    condition = 0.75 if sentence.text.startswith(("If ", "When ", "Unless ")) else 1.0
    listing = 0.6 if sentence.text.count('"') + sentence.text.count("`") >= MANY_QUOTES else 1.0
    question = 0.5 if sentence.text.endswith("?") else 1.0
    length = 1.0 if len(sentence.text) <= 200 else 0.85
    first = 1.1 if sentence.position == 0 else 1.0
    return early * defining * leaning * condition * listing * pointing * question * length * first


def _power(vectors: Sequence[dict[str, float]], pull: Sequence[float]) -> list[float]:
    """Power iteration over the likeness graph; a random jump goes to a sentence in proportion to its pull."""
    size = len(vectors)
    whole = math.fsum(pull) or 1.0
    jump = [one / whole for one in pull]
    links: list[list[tuple[int, float]]] = []
    for left in range(size):
        row = [(right, likeness(vectors[left], vectors[right])) for right in range(size) if right != left]
        strong = [(right, value) for right, value in row if value > 0.05]
        out = math.fsum(value for _, value in strong)
        links.append([(right, value / out) for right, value in strong])
    ranks = list(jump)
    for _ in range(ROUNDS):
        following = [(1 - DAMPING) * one for one in jump]
        for left, row in enumerate(links):
            if not row:
                following[left] += DAMPING * ranks[left]
            for right, value in row:
                following[right] += DAMPING * ranks[left] * value
        ranks = following
    return ranks


def _diverse(candidates: Sequence[_Candidate], limit: int, weak: float) -> list[Sentence]:
    """The best by merit less redundancy. A sentence met twice is kept once, with the citations of both."""
    best = max((one.merit for one in candidates), default=0.0)
    if best <= 0:
        return []
    left = sorted(candidates, key=lambda one: (-one.merit, one.order))[:MAX_CANDIDATES]
    closest = [0.0] * len(left)
    chosen: dict[int, _Candidate] = {}
    while len(chosen) < limit:
        open_places = [place for place in range(len(left)) if place not in chosen and closest[place] < SAME]
        if not open_places:
            break
        place = max(open_places, key=lambda one: (left[one].merit / best - DIVERSITY * closest[one], -one))
        if left[place].merit < weak * best:
            break
        chosen[place] = left[place]
        for other, candidate in enumerate(left):
            closest[other] = max(closest[other], likeness(candidate.vector, left[place].vector))
    return [_with_twins(one, left) for one in chosen.values()]


def _with_twins(chosen: _Candidate, candidates: Sequence[_Candidate]) -> Sentence:
    sentence = chosen.sentence
    for other in candidates:
        if other.order != chosen.order and other.sentence.text == sentence.text:
            sentence = merge(sentence, other.sentence)
    return sentence
