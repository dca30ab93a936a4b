"""Plans by rules: one search per thing asked about, analysis where tables are given, a joining step per comparison."""

import re
from dataclasses import dataclass, field
from typing import Final

from tasks.models import Join, Plan, PlannedStep
from workers.llm.offline.asking import Ask, asks, cut, enumerate_words
from workers.llm.offline.reading import AgentCard, Brief
from workers.llm.offline.terms import key_stems, stem, stems, words

MAX_SEARCHES: Final = 5
MAX_OWN: Final = 2
"""Most steps for agents that users added; with searches, analysis and joining at most 8 steps in all."""
MAX_FOCUS: Final = 240
SEARCH_PREFIX: Final = "Find what the documents say about: "
ASPECT_MARK: Final = ", regarding "
ANALYSIS_PREFIX: Final = "Answer from the tables "
OVERVIEW_MARK: Final = "what they hold that bears on: "
"""Stands before the task in an analysis step when no part of the task speaks of data."""
COMPARE_PREFIX: Final = "Compare what was found about "

_ROLES: Final = {
    "search": {"search", "retrieval", "retrieve", "document", "knowledge", "passage", "lookup"},
    "analysis": {"analysis", "analyse", "analyze", "table", "sql", "statistics", "data", "query"},
    "summary": {"summary", "summarise", "summarize", "synthesis", "write", "writing"},
}
_DATA = """
    average mean median sum total count counts number percentage percent share ratio correlation correlate
    distribution histogram table tables csv dataset data column columns row rows maximum minimum max min highest lowest
    largest smallest longest shortest most fewest biggest top bottom trend rank ranking statistics outlier outliers
    breakdown sort group"""
_DATA_WORDS: Final = frozenset(stem(word) for word in _DATA.split())
_MANY = re.compile(
    r"\bhow (?:many|much|large|big|long|often|high)\b|\b(?:per|by|for each)\s+\w+|\btop[- ]?\d+\b", re.IGNORECASE
)
_DOCUMENT_WORDS = re.compile(
    r"\b(?:documents?|docs|texts?|reports?|manual|articles?|papers?|sources?)\b", re.IGNORECASE
)


@dataclass(slots=True)
class _Draft:
    """A plan in the making."""

    brief: Brief
    searched: list[str] = field(default_factory=list[str])
    measured: list[str] = field(default_factory=list[str])
    routed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    compared: list[list[int]] = field(default_factory=list[list[int]])
    """Groups of places in `searched` that are to be joined."""
    subjects: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    """What each group compares."""


def plan(brief: Brief) -> str:
    """The JSON of a plan that serves the task. At most 8 steps; every agent is one of the brief's, if it names any."""
    if brief.faults:
        return _simple(brief).model_dump_json()
    draft = _Draft(brief)
    for ask in asks(brief.task) or [Ask(brief.task, (cut(_line(brief.task), MAX_FOCUS),))]:
        _assign(draft, ask)
    if brief.tables and not draft.measured:
        draft.measured.append(f"{OVERVIEW_MARK}{cut(_line(brief.task), MAX_FOCUS)}")
    if brief.knowledge and not draft.searched and not draft.routed:
        draft.searched.append(_search_for(cut(_line(brief.task), MAX_FOCUS)))
    steps = _steps(draft)
    return (Plan(rationale=_rationale(draft), steps=steps) if steps else _simple(brief)).model_dump_json()


def agent_for(role: str, cards: tuple[AgentCard, ...]) -> str | None:
    """The agent that plays a role: by name, else by what it says it can do; the name itself when none is known."""
    if not cards or any(card.name == role for card in cards):
        return role
    wanted = {stem(word) for word in _ROLES[role]}
    for card in cards:
        if wanted & {stem(word) for one in card.capabilities for word in words(one.replace("_", " "))}:
            return card.name
    return None


def _assign(draft: _Draft, ask: Ask) -> None:
    brief = draft.brief
    own = _own_agent(brief, ask)
    if own is not None and (own in draft.routed or len(draft.routed) < MAX_OWN):
        draft.routed.setdefault(own, []).append(ask.clause)
        if not brief.knowledge:
            return
    elif brief.tables and _concerns_data(brief, ask):
        draft.measured.append(ask.clause)
        if not ask.compared or not brief.knowledge:
            return
    first = len(draft.searched)
    draft.searched.extend(_search_for(subject, ask.aspect) for subject in ask.subjects)
    if ask.compared:
        draft.compared.append(list(range(first, len(draft.searched))))
        draft.subjects.append(ask.subjects)


def _search_for(subject: str, aspect: str = "") -> str:
    regarding = f"{ASPECT_MARK}{cut(aspect, MAX_FOCUS)}" if aspect else ""
    return f"{SEARCH_PREFIX}{cut(subject, MAX_FOCUS)}{regarding}"


def _concerns_data(brief: Brief, ask: Ask) -> bool:
    if _DOCUMENT_WORDS.search(ask.clause):
        return False
    named = {stem(word) for table in brief.tables for word in words(table.replace("_", " "))}
    asked = {stem(word) for word in words(ask.clause)}
    return bool(asked & (_DATA_WORDS | named)) or _MANY.search(ask.clause) is not None


def _own_agent(brief: Brief, ask: Ask) -> str | None:
    """The user's agent that fits best: by two words of its description, or one of its name or capabilities."""
    usual = {agent_for(role, brief.agents) for role in _ROLES} | {"planner"}
    asked = set(key_stems(ask.clause))
    best: tuple[int, str] | None = None
    for card in brief.agents:
        if card.name in usual:
            continue
        named = set(stems(f"{card.name} {' '.join(card.capabilities)}".replace("_", " ").replace("-", " ")))
        score = 2 * len(asked & named) + len(asked & set(key_stems(card.description)) - named)
        if score >= 2 and (best is None or score > best[0]):
            best = (score, card.name)
    return best[1] if best else None


def _steps(draft: _Draft) -> list[PlannedStep]:
    cards = draft.brief.agents
    steps: list[PlannedStep] = []
    if search := agent_for("search", cards):
        for number, description in enumerate(_fold(draft), start=1):
            steps.append(PlannedStep(id=f"search-{number}", description=description, agent=search))
    if draft.measured and (analysis := agent_for("analysis", cards)):
        names = enumerate_words(draft.brief.tables[:8])
        wanted = cut("; ".join(draft.measured), 3 * MAX_FOCUS)
        steps.append(PlannedStep(id="analysis-1", description=f"{ANALYSIS_PREFIX}{names}: {wanted}", agent=analysis))
    for number, (name, clauses) in enumerate(draft.routed.items(), start=1):
        wanted = cut("; ".join(clauses), 3 * MAX_FOCUS)
        steps.append(PlannedStep(id=f"work-{number}", description=_capital(wanted), agent=name))
    return [*steps, *_joins(draft, steps)]


def _fold(draft: _Draft) -> list[str]:
    """The searches, as many as may be: what exceeds the limit is asked for together in the last one."""
    distinct = list(dict.fromkeys(draft.searched))
    if len(distinct) <= MAX_SEARCHES:
        return distinct
    rest = [description.removeprefix(SEARCH_PREFIX) for description in distinct[MAX_SEARCHES - 1 :]]
    return [*distinct[: MAX_SEARCHES - 1], _search_for("; ".join(rest))]


def _joins(draft: _Draft, steps: list[PlannedStep]) -> list[PlannedStep]:
    summary = agent_for("summary", draft.brief.agents)
    if summary is None or not draft.compared:
        return []
    places = {step.description: step.id for step in steps}
    last = next((step.id for step in reversed(steps) if step.id.startswith("search-")), None)
    needed: list[str] = []
    for group in draft.compared:
        found = [places.get(draft.searched[place], last) for place in group]
        needed.extend(one for one in found if one is not None and one not in needed)
    if len(needed) < 2:
        return []
    subjects = list(dict.fromkeys(subject for group in draft.subjects for subject in group))
    about = f"{COMPARE_PREFIX}{cut(enumerate_words(subjects), MAX_FOCUS)}"
    return [PlannedStep(id="summary-1", description=about, agent=summary, depends_on=needed, join=Join.BEST_EFFORT)]


def _simple(brief: Brief) -> Plan:
    """The plainest plan: one step, or one for the documents and one for the tables."""
    cards, task = brief.agents, cut(_line(brief.task), 2 * MAX_FOCUS) or "the task"
    analysis = agent_for("analysis", cards) if brief.tables else None
    search = agent_for("search", cards) if brief.knowledge or analysis is None else None
    steps: list[PlannedStep] = []
    if search:
        steps.append(PlannedStep(id="search-1", description=f"{SEARCH_PREFIX}{task}", agent=search))
    if analysis:
        names = enumerate_words(brief.tables[:8])
        steps.append(PlannedStep(id="analysis-1", description=f"{ANALYSIS_PREFIX}{names}: {task}", agent=analysis))
    if not steps:
        own = _own_agent(brief, Ask(brief.task, (brief.task,)))
        names_left = [card.name for card in cards if card.name != "planner"] or [card.name for card in cards]
        steps.append(PlannedStep(id="work-1", description=task, agent=own or names_left[0]))
    return Plan(rationale="The plainest plan that serves the task.", steps=steps)


def _rationale(draft: _Draft) -> str:
    said: list[str] = []
    if draft.searched:
        said.append("each thing asked about is looked up on its own, at the same time")
    if draft.measured:
        said.append("what concerns the data is computed from the tables")
    if draft.routed:
        said.append(f"what fits {enumerate_words(draft.routed)} goes there")
    if draft.compared:
        said.append("what is compared is joined before the answer is written")
    return _capital(f"{'; '.join(said)}." if said else "One step suffices.")


def _line(text: str) -> str:
    return " ".join(text.split())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
