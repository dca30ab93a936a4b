"""Is this plan allowed to run? Pure: from the proposal, the living agents and the limits to faults or steps."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.planning import graph
from orchestrator.planning.balance import NO_LOADS, Balance, Loads
from orchestrator.planning.bind import bound, own_step
from orchestrator.settings import OrchestratorSettings
from tasks.ids import RESERVED_STEPS, STEP_ID, SYNTHESIS_STEP, StepId
from tasks.models import MAX_DESCRIPTION_CHARS, AgentDefinition, Join, Plan, PlannedStep, Step, StepKind
from tasks.patterns.compile import COORDINATOR
from tasks.store import NewStep

MAX_INPUT_CHARS = 500_000
"""Longest input of one step, as JSON: patterns within patterns are described there."""
MAX_FAULTS = 20
"""Faults that are named; a planner mends no more at a time."""
MAX_FAULT_CHARS = 500
"""Longest fault: a planner's own words stand in it, and it goes into an event, a step and a log."""
SYNTHESIS = "Write the final answer to the task from the results of the steps, with their sources."


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check: faults, or the steps to write."""

    faults: tuple[str, ...] = ()
    """Each `path: what is wrong`, as a planner can repair it."""
    steps: tuple[NewStep, ...] = ()
    """In a topological order, the synthesis last. Empty when there are faults."""
    only_absent: bool = False
    """The faults are that no living agent is what some steps want: one may come up yet."""


def check(
    plan: Plan,
    agents: Sequence[AgentDefinition],
    limits: OrchestratorSettings,
    *,
    given: bool = False,
    loads: Loads = NO_LOADS,
    there: Collection[str] = (),
) -> Checked:
    """Check a proposed plan and bind its steps to agents and queues.

    Args:
        agents: Those that are known; a planner may use the plannable ones.
        given: A person's plan, and no planner's: it may have patterns coordinated.
        loads: How long queues are, for steps that name a capability.
        there: Steps of it that are there already, with their results: nobody has to be alive for them.
    """
    able = [agent for agent in agents if agent.plannable or (given and agent.name == COORDINATOR)]
    faults = list(shape_faults(plan, limits))
    faults += [fault for at, step in enumerate(plan.steps) for fault in step_faults(at, step, able)]
    if not faults:
        faults = list(graph_faults(plan, limits))
    new = [(at, step) for at, step in enumerate(plan.steps) if step.id not in there]
    absent = [fault for at, step in new for fault in _absences(at, step, able, agents)]
    if faults or absent:
        return Checked(faults=named([*faults, *absent]), only_absent=not faults)
    return Checked(steps=tuple(_bind(plan, able, agents, limits, loads, there)))


def named(faults: Sequence[str]) -> tuple[str, ...]:
    """The first faults, each within its length, and how many more there are."""
    rest, first = len(faults) - MAX_FAULTS, [_within(fault) for fault in faults[:MAX_FAULTS]]
    return tuple(first) if rest <= 0 else (*first, f"and {rest} more faults")


def _within(fault: str) -> str:
    return fault if len(fault) <= MAX_FAULT_CHARS else f"{fault[: MAX_FAULT_CHARS - 1]}…"


def shape_faults(plan: Plan, limits: OrchestratorSettings) -> Iterator[str]:
    """What is wrong with its size, ids and references."""
    if not plan.steps:
        yield "steps: the plan has no steps"
    if len(plan.steps) > limits.max_steps:
        yield f"steps: {len(plan.steps)} steps are more than the {limits.max_steps} allowed"
    first: dict[str, int] = {}
    for at, step in enumerate(plan.steps):
        if step.id in first:
            yield f"steps[{at}].id: {step.id!r} is the id of steps[{first[step.id]}] too"
        first.setdefault(step.id, at)
    for at, step in enumerate(plan.steps):
        for position, before in enumerate(step.depends_on):
            if before == step.id:
                yield f"steps[{at}].depends_on[{position}]: {before!r} depends on itself"
            elif before not in first:
                yield f"steps[{at}].depends_on[{position}]: {before!r} is no step of this plan"


def step_faults(at: int, step: PlannedStep, able: Sequence[AgentDefinition]) -> Iterator[str]:
    """What is wrong with one step by itself."""
    path = f"steps[{at}]"
    if STEP_ID.fullmatch(step.id) is None:
        yield f"{path}.id: {step.id!r} must be lower-case letters, digits, - and _, at most 48, a letter first"
    if step.id in RESERVED_STEPS:
        yield f"{path}.id: {step.id!r} is reserved"
    if not step.description.strip():
        yield f"{path}.description: it is empty"
    if len(step.description) > MAX_DESCRIPTION_CHARS:
        yield f"{path}.description: {len(step.description)} characters are more than {MAX_DESCRIPTION_CHARS}"
    if step.agent is None and step.capability is None:
        yield f"{path}: give an agent ({_names(able)}) or a capability"
    if step.quorum and step.join is not Join.QUORUM:
        yield f"{path}.quorum: its dependencies do not join by quorum"
    if step.join is Join.QUORUM and step.quorum > len(set(step.depends_on)):
        yield f"{path}.quorum: {step.quorum} is more than the {len(set(step.depends_on))} steps that it depends on"
    if step.input is not None and len(json.dumps(step.input)) > MAX_INPUT_CHARS:
        yield f"{path}.input: as JSON it is longer than {MAX_INPUT_CHARS} characters"
    if step.fallback is not None and step.fallback == step.agent:
        yield f"{path}.fallback: {step.fallback!r} is the step's own agent"


def _absences(
    at: int, step: PlannedStep, able: Sequence[AgentDefinition], agents: Sequence[AgentDefinition]
) -> Iterator[str]:
    path = f"steps[{at}]"
    if step.agent is not None and all(agent.name != step.agent for agent in able):
        yield f"{path}.agent: {step.agent!r} is unknown; there are: {_names(able)}"
    capabilities = {one for agent in able for one in agent.capabilities}
    if step.agent is None and step.capability is not None and step.capability not in capabilities:
        known = ", ".join(sorted(capabilities)) or "none"
        yield f"{path}.capability: no agent has {step.capability!r}; there are: {known}"
    listed = {f"fallbacks[{number}]": name for number, name in enumerate(step.fallbacks)}
    for field, name in {"fallback": step.fallback, **listed}.items():
        if name not in (None, step.agent) and all(agent.name != name for agent in agents):
            yield f"{path}.{field}: {name!r} is unknown; there are: {_names(agents)}"
    if step.fallback_capability is not None and step.fallback_capability not in capabilities:
        yield f"{path}.fallback_capability: no agent has {step.fallback_capability!r}"


def _names(agents: Sequence[AgentDefinition]) -> str:
    return ", ".join(agent.name for agent in agents) or "none is alive"


def graph_faults(plan: Plan, limits: OrchestratorSettings) -> Iterator[str]:
    """What is wrong with how its steps hang together: cycles, depth, fan-out."""
    needs = {step.id: step.depends_on for step in plan.steps}
    loop = graph.cycle(needs)
    if loop is not None:
        yield f"steps: a cycle, {' → '.join(loop)}"
        return
    deep = graph.depth(needs)
    if deep > limits.max_depth:
        yield f"steps: a path of {deep} steps is longer than the {limits.max_depth} allowed"
    for step, after in graph.dependents(needs).items():
        if len(after) > limits.max_fan_out:
            at = next(index for index, one in enumerate(plan.steps) if one.id == step)
            yield f"steps[{at}]: {len(after)} steps depend on {step!r}, more than the {limits.max_fan_out} allowed"


def _bind(
    plan: Plan,
    able: Sequence[AgentDefinition],
    agents: Sequence[AgentDefinition],
    limits: OrchestratorSettings,
    loads: Loads,
    there: Collection[str],
) -> Iterator[NewStep]:
    balance = Balance(loads)
    planned = {step.id: step for step in plan.steps}
    needs = {step.id: list(dict.fromkeys(step.depends_on)) for step in plan.steps}
    after, ends = graph.dependents(needs), graph.sinks(needs)
    for layer in graph.layers(needs):
        for name in layer:
            if name in there:
                continue
            children = after[name] if name not in ends else [SYNTHESIS_STEP]
            chosen = balance.take(planned[name], able)
            if chosen is None:
                raise ValueError(f"{name!r} was checked to have an agent")
            step = bound(planned[name], needs[name], chosen, agents, limits)
            yield NewStep(step, tuple(StepId(child) for child in children))
    closing = own_step(
        SYNTHESIS_STEP, StepKind.SYNTHESIS, SYNTHESIS, limits.synthesis_agent, agents, limits
    ).model_copy(update={"depends_on": tuple(StepId(step) for step in ends), "join": Join.BEST_EFFORT})
    yield NewStep(closing)


def first_step(task: str, agents: Sequence[AgentDefinition], limits: OrchestratorSettings) -> Step:
    """The planning step of a new job."""
    return planning_step(StepId("plan"), f"Plan: {' '.join(task.split())[:200]}", agents, limits)


def planning_step(
    name: StepId, description: str, agents: Sequence[AgentDefinition], limits: OrchestratorSettings
) -> Step:
    """A step for the planner agent."""
    return own_step(name, StepKind.PLAN, description, limits.planner_agent, agents, limits)
