"""Which sentences say most: by centrality (LexRank), saying nothing twice (MMR); and how well one stands alone.

LexRank: Erkan and Radev 2004, https://arxiv.org/abs/1109.2128. MMR: Carbonell and Goldstein, SIGIR 1998.
"""

import math
import re
from collections.abc import Sequence
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
MANY_QUOTES: Final = 8
"""Quotation marks from which a sentence is a list of names."""
_LEANING = re.compile(
    r"^(?:\(|(?:as such|accordingly|can|may|must|this|these|those|that|it|its|they|their|he|she|such|however|but|and|"
    r"or|so|thus|hence|therefore|also|then|"
    r"otherwise|moreover|furthermore|additionally|similarly|likewise|instead|conversely|consequently|finally|note|here|"
    r"for example|for instance|in this case|in particular|as a result|on the other hand|in the table|the following|"
    r"the (?:above|former|latter|previous|same)|a similar|another|what has|"
    r"see|changed in|new in|added in|deprecated|chapter|section|figure|table)\b)",
    re.IGNORECASE,
)
"""Openings of sentences that need the one before them."""
_VERSIONED = re.compile(
    r"\b(?:changed|new|added|deprecated|removed) in version\b|^(?:prior to|since|before) \S+ \d",
    re.IGNORECASE,
)
"""History of a thing rather than what it is."""
_DEFINING = re.compile(r"^(?:\S+ ){1,4}(?:is|are|means?|denotes?|refers? to|represents?)\b")
_POINTING = re.compile(
    r"\b(?:as follows|see also|see section|the following|described (?:below|above|here|in)|above|below|"
    r"further explanation|for (?:more|further|full) \w+|available (?:in|at))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may be chosen."""

    sentence: Sentence
    order: int
    vector: dict[str, float]
    """Of length 1, as `weigh` makes it."""
    merit: float


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
        Candidate(
            found[place],
            order,
            vectors[order],
            ranks[order] * shape(found[place], bags[place], wanted & set(bags[place])),
        )
        for order, place in enumerate(kept)
    ]
    return diverse(candidates, limit, 0.0)


def reading_order(chosen: Sequence[Sentence]) -> list[Sentence]:
    """In the order of their texts, and within a text as they stood."""
    return sorted(chosen, key=lambda one: (one.origin, one.position))


def shape(sentence: Sentence, bag: Sequence[str], shared: set[str]) -> float:
    """How well a sentence stands alone: the subject early, no pointing elsewhere, of middling length."""
    early = 1.3 if shared & set(bag[:2]) else 1.0
    defining = 1.4 if shared & set(bag[:2]) and _DEFINING.match(sentence.text) else 1.0
    leaning = 0.4 if leans(sentence) else 1.0
    versioned = 0.2 if _VERSIONED.search(sentence.text) else 1.0
    pointing = 0.4 if _POINTING.search(sentence.text) else 1.0
    condition = 0.75 if sentence.text.startswith(("If ", "When ", "Unless ")) else 1.0
    listing = 0.6 if sentence.text.count('"') + sentence.text.count("`") >= MANY_QUOTES else 1.0
    question = 0.5 if sentence.text.endswith("?") else 1.0
    length = 1.0 if len(sentence.text) <= 200 else 0.85
    first = 1.1 if sentence.position == 0 else 1.0
    return early * defining * leaning * versioned * condition * listing * pointing * question * length * first


def leans(sentence: Sentence) -> bool:
    """Whether it needs the sentence before it."""
    return _LEANING.match(sentence.text) is not None


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


def diverse(candidates: Sequence[Candidate], limit: int, weak: float) -> list[Sentence]:
    """The best by merit less redundancy. A sentence met twice is kept once, with the citations of both."""
    best = max((one.merit for one in candidates), default=0.0)
    if best <= 0:
        return []
    left = sorted(candidates, key=lambda one: (-one.merit, one.order))[:MAX_CANDIDATES]
    closest = [0.0] * len(left)
    chosen: dict[int, Candidate] = {}
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


def _with_twins(chosen: Candidate, candidates: Sequence[Candidate]) -> Sentence:
    sentence = chosen.sentence
    for other in candidates:
        if other.order != chosen.order and other.sentence.text == sentence.text:
            sentence = merge(sentence, other.sentence)
    return sentence
