"""Words that speak of the same matter: a question about change is answered by a sentence with 'mutable'."""

from collections.abc import Iterable
from functools import cache
from typing import Final

from workers.llm.offline.terms import key_stems, stem

KIN_WORTH: Final = 0.7
"""What a related word counts against the word itself."""
LIGHT_WORTH: Final = 0.3

_GROUPS: Final = (
    "change changed mutable immutable modify modified mutate alter replace update assign assigned unchanged in-place",
    "compare compared comparison equal equality equals unequal lexicographic lexicographically",
    "hash hashable unhashable hashing",
    "order ordered ordering sort sorted sequence",
    "speed fast faster slow slower quick quickly performance latency throughput efficient",
    "memory space footprint storage",
    "cost costs price expensive cheap budget dollar money",
    "limit limits maximum bound cap ceiling quota budget",
    "safe safety secure security protect protected danger sandbox",
    "fail failure fails error exception crash fault",
    "lose lost loss dead die dies died silent expire expired vanish",
    "durable durability persist persistent persistence survive survives append-only",
    "reliable reliability deliver delivery guarantee retry",
    "recover recovery retry retried again resume",
    "detect detected detection notice noticed find found",
    "create created creation construct constructor build built formed",
    "start begin launch",
    "stop end ended cancel cancelled terminate kill abort finish",
    "delete remove removed discard drop erase",
    "add insert append extend",
    "store stored save keep kept",
    "handle handled handler catch caught",
    "document documented documentation docstring coverage",
    "install installation requirement dependency",
    "configure configuration setting option",
    "size large big small length count",
    "copy copied clone duplicate",
    "cause causes reason because",
    "name naming names named bound bind binding",
    "test tests testing tested",
    "scale scaling scalable grow growth",
    "suspend suspended suspension pause paused",
    "permission permissions allowed access forbidden",
    "buy bought sell sold sale sales",
)
_LIGHT_WORDS: Final = (
    "make made do happen happens work works use used mean means become come go need take put set get "
    "call called hold holds concern concerns treat affect behave kind way good well possible available"
)
_LIGHT: Final = frozenset(stem(word) for word in _LIGHT_WORDS.split())
"""Stems that say little about what a question is after."""


@cache
def kin(one: str) -> frozenset[str]:
    """Stems that speak of the same matter as a stem, without itself."""
    groups = [{stem(word) for word in group.replace("-", " ").split()} for group in _GROUPS]
    return frozenset(other for group in groups if one in group for other in group if other != one)


@cache
def kin_words(one: str) -> tuple[str, ...]:
    """Words, one for each stem, that speak of the same matter as a stem; the nearest first."""
    groups = [group.split() for group in _GROUPS if one in {stem(word) for word in group.split()}]
    return tuple({stem(word): word for group in groups for word in reversed(group) if stem(word) != one}.values())[::-1]


def telling(text: str) -> dict[str, float]:
    """Stems of what a request is about, with what each is worth: little for such as 'make' and 'happen'."""
    found = key_stems(text)
    heavy = [one for one in found if one not in _LIGHT]
    return {one: 1.0 if one in heavy or not heavy else LIGHT_WORTH for one in found}


def closeness(wanted: str, bag: Iterable[str]) -> float:
    """1 when the stem itself is among the stems, less when a related one is, 0 otherwise."""
    held = bag if isinstance(bag, set | frozenset) else set(bag)
    if wanted in held:
        return 1.0
    return KIN_WORTH if kin(wanted) & held else 0.0
