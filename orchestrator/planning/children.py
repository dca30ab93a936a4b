"""May these steps be done for that one? Pure: from what a parked step wants, its own record and the limits to faults or
children. What children may do only shrinks on the way down: depth, time, budgets, tools."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue, TypeAdapter, ValidationError

from orchestrator.planning import graph
from orchestrator.planning.balance import NO_LOADS, Balance, Loads, able_for
from orchestrator.planning.bind import bound
from orchestrator.planning.check import MAX_FAULT_CHARS, graph_faults, named, shape_faults, step_faults
from orchestrator.settings import OrchestratorSettings
from tasks.ids import StepId
from tasks.models import AgentDefinition, Inherited, Plan, PlannedStep, Step, Wire
from tasks.patterns.compile import COORDINATOR
from tasks.store import NewStep

ANYBODY: Final = "any"
"""In `sub_agents`: every agent that plans may name."""
MAX_NAME_CHARS: Final = 40
"""Of a child's id before its number."""


class Asked(Wire):
    """What a parked step wants done."""

    steps: list[PlannedStep]
    tools: tuple[str, ...] | None = None


_ASKED: Final = TypeAdapter(Asked)


@dataclass(frozen=True, slots=True)
class Family:
    """The children to write, or why there may be none."""

    faults: tuple[str, ...] = ()
    steps: tuple[NewStep, ...] = ()


def family(
    wanted: JsonValue,
    parent: Step,
    taken: Collection[str],
    agents: Sequence[AgentDefinition],
    limits: OrchestratorSettings,
    *,
    done: Collection[str] = (),
    under_way: int = 0,
    loads: Loads = NO_LOADS,
) -> Family:
    """Check what a parked step wants done, and bind it.

    Args:
        wanted: As `workers.delegation` says it; from a worker, so it is parsed.
        taken: Ids of the job's steps.
        done: Ids of children of the same parent that have ended: new ones may build on their results.
        under_way: Steps that are being done for the parent already.
        loads: How long queues are, for steps that name a capability.
    """
    try:
        asked = _ASKED.validate_python(wanted)
    except ValidationError as error:
        return Family(faults=named([f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]))
    own = {step.id for step in asked.steps}
    plan = Plan(steps=[_without(step, set(done) - own) for step in asked.steps])
    faults = [*_descent_faults(plan, parent, agents, limits), *shape_faults(plan, limits)]
    faults += [fault for at, step in enumerate(asked.steps) for fault in step_faults(at, step, agents)]
    if under_way and under_way + len(plan.steps) > limits.max_steps:
        faults.append(
            f"steps: {parent.id!r} has {under_way} steps done for it; no more than {limits.max_steps} at the same time"
        )
    if len(taken) + len(plan.steps) > limits.max_job_steps:
        faults.append(f"steps: the job would have more than {limits.max_job_steps} steps")
    faults = faults or list(graph_faults(plan, limits))
    if faults:
        return Family(faults=tuple(fault[:MAX_FAULT_CHARS] for fault in named(faults)))
    return Family(steps=tuple(_bind(plan, asked, parent, taken, agents, limits, Balance(loads))))


def _without(step: PlannedStep, done: Collection[str]) -> PlannedStep:
    """The step without what it need not wait for."""
    return step.model_copy(update={"depends_on": [one for one in step.depends_on if one not in done]})


def _descent_faults(
    plan: Plan, parent: Step, agents: Sequence[AgentDefinition], limits: OrchestratorSettings
) -> list[str]:
    line = (*parent.lineage, parent.agent)
    if len(line) > limits.max_delegation_depth:
        return [f"steps: {' → '.join(line)} is as deep as delegation may go ({limits.max_delegation_depth})"]
    own = next((agent for agent in agents if agent.name == parent.agent), None)
    allowed = set(own.sub_agents) if own else set[str]()
    faults: list[str] = []
    for at, step in enumerate(plan.steps):
        able = able_for(step, agents)
        name = able[0].name if able else ""
        if not able:
            what = f"agent {step.agent!r}" if step.agent else f"capability {step.capability!r}"
            faults.append(f"steps[{at}]: no living agent is or has {what}")
        elif not [one for one in able if not _circles(one.name, line)]:
            faults.append(f"steps[{at}].agent: a circle, {' → '.join((*line, name))}")
        elif not [one for one in able if _may(one.name, allowed, line)]:
            may = ", ".join(sorted(allowed)) or "nobody"
            faults.append(f"steps[{at}].agent: {parent.agent!r} may not delegate to {name!r}; it may to {may}")
    return faults


def _circles(name: str, line: Sequence[str]) -> bool:
    """Whether an agent would do a part of its own work. The coordinator only does what patterns say, which end."""
    return name in line and name != COORDINATOR


def _may(name: str, allowed: Collection[str], line: Sequence[str]) -> bool:
    return (name in allowed or ANYBODY in allowed) and not _circles(name, line)


def _bind(
    plan: Plan,
    asked: Asked,
    parent: Step,
    taken: Collection[str],
    agents: Sequence[AgentDefinition],
    limits: OrchestratorSettings,
    balance: Balance,
) -> list[NewStep]:
    names = _names(plan, parent, taken)
    planned = {step.id: step for step in plan.steps}
    needs = {step.id: list(dict.fromkeys(step.depends_on)) for step in plan.steps}
    after = graph.dependents(needs)
    own = next((agent for agent in agents if agent.name == parent.agent), None)
    line, allowed = (*parent.lineage, parent.agent), set(own.sub_agents) if own else set[str]()
    able = [one for one in agents if _may(one.name, allowed, line)]
    before = {step.id: list(dict.fromkeys(step.depends_on)) for step in asked.steps}
    budgets = parent.budgets
    if own is not None and own.budget is not None:
        budgets = (*budgets, Inherited(scope=f"agent:{own.name}", budget=own.budget))
    made: list[NewStep] = []
    for layer in graph.layers(needs):
        for name in layer:
            chosen = balance.take(planned[name], able)
            if chosen is None:
                raise ValueError(f"{name!r} was checked to have an agent")
            step = bound(planned[name], [names.get(one, one) for one in before[name]], chosen, agents, limits)
            step = step.model_copy(
                update={
                    "id": names[name],
                    "parent": parent.id,
                    "lineage": line,
                    "budgets": budgets,
                    "tools": _narrowed(step.tools, _narrowed(parent.tools, asked.tools)),
                    "fallbacks": tuple(heir for heir in step.fallbacks if _may(heir.agent, allowed, line)),
                }
            )
            made.append(NewStep(step, tuple(names[one] for one in after[name])))
    return made


def _names(plan: Plan, parent: Step, taken: Collection[str]) -> dict[str, StepId]:
    """Ids of the children: the parent's with numbers."""
    base, number, names = parent.id[:MAX_NAME_CHARS], 0, dict[str, StepId]()
    for step in plan.steps:
        number += 1
        while f"{base}_{number}" in taken:
            number += 1
        names[step.id] = StepId(f"{base}_{number}")
    return names


def _narrowed(some: tuple[str, ...] | None, others: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The tools that both let it use; None: all that it has."""
    if some is None or others is None:
        return others if some is None else some
    return tuple(tool for tool in others if tool in some)
