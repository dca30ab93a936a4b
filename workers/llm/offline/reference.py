"""Pronouns of a question and what they stand for in the question before."""

import re
from typing import Final

_ASKING: Final = r"(?:how|what|which|who|whom|whose|why|when|where|whether)"
LONGEST_NOUN: Final = 4
"""Words of a noun that may stand in place of a pronoun."""
_ASKS = re.compile(rf"^{_ASKING}\b", re.IGNORECASE)
_BE: Final = r"(?:is|are|was|were|has|have|had|can|could|may|might|must|should|shall|will|would)"
_DO: Final = r"(?:do|does|did)"
_PRONOUN = re.compile(r"\b(?:they|them|their|theirs|it|its|these|those|this|each|both|one|ones)\b", re.IGNORECASE)
_STANDING = re.compile(r"\b(?:they|them|these|those|it)\b", re.IGNORECASE)
_OTHERS = re.compile(r"\b(?:this|each|both|one|ones|theirs)\b", re.IGNORECASE)
_BARE = re.compile(r"^(?:they|them|it|these|those|this|both)$", re.IGNORECASE)
_WHICH = re.compile(rf"^(?:which|what)\s+(?!{_BE}\b|{_DO}\b)(?P<noun>.+?)\s+(?:{_BE}|{_DO})\b", re.IGNORECASE)
_WHICH_WORD = re.compile(rf"^which\s+(?P<noun>(?!{_BE}\b|{_DO}\b|the\b|an?\b)[^\W\d]\w+)\b", re.IGNORECASE)
_TOLD = re.compile(
    rf"^(?:what|how|why|when|where|whether)\s+(?!(?:{_BE}|{_DO}|well|much|many|often|large|long|to|happens?)\b)"
    r"(?P<noun>(?:the|an?)\s+.+?|[^\s,]+(?: [^\s,]+)?)\s+[\w-]+$",
    re.IGNORECASE,
)
_WHAT_IS = re.compile(r"^(?:what|who)\s*(?:is|are|was|were|'s)\s+(?:meant by\s+)?(?P<noun>[^,]+)$", re.IGNORECASE)
_HOW = re.compile(
    rf"^{_ASKING}(?:\s+(?:well|much|often|fast))?\s+(?:{_BE}|{_DO})\s+(?P<noun>[^,]+?)\s+[\w-]+(?:\s+(?:to|in|at|by|for)\b.*)?$",
    re.IGNORECASE,
)
_OWN_SUBJECT = re.compile(rf"^{_ASKING}\s+(?:{_BE}|{_DO})\s+(?!(?:their|its|there)\b)\w", re.IGNORECASE)
_SPEAKER = re.compile(r"^(?:i|we|you|one|there)\b", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:the|an?|all|any|each|every)\s+", re.IGNORECASE)
_RELATION = re.compile(r"\s+(?:of|in|for|with|that|which|from|on|by)\s+", re.IGNORECASE)
_INVERTED = re.compile(rf"^(?P<ask>{_ASKING}(?: \w+)?) (?P<verb>{_BE}) (?P<who>they|it|these|those) ", re.IGNORECASE)
_WITH_DO = re.compile(rf"^(?P<ask>{_ASKING}(?: \w+)?) {_DO} (?P<who>they|these|those) ", re.IGNORECASE)


def refers_back(clause: str) -> bool:
    """Whether it holds a pronoun that stands for what was asked about before, and not for a noun of its own."""
    if _PRONOUN.search(clause) is None:
        return False
    possessive = _STANDING.search(clause) is None and _OTHERS.search(clause) is None
    return not (possessive and _OWN_SUBJECT.match(clause))


def is_pronoun(subject: str) -> bool:
    """Whether a subject is nothing but a pronoun."""
    return _BARE.match(subject) is not None


def noun_of(subject: str) -> str:
    """The thing that a question is about: 'modules' of 'which modules are the largest'; all of it when unsure."""
    for pattern in (_WHICH, _WHAT_IS, _HOW, _TOLD, _WHICH_WORD):
        match = pattern.match(subject)
        if match and not _SPEAKER.match(match["noun"]) and not _PRONOUN.search(match["noun"]):
            return _ARTICLE.sub("", match["noun"])
    return subject


def head_of(noun: str) -> str:
    """'modules' of 'modules of the standard library'."""
    return _RELATION.split(noun, maxsplit=1)[0]


def resolve(clause: str, noun: str) -> str:
    """The clause with its first standing pronoun replaced; the noun in brackets behind it when it has none."""
    whole = noun if _ARTICLE.match(noun) else f"the {noun}"
    if len(noun.split()) > LONGEST_NOUN or _ASKS.match(noun) or _STANDING.search(clause) is None:
        return f"{clause} ({noun})"
    return _STANDING.sub(lambda _: whole, clause, count=1)


def indirect(question: str) -> str:
    """The question as part of a sentence: 'how are they compared' becomes 'how they are compared'."""
    turned = _INVERTED.sub(r"\g<ask> \g<who> \g<verb> ", question)
    return _WITH_DO.sub(r"\g<ask> \g<who> ", turned)
