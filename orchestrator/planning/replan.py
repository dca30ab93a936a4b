"""Planning again: the step that does it, and the answer that waits for it. Pure: from a job whose plan has ended, and
not all of it well, to the steps to write."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from orchestrator.planning.bind import own_step
from orchestrator.settings import OrchestratorSettings
from tasks.ids import StepId
from tasks.models import AgentDefinition, JobSpec, Join, Step, StepKind
from tasks.patterns.compile import COORDINATOR, PATTERN
from tasks.patterns.forms import Replan as Again
from tasks.states import StepStatus
from tasks.store import JobRecord, NewStep, Replan, StepRecord

NAME: Final = "replan"
MILLISECOND: Final = timedelta(milliseconds=1)


def wished(spec: JobSpec, limits: OrchestratorSettings) -> Replan:
    """When a job's answer is to wait for another plan. One that came with its plan does so only if it says it."""
    rounds = spec.replan if spec.replan is not None else limits.replan_rounds if spec.plan is None else 0
    if spec.review:
        return Replan.ALWAYS
    return Replan.SHORT if rounds else Replan.NEVER


def again(
    job: JobRecord, agents: Sequence[AgentDefinition], limits: OrchestratorSettings, now: datetime
) -> list[NewStep]:
    """The step that plans again, and the answer behind it; none when there is no answer that waits.

    The step gets all that has no result, and what there is behind that. The answer keeps every result: of the last
    steps, and of those that what failed was to build on.
    """
    steps = {one.step.id: one for one in job.steps}
    answer = next((one for one in job.steps if one.step.kind is StepKind.SYNTHESIS), None)
    if answer is None or answer.status is not StepStatus.BLOCKED:
        return []
    short = lacking(job)
    ends = [*answer.step.depends_on, *short, *(one for name in short for one in steps[name].step.depends_on)]
    ends = [name for name in dict.fromkeys(ends) if name in steps]
    kept = [name for name in ends if steps[name].status is StepStatus.SUCCEEDED]
    step = _step(job, agents, limits, now, set(steps)).model_copy(update={"depends_on": tuple(ends)})
    needs = (*kept, step.id)
    closing = answer.step.model_copy(update={"depends_on": needs})
    return [NewStep(step, (closing.id,)), NewStep(closing)]


def lacking(job: JobRecord) -> list[StepId]:
    """Steps of the plan without a result, in its order. Those that they were delegated to are their own business."""
    return [one.step.id for one in job.steps if _has_none(one)]


def no_room(job: JobRecord, now: datetime) -> str:
    """Why a further plan may not be made: it takes about as much as the first. Empty when there is room."""
    used, budget = job.ledger.total, job.spec.budget
    amounts = {
        "money": (used.cost_microusd, budget.cost_microusd),
        "tokens": (used.tokens, budget.tokens),
        "model calls": (used.requests, budget.requests),
        "tool calls": (used.tool_calls, budget.tool_calls),
    }
    amounts["time"] = (max((now - job.created_at) // MILLISECOND, 0), job.spec.timeout_ms)
    spent = [name for name, (have, most) in amounts.items() if most is not None and 2 * have > most]
    return f"more than half of the job's {' and '.join(spent)} is used up; a further plan might take as much" * bool(
        spent
    )


def _step(
    job: JobRecord, agents: Sequence[AgentDefinition], limits: OrchestratorSettings, now: datetime, taken: set[StepId]
) -> Step:
    name = NAME
    while name in taken:
        name = f"{name}-2"
    step = own_step(StepId(name), StepKind.WORK, "Plan again for what has no result.", COORDINATOR, agents, limits)
    rounds = limits.replan_rounds if job.spec.replan is None else job.spec.replan
    form = Again(rounds=max(rounds, 1), check=job.spec.review, refused=no_room(job, now))
    left = job.spec.timeout_ms - (now - job.created_at) // MILLISECOND
    half = max(left // 2, 1)  # or an answer from what there is would be lost with the job
    return step.model_copy(
        update={
            "input": {PATTERN: form.model_dump(mode="json")},
            "total_ms": min(step.total_ms or half, half),
            "join": Join.BEST_EFFORT,
            "optional": True,
        }
    )


def _has_none(one: StepRecord) -> bool:
    of_plan = one.step.kind is StepKind.WORK and one.step.parent is None
    return of_plan and one.status in {StepStatus.FAILED, StepStatus.SKIPPED}
