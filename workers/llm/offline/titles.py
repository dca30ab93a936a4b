"""Headings for the parts of an answer, made from the descriptions of the steps."""

import re
from typing import Final

from workers.llm.offline.asking import cut, enumerate_words
from workers.llm.offline.planner import ANALYSIS_PREFIX, COMPARE_PREFIX, OVERVIEW_MARK
from workers.llm.offline.topics import ASPECT_MARK, Topic, topics_of

MAX_TITLE: Final = 110
SHORT_ASPECT: Final = 4
"""Words up to which an aspect stands in a heading."""

_QUESTION = re.compile(
    r"^(?:(?:how|why|when|where)\s+(?:(?:well|often|fast|far|large|long|good|quickly)\s+)?(?:do|does|did|is|are|was|were|can|could|should|would|will|many|much)|"
    r"(?:what|who|which)\s+(?!an?\b|the\b)|do|does|is|are|can|should)\b",
    re.IGNORECASE,
)
_INDIRECT = re.compile(r"^(?:how|why|when|where|what|which|who|whether)\b", re.IGNORECASE)
_CONTEXT = re.compile(r"\s*\([^()]*\)?\s*$")
_IMPERATIVE = re.compile(
    r"^(?:please\s+)?(?:explain|describe|summari[sz]e|analy[sz]e|show|list|give|tell me|outline|discuss)\s+(?:me\s+)?"
    r"(?:(?:about|what was found about)\s+)?",
    re.IGNORECASE,
)


def topic_of(description: str) -> Topic:
    """What a step is about: for a search its topic, for other steps all that they are asked."""
    if description.startswith(ANALYSIS_PREFIX):
        return Topic(description.partition(": ")[2])
    if description.startswith(COMPARE_PREFIX):
        return Topic(description.removeprefix(COMPARE_PREFIX).partition(ASPECT_MARK)[0])
    topics = topics_of(description)
    return topics[0] if len(topics) == 1 else Topic(enumerate_words(topic.subject for topic in topics))


def title_of(description: str, fallback: str = "Findings", *, within: bool = False) -> str:
    """A heading of at most 110 characters, on one line.

    Args:
        within: Whether it stands within a comparison, whose heading names the aspects.
    """
    if description.startswith(ANALYSIS_PREFIX) and OVERVIEW_MARK in description:
        return "What the tables hold"
    topic = topic_of(description)
    subject = " ".join(topic.subject.replace("#", " ").split())
    if description.startswith(COMPARE_PREFIX):
        return _headed(f"Comparison: {subject}", fallback)
    parts = [_CONTEXT.sub("", part) for part in subject.split("; ")]
    subject = parts[0]
    if len(parts) > 1:
        later = [part[:1].lower() + part[1:] if _INDIRECT.match(part) else part for part in parts[1:]]
        joined = f"{', '.join([parts[0], *later[:-1]])}, and {later[-1]}"
        subject = joined if len(joined) < MAX_TITLE else parts[0]
    if not _QUESTION.match(subject):
        subject = _IMPERATIVE.sub("", subject) or subject
    named = [one for one in topic.aspects if not _INDIRECT.match(one) and len(one.split()) <= SHORT_ASPECT]
    return _headed(subject if within or not named else f"{subject}: {enumerate_words(named)}", fallback)


def _headed(text: str, fallback: str) -> str:
    whole = cut(text, MAX_TITLE).strip(" :;,.?") or fallback
    mark = "?" if _QUESTION.match(whole) and not whole.endswith("…") else ""
    return f"{whole[:1].upper()}{whole[1:]}{mark}"
