"""Plans by rules: one search per thing asked about, analysis where tables are given, a joining step per comparison."""

from dataclasses import dataclass, field, replace
from typing import Final

from tasks.models import Join, Plan, PlannedStep
from tasks.states import StepStatus
from workers.llm.offline.asking import Ask, asks, cut, enumerate_words
from workers.llm.offline.reading import AgentCard, Brief
from workers.llm.offline.reference import head_of, indirect, resolve
from workers.llm.offline.routing import Place, place_of
from workers.llm.offline.terms import key_stems, stem, stems, words
from workers.llm.offline.topics import ASPECT_MARK, BETWEEN_ASPECTS, MAX_ASPECTS, MAX_FOCUS, Topic, search_for

MAX_STEPS: Final = 8
MAX_SEARCHES: Final = 5
MAX_OWN: Final = 2
"""Most steps for agents that users added."""
ANALYSIS_PREFIX: Final = "Answer from the tables "
OVERVIEW_MARK: Final = "what they hold that bears on: "
"""Stands before the task in an analysis step when no part of the task speaks of data."""
COMPARE_PREFIX: Final = "Compare what was found about "

_ROLES: Final = {
    "search": {"search", "retrieval", "retrieve", "document", "knowledge", "passage", "lookup"},
    "analysis": {"analysis", "analyse", "analyze", "table", "sql", "statistics", "data", "query"},
    "summary": {"summary", "summarise", "summarize", "synthesis", "write", "writing"},
}


@dataclass(slots=True)
class _Draft:
    """A plan in the making."""

    brief: Brief
    searched: list[Topic] = field(default_factory=list[Topic])
    measured: list[str] = field(default_factory=list[str])
    routed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    compared: list[list[int]] = field(default_factory=list[list[int]])
    """Groups of places in `searched` that are to be joined."""
    latest: Place = Place.DOCUMENTS
    """Where the last thing asked about is looked for."""


def plan(brief: Brief) -> str:
    """The JSON of a plan that serves the task. At most 8 steps; every agent is one of the brief's, if it names any."""
    if brief.faults:
        return _simple(brief).model_dump_json()
    if any(not one.succeeded for one in brief.inputs):
        return _again(brief).model_dump_json()
    draft = _Draft(brief)
    whole = cut(_line(brief.task), MAX_FOCUS)
    for ask in asks(brief.task) or [Ask(brief.task, (whole,))]:
        _assign(draft, ask)
    if brief.tables and not draft.measured:
        draft.measured.append(f"{OVERVIEW_MARK}{whole}")
    if brief.knowledge and not draft.searched and not draft.routed and not _is_asked_of_tables(draft):
        draft.searched.append(Topic(whole))
    steps = _steps(draft)
    return (Plan(rationale=_rationale(draft, steps), steps=steps) if steps else _simple(brief)).model_dump_json()


def _again(brief: Brief) -> Plan:
    """What has no result is tried once more, each by its own agent; what was to build on it comes behind it."""
    lacking = [one for one in brief.inputs if not one.succeeded][:MAX_STEPS]
    first = [one for one in lacking if one.status != StepStatus.SKIPPED] or lacking
    then = [one for one in lacking if one not in first]
    found = [one.step for one in brief.inputs if one.succeeded]
    ids = {one.step: f"again-{number}" for number, one in enumerate([*first, *then], start=1)}
    steps = [PlannedStep(id=ids[one.step], description=one.about or brief.task, agent=one.agent) for one in first]
    needs = [*(ids[one.step] for one in first), *found]
    steps += [
        PlannedStep(
            id=ids[one.step],
            description=one.about or brief.task,
            agent=one.agent,
            depends_on=needs,
            join=Join.BEST_EFFORT,
        )
        for one in then
    ]
    return Plan(rationale="What has no result is tried once more; what was found is kept.", steps=steps)


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
        draft.routed.setdefault(own, []).append(_alone(ask))
        if not brief.knowledge:
            return
        place = Place.DOCUMENTS
    else:
        place = place_of(brief, ask, after_tables=draft.latest is not Place.DOCUMENTS)
        draft.latest = place
        if place is not Place.DOCUMENTS:
            draft.measured.append(_alone(ask))
    if place is not Place.TABLES:
        _look_up(draft, ask)


def _look_up(draft: _Draft, ask: Ask) -> None:
    first = len(draft.searched)
    group = draft.compared[-1] if draft.compared and draft.compared[-1][-1] == first - 1 else []
    if group and ask.refers and not ask.compared and len(draft.searched[group[0]].aspects) < MAX_ASPECTS:
        for place in group:  # "… and how are they compared?" is asked of each thing compared
            topic = draft.searched[place]
            draft.searched[place] = replace(topic, aspects=(*topic.aspects, indirect(ask.clause)))
        return
    aspects = (indirect(ask.aspect),) if ask.aspect else ()
    context = cut(enumerate_words(ask.refers), MAX_FOCUS)
    draft.searched.extend(Topic(subject, aspects, context) for subject in ask.subjects)
    if ask.compared:
        draft.compared.append(list(range(first, len(draft.searched))))


def _alone(ask: Ask) -> str:
    """The clause such that it can be understood without those before it."""
    return resolve(ask.clause, enumerate_words(map(head_of, ask.refers))) if ask.refers else ask.clause


def _is_asked_of_tables(draft: _Draft) -> bool:
    return any(not one.startswith(OVERVIEW_MARK) for one in draft.measured)


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
    others: list[PlannedStep] = []
    if draft.measured and (analysis := agent_for("analysis", cards)):
        names = enumerate_words(draft.brief.tables[:8])
        wanted = cut("; ".join(draft.measured), 3 * MAX_FOCUS)
        others.append(PlannedStep(id="analysis-1", description=f"{ANALYSIS_PREFIX}{names}: {wanted}", agent=analysis))
    for number, (name, clauses) in enumerate(draft.routed.items(), start=1):
        wanted = cut("; ".join(clauses), 3 * MAX_FOCUS)
        others.append(PlannedStep(id=f"work-{number}", description=_capital(wanted), agent=name))
    searches = _searches(draft, MAX_STEPS - len(others) - bool(draft.compared))
    return [*searches, *others, *_joins(draft, searches)]


def _searches(draft: _Draft, room: int) -> list[PlannedStep]:
    """The searches, as many as may be: what exceeds the limit is asked for together in the last one."""
    agent = agent_for("search", draft.brief.agents)
    if agent is None:
        return []
    limit = min(MAX_SEARCHES, room)
    distinct = list(dict.fromkeys(draft.searched))
    groups = [[topic] for topic in distinct[: limit - 1]]
    rest = distinct[limit - 1 :]
    groups.extend([rest] if rest else [])
    return [
        PlannedStep(id=f"search-{number}", description=search_for(group), agent=agent)
        for number, group in enumerate(groups, start=1)
    ]


def _joins(draft: _Draft, searches: list[PlannedStep]) -> list[PlannedStep]:
    summary = agent_for("summary", draft.brief.agents)
    if summary is None or not draft.compared or not searches:
        return []
    distinct = list(dict.fromkeys(draft.searched))
    compared = list(dict.fromkeys(draft.searched[place] for group in draft.compared for place in group))
    needed = list(dict.fromkeys(searches[min(distinct.index(one), len(searches) - 1)].id for one in compared))
    if len(needed) < 2:
        return []
    aspects = cut(BETWEEN_ASPECTS.join(dict.fromkeys(one for topic in compared for one in topic.aspects)), MAX_FOCUS)
    things = cut(enumerate_words(dict.fromkeys(topic.subject for topic in compared)), MAX_FOCUS)
    about = f"{COMPARE_PREFIX}{things}{ASPECT_MARK if aspects else ''}{aspects}"
    return [PlannedStep(id="summary-1", description=about, agent=summary, depends_on=needed, join=Join.BEST_EFFORT)]


def _simple(brief: Brief) -> Plan:
    """The plainest plan: one step, or one for the documents and one for the tables."""
    cards, task = brief.agents, cut(_line(brief.task), 2 * MAX_FOCUS) or "the task"
    analysis = agent_for("analysis", cards) if brief.tables else None
    search = agent_for("search", cards) if brief.knowledge or analysis is None else None
    steps: list[PlannedStep] = []
    if search:
        steps.append(PlannedStep(id="search-1", description=search_for([Topic(task)]), agent=search))
    if analysis:
        names = enumerate_words(brief.tables[:8])
        steps.append(PlannedStep(id="analysis-1", description=f"{ANALYSIS_PREFIX}{names}: {task}", agent=analysis))
    if not steps:
        own = _own_agent(brief, Ask(brief.task, (brief.task,)))
        names_left = [card.name for card in cards if card.name != "planner"] or [card.name for card in cards]
        steps.append(PlannedStep(id="work-1", description=task, agent=own or names_left[0]))
    return Plan(rationale="The plainest plan that serves the task.", steps=steps)


def _rationale(draft: _Draft, steps: list[PlannedStep]) -> str:
    said: list[str] = []
    if len(steps) == 1:
        return f"One step of {steps[0].agent} answers it: nothing in the task is to be looked up or done apart."
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
