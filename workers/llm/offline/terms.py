"""Words as the rules compare them: tokens, stop words, light stems, weights by rarity."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
MIN_STEM: Final = 3

_STOP = """
    a about above after again against all also am an and any are aren't as at be because been before being below
    between both but by can can't cannot could did do does doesn't doing don't down during each either else etc few for
    from further get give given had has have having he her here hers him his how however i if in into is isn't it its
    itself just let like may me might mine more most much must my no nor not now of off on once one only or other our
    out over own per please same shall she should so some such than that the their theirs them then there these they
    thing things this those through to too under until up upon us use used using very was way we were what whatever
    when where whether which while who whom whose why will with within without would you your yours"""
STOP_WORDS: Final = frozenset(_STOP.split())

_INSTRUCTION = """
    analyse analyze answer assess briefly calculate compare compute consider contrast describe detail detailed
    determine difference differences differ discuss document documents evaluate examine explain explanation
    explore find finding findings identify information investigate know look main mean outline overview
    passage passages provide question regarding say says show short summarise summarize summary tell treat
    want work write"""
INSTRUCTION_WORDS: Final = frozenset(_INSTRUCTION.split())
"""Words that say what to do, not what about."""

_NAMED_BY_THEM: Final = frozenset(
    {"statement", "statements", "keyword", "clause", "clauses", "operator", "operators", "loop", "loops"}
)
"""After these a stop word is a name: the *with* statement, *for* loops."""


def words(text: str) -> list[str]:
    """Lower-case words in order; characters of scripts without blanks stand alone."""
    found: list[str] = []
    for match in _WORD.finditer(text.lower()):
        word = match[0]
        if _CJK.search(word):
            found.extend(word)
        else:
            found.append(word)
    return found


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The word without its common English endings: 'hashing' and 'hashed' become 'hash', 'queries' 'query'."""
    bare = word.removesuffix("'s").removesuffix("’s")
    if bare.endswith("ies") and len(bare) > MIN_STEM + 1:
        return bare[:-3] + "y"
    if bare.endswith(("sses", "shes", "ches", "xes", "zes")):
        bare = bare[:-2]
    elif bare.endswith("s") and not bare.endswith(("ss", "us", "is")) and len(bare) > MIN_STEM:
        bare = bare[:-1]
    for ending in ("ing", "ed"):
        root = bare.removesuffix(ending)
        if root != bare and len(root) >= MIN_STEM and re.search("[aeiouy]", root):
            undoubled = root[-1] == root[-2] and root[-1] not in "aeiousl"
            bare = root[:-1] if undoubled else root
            break
    return bare[:-1] if bare.endswith("e") and len(bare) > MIN_STEM else bare


def stems(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order, repeated as they occur."""
    return [stem(word) for word in _meaningful(words(text))]


def key_stems(text: str) -> list[str]:
    """Stems of what a request is about, once each; falls back to all stems when only instructions are left."""
    plain = list(dict.fromkeys(stems(text)))
    told = {stem(word) for word in INSTRUCTION_WORDS}
    return [one for one in plain if one not in told] or plain


def key_words(text: str) -> list[str]:
    """Words, as written in lower case, that a request is about; once each."""
    kept = [word for word in _meaningful(words(text)) if word not in INSTRUCTION_WORDS]
    return list(dict.fromkeys(kept))


def _meaningful(found: Sequence[str]) -> Iterator[str]:
    for word, after in zip(found, [*found[1:], ""], strict=False):
        if word in STOP_WORDS:
            if after in _NAMED_BY_THEM:
                yield word
        elif len(word) > 1 or word.isdecimal() or _CJK.match(word):
            yield word


def rarity(texts: Iterable[Sequence[str]]) -> dict[str, float]:
    """Inverse document frequency of each stem among the given texts: log(1 + N / df), so above zero everywhere."""
    frequency: Counter[str] = Counter()
    total = 0
    for text in texts:
        total += 1
        frequency.update(set(text))
    return {one: math.log(1 + total / count) for one, count in frequency.items()}


def weigh(terms: Sequence[str], weights: Mapping[str, float]) -> dict[str, float]:
    """Vector of a text, of length 1: term frequency, damped, times rarity."""
    vector = {one: (1 + math.log(count)) * weights.get(one, 1.0) for one, count in Counter(terms).items()}
    norm = math.sqrt(sum(value * value for value in vector.values()))
    return {one: value / norm for one, value in vector.items()} if norm else {}


def likeness(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    """Cosine of two vectors of length 1."""
    if len(left) > len(right):
        left, right = right, left
    return sum(value * right[one] for one, value in left.items() if one in right)
