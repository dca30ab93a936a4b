"""A job again from one of its steps. Pure: from what is stored of it to what is to be submitted.

Of the source's plan only its own steps are copied: what they delegated lives on in their results, or is delegated anew.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydantic import JsonValue, ValidationError

from orchestrator.planning import graph
from orchestrator.planning.bind import unbound
from orchestrator.planning.check import graph_faults, named, shape_faults, step_faults
from orchestrator.request import checked_spec
from orchestrator.settings import OrchestratorSettings
from orchestrator.travel.edit import Edit, added, changed
from tasks.errors import ContractError, InvalidPlan
from tasks.ids import PLAN_STEP, REPAIR_STEP, SYNTHESIS_STEP, JobId, StepId
from tasks.models import JobSpec, Origin, Plan, PlannedStep, Step, StepKind
from tasks.patterns.compile import COORDINATOR, PATTERN
from tasks.states import StepStatus
from tasks.store import JobRecord, NewStep, Reused, StepRecord

NO_OPTIONS: Final[Mapping[str, object]] = MappingProxyType({})
NOT_COPIED: Final = frozenset(
    {"id", "task", "plan", "replay", "session", "idempotency_key", "traceparent", "forked_from"}
)
"""Parts of a spec that are the fork's own."""


@dataclass(frozen=True, slots=True)
class Fork:
    """What is to be submitted."""

    spec: JobSpec
    reused: Reused


@dataclass(frozen=True, slots=True)
class _Source:
    """The plan of a job, as far as it was made by its planner or by who gave it."""

    steps: Mapping[str, StepRecord]
    """In a topological order."""
    needs: Mapping[str, tuple[str, ...]]
    again: frozenset[str]
    """Steps that planned again."""
    proposed: Plan
    """What the planner said, where there was one."""


def forked(
    record: JobRecord,
    job: JobId,
    from_step: str,
    edit: Edit,
    limits: OrchestratorSettings,
    options: Mapping[str, object] = NO_OPTIONS,
) -> Fork:
    """The job again: what succeeded in it, and does not depend on `from_step`, is not done a second time.

    Args:
        job: Its id, of the same partition.
        options: Fields of its spec that differ.

    Raises:
        ContractError: there is no such step, nothing was planned yet, or a change is wrong or would have no effect.
        InvalidPlan: the plan may not run with these changes.
    """
    origin = _origin(record, from_step)
    if origin.step == PLAN_STEP:
        if edit.steps:
            raise ContractError(f"steps.{next(iter(edit.steps))}: all is planned anew; there is no step to change yet")
        plan, reused = None, ()
    else:
        plan, reused = _plan(_source(record), origin.step, edit, limits)
    values = {name: getattr(record.spec, name) for name in JobSpec.model_fields if name not in NOT_COPIED}
    if record.spec.replan is None and plan is not None and _was_planned(record):
        values["replan"] = limits.replan_rounds  # as a planned job has them; one that brings its plan has none
    task = record.spec.task if edit.task is None else edit.task
    spec = checked_spec(job, task, **{**values, "plan": plan, "forked_from": origin, **options})
    return Fork(spec, Reused(origin, reused, edit.model_dump_json()))


def _origin(record: JobRecord, from_step: str) -> Origin:
    job, steps = record.spec.id, {one.step.id: one.step for one in record.steps}
    planned = [name for name, step in steps.items() if _is_planned(step)]
    known = [*([PLAN_STEP] if _was_planned(record) else []), *planned, *([SYNTHESIS_STEP] if planned else [])]
    step = steps.get(StepId(from_step))
    if step is not None and step.parent is not None:
        raise ContractError(f"step {from_step!r} of job {job} was done for {step.parent!r}: fork from that one")
    if from_step == REPAIR_STEP and step is not None:
        raise ContractError(f"step {from_step!r} of job {job} planned a second time: fork from {PLAN_STEP!r}")
    if from_step not in known:
        there = f"there are: {', '.join(known)}" if known else "it has no accepted plan yet"
        raise ContractError(f"job {job} has no step {from_step!r} to fork from; {there}")
    return Origin(job_id=job, step=StepId(from_step))


def _was_planned(record: JobRecord) -> bool:
    return any(one.step.kind is StepKind.PLAN for one in record.steps)


def _is_planned(step: Step) -> bool:
    return step.kind is StepKind.WORK and step.parent is None and not _plans_again(step)


def _plans_again(step: Step) -> bool:
    pattern = step.input.get(PATTERN) if step.agent == COORDINATOR and isinstance(step.input, dict) else None
    return isinstance(pattern, dict) and pattern.get("kind") == "replan"


def _source(record: JobRecord) -> _Source:
    own = [one for one in record.steps if one.step.kind is StepKind.WORK and one.step.parent is None]
    steps: dict[str, StepRecord] = {one.step.id: one for one in own}
    needs: dict[str, tuple[str, ...]] = {
        name: tuple(before for before in one.step.depends_on if before in steps) for name, one in steps.items()
    }
    again = frozenset(name for name, one in steps.items() if _plans_again(one.step))
    return _Source(steps, needs, again, _proposed(record))


def _proposed(record: JobRecord) -> Plan:
    """The planner's last word; without steps where there is none."""
    said = [one.result.data for one in record.steps if one.step.kind is StepKind.PLAN and one.result]
    try:
        return Plan.model_validate(said[-1]) if said else Plan(steps=[])
    except ValidationError:
        return Plan(steps=[])


def _plan(
    source: _Source, from_step: str, edit: Edit, limits: OrchestratorSettings
) -> tuple[Plan, tuple[NewStep, ...]]:
    """The plan of the fork, and the steps of it that are there from its beginning."""
    behind = _behind(from_step, source.needs)
    good = {name for name, one in source.steps.items() if one.status is StepStatus.SUCCEEDED}
    reused = good - behind
    steps = _edited(source, edit, reused)
    needs = {name: [one for one in step.depends_on if one in steps] for name, step in steps.items()}
    # One that planned again, and is done with, makes up for all that was before it.
    needs |= {name: [one for one in source.needs[name] if one in steps] for name in reused & source.again}
    idle = _idle(needs, reused)
    if vain := sorted(idle & edit.steps.keys()):
        raise ContractError(f"steps.{vain[0]}: nothing that is done anew needs this step; fork from it instead")
    planned = [_trimmed(step, reused, source.again) for name, step in steps.items() if name not in idle]
    plan = Plan(rationale=source.proposed.rationale, steps=planned)
    _check(plan, reused, limits)
    return plan, tuple(_taken_over(source, plan, reused))


def _behind(step: str, needs: Mapping[str, Collection[str]]) -> set[str]:
    """A step and all that depend on it, by way of others too; `needs` is in a topological order."""
    found = {step}
    for name, before in needs.items():
        if found & {*before}:
            found.add(name)
    return found


def _edited(source: _Source, edit: Edit, reused: Collection[str]) -> dict[str, PlannedStep]:
    """All steps of the plan with the changes; those that planned again only where their result is reused."""
    said = {step.id: step for step in source.proposed.steps}
    steps = {
        name: said.get(name) or unbound(one.step)
        for name, one in source.steps.items()
        if name in reused or name not in source.again
    }
    for name, changes in edit.steps.items():
        if name in reused:
            raise ContractError(f"steps.{name}: it is reused, so a change would have no effect; fork from it instead")
        if name == SYNTHESIS_STEP:
            raise ContractError(f"steps.{name}: it follows from the plan; change the task instead")
        if changes is None:
            if name not in steps:
                raise ContractError(f"steps.{name}: there is no such step to leave out")
            del steps[name]
        elif name in steps:
            steps[name] = changed(steps[name], changes)
        elif name in source.again:
            raise ContractError(f"steps.{name}: it planned again, and is not part of the plan")
        else:
            steps[name] = _new(name, changes, steps)
    return steps


def _new(name: str, fields: Mapping[str, JsonValue], steps: Collection[str]) -> PlannedStep:
    if "description" not in fields:
        raise ContractError(f"steps.{name}: there is no such step; there are: {', '.join(steps)}")
    return added(name, fields)


def _idle(needs: Mapping[str, Collection[str]], reused: Collection[str]) -> set[str]:
    """Steps without a result that only such steps depend on as are reused, or idle too: nobody would look at theirs."""
    after = graph.dependents({name: list(before) for name, before in needs.items()})
    found: set[str] = set()
    for layer in reversed(graph.layers({name: list(before) for name, before in needs.items()})):
        seen = found.union(reused)
        found |= {name for name in layer if name not in reused and after[name] and seen >= {*after[name]}}
    return found


def _trimmed(step: PlannedStep, reused: Collection[str], again: Collection[str]) -> PlannedStep:
    """A reused step depends on reused ones only; one that planned again on none, or the answer would not see those."""
    if step.id not in reused:
        return step
    needs = [] if step.id in again else [name for name in step.depends_on if name in reused]
    quorum = min(step.quorum, len({*needs}))
    return step.model_copy(update={"depends_on": needs, "quorum": quorum})


def _check(plan: Plan, reused: Collection[str], limits: OrchestratorSettings) -> None:
    """Say at once what needs nobody to be alive; the orchestrator checks all of it again."""
    faults = list(shape_faults(plan, limits))
    for at, step in enumerate(plan.steps):
        if step.id not in reused:
            faults += step_faults(at, step, ())
    faults += graph_faults(plan, limits) if not faults else ()
    if faults:
        raise InvalidPlan(list(named(faults)))


def _taken_over(source: _Source, plan: Plan, reused: Collection[str]) -> Iterator[NewStep]:
    planned = {step.id: step for step in plan.steps}
    after = graph.dependents({name: step.depends_on for name, step in planned.items()})
    for name, one in source.steps.items():
        if name in reused:
            needs = tuple(StepId(before) for before in dict.fromkeys(planned[name].depends_on))
            step = one.step.model_copy(update={"depends_on": needs, "quorum": min(one.step.quorum, len(needs))})
            yield NewStep(step, tuple(StepId(child) for child in after[name] if child in reused))
