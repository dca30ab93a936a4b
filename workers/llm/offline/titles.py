"""Headings for the parts of an answer, made from the descriptions of the steps."""

import re
from typing import Final

from workers.llm.offline.asking import cut
from workers.llm.offline.planner import ANALYSIS_PREFIX, ASPECT_MARK, COMPARE_PREFIX, OVERVIEW_MARK
from workers.llm.offline.retrieval import about_of

MAX_TITLE: Final = 90
_CONTEXT = re.compile(r"\s*\([^()]*\)?\s*$")
_QUESTION = re.compile(
    r"^(?:(?:how|why|when|where)\s+(?:do|does|did|is|are|was|were|can|could|should|would|will|many|much)|"
    r"(?:what|who|which)\s+(?!an?\b|the\b)|do|does|is|are|can|should)\b",
    re.IGNORECASE,
)
_IMPERATIVE = re.compile(
    r"^(?:please\s+)?(?:explain|describe|summari[sz]e|analy[sz]e|show|list|give|tell me|outline|discuss)\s+(?:me\s+)?"
    r"(?:(?:about|what was found about)\s+)?",
    re.IGNORECASE,
)


def topic_of(description: str) -> str:
    """What a step is about, without the aspect and without the words that give the order."""
    if description.startswith(ANALYSIS_PREFIX):
        return description.partition(": ")[2]
    if description.startswith(COMPARE_PREFIX):
        return description.removeprefix(COMPARE_PREFIX)
    return _CONTEXT.sub("", about_of(description)).partition(ASPECT_MARK)[0]


def title_of(description: str, fallback: str = "Findings") -> str:
    """A heading of at most 90 characters, on one line."""
    if description.startswith(ANALYSIS_PREFIX) and OVERVIEW_MARK in description:
        return "What the tables hold"
    topic = " ".join(topic_of(description).replace("#", " ").split())
    if description.startswith(COMPARE_PREFIX):
        topic = f"Comparison: {topic}"
    elif not _QUESTION.match(topic):
        topic = _IMPERATIVE.sub("", topic) or topic
    aspect = about_of(description).partition(ASPECT_MARK)[2]
    whole = f"{topic}: {aspect}" if aspect and not description.startswith((ANALYSIS_PREFIX, COMPARE_PREFIX)) else topic
    whole = cut(whole, MAX_TITLE).strip(" :;,.?") or fallback
    mark = "?" if _QUESTION.match(whole) and not whole.endswith("…") else ""
    return f"{whole[:1].upper()}{whole[1:]}{mark}"
