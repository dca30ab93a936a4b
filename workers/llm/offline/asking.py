"""A task in plain words, taken apart: which things it asks about, under which aspect, and which are to be compared."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from workers.llm.offline.reference import is_pronoun, noun_of, refers_back
from workers.llm.offline.sentences import split, tidy
from workers.llm.offline.terms import INSTRUCTION_WORDS, STOP_WORDS, words

HEAD_CHARS: Final = 6_000
TAIL_CHARS: Final = 3_000
"""What is read of a longer task: its beginning and its end, where requests stand; the middle is material."""
MAX_PART: Final = 300
"""Longest clause; the rest is cut at a word."""

_VERBS = (
    "analyse|analyze|assess|calculate|check|collect|compare|compute|contrast|count|define|demonstrate|describe|determine|"
    "discuss|draw|estimate|evaluate|examine|explain|explore|extract|find|gather|give|highlight|identify|illustrate|"
    "investigate|measure|present|provide|recommend|say|show|suggest|summarise|summarize|tell|write"
)
_NOUNS_TOO = "answer|detail|list|name|note|outline|plan|quote|rank|report|research|review|search|state|study|test|look"
_DETERMINER = (
    r"(?:the|all|a|an|any|each|every|which|how|what|who|why|when|where|their|its|some|at|for|up|\d+|two|three|four|five|"
    r"ten)"
)
_ASKING = r"(?:how|what|which|who|whom|whose|why|when|where|whether)"
_ASKS = re.compile(rf"^{_ASKING}\b", re.IGNORECASE)
_BARE_ASK = re.compile(r"^(?:how|why|when|where|who|what|which)(?: so| not| exactly)?$", re.IGNORECASE)
_INVERTED = r"(?:is|are|do|does|did|has|have|can|should)\s+(?:the|there|a|an|it|they|all|any)"
_OPENING = rf"(?:{_ASKING}|{_VERBS}|{_INVERTED}|(?:{_NOUNS_TOO})\s+{_DETERMINER})\b"
_POLITE = re.compile(
    r"^(?:(?:please|kindly|also|then|finally|next|first|secondly|second|third|now|and|but|so|ok|okay|hi|hello|hey)\b[\s,:]*|"
    r"(?:can|could|would|will) (?:you|we|someone)\b[\s,]*|"
    r"i (?:want|need|would like|'d like)(?: you)? (?:to )?(?:know|see)?\s*|"
    r"i'd like (?:you )?(?:to )?(?:know|see)?\s*|help me (?:to )?|let me know |tell (?:me|us) (?:about )?)+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    rf"\s*;\s+|\s*[,:]?\s+(?:and|but|or)\s+(?:(?:also|then|finally)\s+)?(?={_OPENING})|,\s+(?:then\s+)?(?={_OPENING})|"
    rf"\s+then\s+(?=(?:{_VERBS})\b)|:\s+(?={_ASKING}\b)",
    re.IGNORECASE,
)
_COMMAND = re.compile(rf"^(?:(?:{_VERBS}|{_NOUNS_TOO})\b\s*(?:and\s+(?:{_VERBS}|{_NOUNS_TOO})\b\s*)?)", re.IGNORECASE)
_FILLER = re.compile(
    r"^(?:me|us|out|briefly|in (?:detail|short)|(?:a|an|the) (?:(?:short|brief|detailed|quick|complete|full) )?"
    r"(?:overview|summary|report|explanation|description|list|comparison|introduction|survey|analysis)\s+(?:of|on|about|to|between)|"
    r"(?:everything|all|something) (?:about|on)|what (?:do|does) (?:\w+ ){1,3}says? (?:about|on)|"
    r"what (?:\w+ ){1,3}says? (?:about|on)|about|on|for)\s+",
    re.IGNORECASE,
)
_COMPARE = re.compile(
    r"^(?:compare(?: and contrast)?|contrast|(?:(?:give|write|make|provide|show|do)\s+)?(?:(?:me|us)\s+)?"
    r"(?:an?\s+|the\s+)?"
    r"(?:\w+\s+)?comparison\s+(?:of|between))\s+(?P<things>.+)$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"\b(?:differences?|differ|distinctions?|distinguish|similarit(?:y|ies)|trade-?offs?|choose|decide|contrast|comparison)"
    r"(?:\s+and\s+\w+)?\s+(?:between|among)\s+(?P<things>.+)$",
    re.IGNORECASE,
)
_DIFFER = re.compile(
    r"^(?:(?:how|why|in what way)\s+)?(?:(?:does|do|are|is)\s+)?(?P<left>.{2,150}?)\s+(?:differ(?:s|ent)?|compares?)\b"
    r"(?:\s+(?:from|to|with|than)\s+(?P<right>.+))?(?P<rest>.*)$",
    re.IGNORECASE,
)
_BETTER = re.compile(
    rf"^(?:{_ASKING}|is|are|should)\b.{{0,80}}?[,:]\s*(?P<things>[^,]{{2,80}}(?:,[^,]{{2,80}})*\s+or\s+.{{2,80}})$",
    re.IGNORECASE,
)
_SHOULD = re.compile(r"^should\s+(?:i|we|one|you)\s+(?:\w+\s+)(?P<things>.{2,80}\s+or\s+.{2,120})$", re.IGNORECASE)
_VERSUS = re.compile(r"\s+(?:vs\.?|versus)\s+", re.IGNORECASE)
_ASPECT = re.compile(
    r"[,\s]+(?:in terms of|with respect to|with regards? to|regarding|concerning|as regards|on the basis of|based on|"
    r"considering|focus(?:s?ing)? on|when it comes to|as to|under the aspects? of|according to|"
    r"from the (?:point of )?view of)"
    r"\s+(?P<aspect>.+)$",
    re.IGNORECASE,
)
_SHORT_ASPECT = re.compile(r"\s+(?:by|on|in|for|at|within|when|as)\s+(?P<aspect>\S.+)$", re.IGNORECASE)
_ANY_SEPARATOR = re.compile(
    r"\s*,\s*(?:and|or|with|to|vs\.?|versus)\s+|\s*[,;/]\s+|\s+(?:and|or|vs\.?|versus|against|&)\s+", re.IGNORECASE
)
_WITH = re.compile(r"\s+(?:with|to|from)\s+", re.IGNORECASE)
_BARE_QUESTION = re.compile(r"^(?:what|who)\s*(?:is|are|was|were|'s)\s+(?:meant by\s+)?(?P<things>.+)$", re.IGNORECASE)
_RELATION = re.compile(rf"\b(?:of|in|for|to|from|that|by|on|with|between|is|are|do|does|{_ASKING})\b", re.IGNORECASE)
_ADJECTIVE = re.compile(r"^\S+(?:ed|ive|ous|al|ic|ary|ent|ant|able|ible|an|ish|ful|less|ern)$", re.IGNORECASE)
_MEASURE = re.compile(r"^(\w+(?: \w+)? of) \w+$", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:the|an?|both|either|all)\s+", re.IGNORECASE)
_MARKER = re.compile(r"^\s*(?:[-*+•‣>]+|#{1,6}|\(?\d{1,3}[.)]|\(?[a-z]\))\s+")
_EDGES = " \t\r\n,;:.!?¿¡\"'“”‘’«»()-–—…"


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that a task asks for."""

    clause: str
    """As written, without politeness."""
    subjects: tuple[str, ...]
    """What it is about; several only when each can be looked up on its own."""
    aspect: str = ""
    compared: bool = False
    """Whether the subjects are to be set against each other."""
    refers: tuple[str, ...] = ()
    """What its pronouns stand for; empty when it stands alone."""


def asks(task: str) -> list[Ask]:
    """What a task asks for, in its order. At least one, unless the task has no words at all."""
    found: list[Ask] = []
    plain = " ".join(task[: HEAD_CHARS + TAIL_CHARS].split())
    itemised = any(_MARKER.match(line) for line in task[:HEAD_CHARS].splitlines())
    for clause in _clauses(task):
        ask = _understand(clause)
        if not ask.subjects:
            continue
        before = tuple(map(noun_of, found[-1].refers or found[-1].subjects)) if found else ()
        if before and any(map(is_pronoun, ask.subjects)):
            ask = replace(ask, subjects=_stand_in(ask.subjects, before))
            if _is_only(found[-1], before):
                found.pop()  # what it is gets told in the comparison
        elif (
            before
            and not ask.compared
            and len(ask.subjects) == 1
            and (_leans(ask, itemised=itemised) or (found[-1].compared and f": {clause}" in plain))
        ):
            ask = replace(ask, refers=before)
        found.append(ask)
    return found


def enumerate_words(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    names = list(items)
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def cut(text: str, limit: int) -> str:
    """The text, at most `limit` characters, cut after a word."""
    if len(text) <= limit:
        return text
    shorter = text[: limit - 1]
    return (shorter.rsplit(" ", 1)[0] if " " in shorter else shorter).rstrip(_EDGES) + "…"


def _clauses(task: str) -> list[str]:
    """Requests of the task; its statements too when it has no request."""
    read = task if len(task) <= HEAD_CHARS + TAIL_CHARS else f"{task[:HEAD_CHARS]}\n{task[-TAIL_CHARS:]}"
    requests: list[str] = []
    statements: list[str] = []
    lead = ""
    for line in read.splitlines():
        item = _MARKER.match(line) is not None
        plain = _MARKER.sub("", " ".join(line.split()))
        if not item and plain.endswith(":"):
            lead = _strip(plain)
            continue
        for sentence in split(plain):
            first = _strip(sentence)
            if item or sentence.endswith("?") or re.match(_OPENING, first, re.IGNORECASE) or _VERSUS.search(first):
                requests.extend(_parts(sentence))
            else:
                statements.extend(_parts(sentence))
    if lead and not requests and not statements:
        statements = [lead]
    return [cut(tidy(one), MAX_PART) for one in _distinct(requests or statements[:3])]


def _parts(sentence: str) -> list[str]:
    """Its clauses; one that only announces the next, as in 'Answer this: what …', is left out."""
    parts: list[str] = []
    for part in map(_strip, _CLAUSE.split(sentence[:2_000])):
        if parts and _BARE_ASK.match(part):
            parts[-1] = f"{parts[-1]} and {part}"  # "… and why?"
        elif words(part):
            parts.append(part)
    plain = STOP_WORDS | INSTRUCTION_WORDS
    telling = [part for part in parts if _ASKS.match(part) or any(word not in plain for word in words(part))]
    return telling or parts


def _understand(clause: str) -> Ask:
    body, aspect = _part(clause, _ASPECT)
    for pattern in (_COMPARE, _BETWEEN, _BETTER, _SHOULD):
        if match := pattern.search(body):
            return _compared(clause, match["things"], aspect)
    if _VERSUS.search(body):
        return _compared(clause, _topic(body), aspect)
    match = _DIFFER.match(body)
    if match and (match["right"] or _ANY_SEPARATOR.search(match["left"])) and len(match["left"].split()) <= 12:
        rest = match["rest"].strip(_EDGES)
        things = f"{match['left']} and {match['right']}" if match["right"] else match["left"]
        return _compared(clause, things, aspect or re.sub(r"^(?:in|on|for|as to)\s+", "", rest))
    question = _BARE_QUESTION.match(body)
    things = question["things"] if question else _topic(body)
    listed = _listed(things) if question or _COMMAND.match(body) else ()
    if len(listed) > 1:
        return Ask(clause, listed, aspect)
    topic = _strip(_topic(body)) or _strip(body)
    return Ask(clause, (topic,) if words(topic) else (), aspect)


def _compared(clause: str, things: str, aspect: str) -> Ask:
    things, short = (things, aspect) if aspect else _part(things, _SHORT_ASPECT)
    parts = _ANY_SEPARATOR.split(things)
    if len(parts) == 1:
        parts = _WITH.split(things, maxsplit=1)
    if len(parts) == 1 and short:  # the preposition stood inside a single subject
        return Ask(clause, (_strip(_topic(f"{things} {short}")),), "", compared=False)
    parts = _share_head([_strip(_ARTICLE.sub("", part.strip())) for part in parts])
    subjects = tuple(_distinct(part for part in parts if words(part)))
    return Ask(clause, subjects, short, compared=len(subjects) > 1)


def _listed(things: str) -> tuple[str, ...]:
    """The members of an enumeration that can be looked up one by one; empty when it is a single notion."""
    parts = [part.strip() for part in _ANY_SEPARATOR.split(things)]
    longest = max(len(part.split()) for part in parts)
    if len(parts) < 2 or longest > 5:
        return ()
    if len(parts) == 2 and any(_RELATION.search(part) for part in parts):
        return ()  # "the law of supply and demand" is one notion
    names = _share_head([_strip(_ARTICLE.sub("", part)) for part in parts])
    useful = [name for name in names if any(word not in STOP_WORDS | INSTRUCTION_WORDS for word in words(name))]
    return tuple(_distinct(useful)) if len(useful) == len(parts) else ()


def _share_head(parts: list[str]) -> list[str]:
    """'synchronous', 'asynchronous replication' become two whole terms; so do 'speed of lists', 'tuples'."""
    last = parts[-1].split()
    if len(parts) > 1 and len(last) > 1 and all(_ADJECTIVE.match(part) for part in [*parts[:-1], last[0]]):
        return [f"{part} {' '.join(last[1:])}" for part in parts[:-1]] + [parts[-1]]
    measure = _MEASURE.match(parts[0])
    if measure and not any(_RELATION.search(part) for part in parts[1:]):
        return [parts[0], *(f"{measure[1]} {part}" for part in parts[1:])]
    return parts


def _leans(ask: Ask, *, itemised: bool) -> bool:
    """Whether it can only be understood with what was asked before: by a pronoun, or as in 'the main causes'."""
    subject = ask.subjects[0]
    vague = subject.lower().startswith("the ") and len(subject.split()) <= 4 and not _RELATION.search(subject)
    return (vague and not itemised) or refers_back(ask.clause)


def _stand_in(subjects: Iterable[str], before: tuple[str, ...]) -> tuple[str, ...]:
    found = [one for subject in subjects for one in (before if is_pronoun(subject) else (subject,))]
    return tuple(_distinct(_strip(_ARTICLE.sub("", one)) for one in found))


def _is_only(ask: Ask, names: tuple[str, ...]) -> bool:
    """Whether it asks no more than what something is."""
    question = _BARE_QUESTION.match(ask.clause)
    return question is not None and names == (noun_of(ask.clause),)


def _part(text: str, pattern: re.Pattern[str]) -> tuple[str, str]:
    match = pattern.search(text)
    return (text[: match.start()], match["aspect"].strip(_EDGES)) if match else (text, "")


def _topic(text: str) -> str:
    """What a command is about: the verb and the words around it removed."""
    rest = _COMMAND.sub("", text, count=1)
    for _ in range(3):
        rest = _FILLER.sub("", rest, count=1)
    return rest or text


def _strip(text: str) -> str:
    """Without politeness and outer punctuation; a bracket that closes inside stays."""
    bare = _POLITE.sub("", text.strip(_EDGES), count=1).strip(_EDGES)
    return bare + ")" * (bare.count("(") - bare.count(")") == 1)


def _distinct(items: Iterable[str]) -> list[str]:
    return list({item.casefold(): item for item in reversed(list(items))}.values())[::-1]
