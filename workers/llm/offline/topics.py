"""What a search step is about, read back from its description: subjects, and the aspects to look at them under."""

import re
from dataclasses import dataclass
from typing import Final

from workers.llm.offline.asking import cut

SEARCH_PREFIX: Final = "Find what the documents say about: "
ASPECT_MARK: Final = ", regarding "
BETWEEN_ASPECTS: Final = "; and "
BETWEEN_TOPICS: Final = "; also "
MAX_FOCUS: Final = 240
MAX_ASPECTS: Final = 3

_BOILERPLATE = re.compile(
    r"^\s*(?:please\s+)?(?:find|search|look|retrieve|collect|gather|research|identify|locate)\b(?:\s+out)?(?:\s+for)?\s*"
    r"(?:(?:in|through)\s+)?(?:what\s+)?(?:(?:the|all|any|relevant)\s+)*(?:documents?|sources?|passages?|information|evidence|facts|everything)?"
    r"(?:\s+(?:say|says|state|have to say|tell us))?\s*(?:in the documents\s+)?(?:(?:about|on|for|of)\b)?\s*:?\s*",
    re.IGNORECASE,
)
_REGARDING = re.compile(r",?\s+(?:regarding|with respect to|in terms of|with regard to|concerning)\s+", re.IGNORECASE)
_CONTEXT = re.compile(r"\s*\(([^()]{3,200})\)\s*$")
_ASKS = re.compile(r"^(?:how|what|which|who|why|when|where|whether)\b", re.IGNORECASE)
_LISTED = re.compile(r"\s*,\s*(?:and\s+)?|\s+and\s+")


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing to look up."""

    subject: str
    aspects: tuple[str, ...] = ()
    context: str = ""
    """What a pronoun in the subject stands for."""

    @property
    def text(self) -> str:
        """All its words."""
        return " ".join((self.subject, self.context, *self.aspects)).strip()


def search_for(topics: list[Topic]) -> str:
    """The description of a search step for these topics."""
    return SEARCH_PREFIX + BETWEEN_TOPICS.join(map(_written, topics))


def about_of(description: str) -> str:
    """What a search step is about: its description without the words around it."""
    rest = _BOILERPLATE.sub("", description, count=1).strip(" \t\r\n:;,.?!")
    return rest or description.strip()


def topics_of(description: str) -> list[Topic]:
    """The topics of a search step, whoever described it; at least one."""
    about = " ".join(about_of(description).split())
    return [_read(part) for part in about.split(BETWEEN_TOPICS) if part.strip()] or [Topic(about)]


def _written(topic: Topic) -> str:
    subject = cut(topic.subject, MAX_FOCUS)
    context = f" ({cut(topic.context, MAX_FOCUS // 2)})" if topic.context else ""
    aspects = cut(BETWEEN_ASPECTS.join(topic.aspects), MAX_FOCUS)
    return f"{subject}{context}{ASPECT_MARK if aspects else ''}{aspects}"


def _read(part: str) -> Topic:
    focus, *rest = _REGARDING.split(part.strip(), maxsplit=1)
    context = _CONTEXT.search(focus)
    aspects = [one for group in rest for one in _aspects(group)]
    subject = _CONTEXT.sub("", focus).strip(" ,;:.?!") or focus
    return Topic(subject, tuple(aspects[:MAX_ASPECTS]), context[1] if context else "")


def _aspects(text: str) -> list[str]:
    """Questions stand alone; 'speed, memory and cost' are three."""
    found: list[str] = []
    for part in text.split(BETWEEN_ASPECTS):
        listed = [part] if _ASKS.match(part) else _LISTED.split(part)
        short = all(len(one.split()) <= 3 for one in listed)
        found.extend(one.strip() for one in (listed if short else [part]) if one.strip())
    return found
