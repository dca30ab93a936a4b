"""Jobs, steps and plans in one line."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tasks.ids import PLAN_STEP, SYNTHESIS_STEP, StepId, WorkerName, new_job_id
from tasks.models import AgentDefinition, Failure, JobSpec, Join, Plan, PlannedStep, Step, StepKind, StepResult
from tasks.presence import WorkerPresence
from tasks.store import NewStep
from tasks.usage import Usage

WORKER: Final = WorkerName("worker@test")
PARTITION: Final = 0
BAD: Final = Failure(code="bad", message="it went wrong", retryable=True)
OUT_OF_LUCK: Final = Failure(code="bad", message="no hope")
RESULT: Final = StepResult(text="found")
COST: Final = Usage(input_tokens=10, output_tokens=2, requests=1, cost_microusd=7)


def a_job(task: str = "Find out.", *, partition: int = PARTITION, **fields: Any) -> JobSpec:
    """A job that nobody has submitted yet."""
    return JobSpec(id=new_job_id(partition), task=task, **fields)


def a_step(name: str = "s", depends_on: Sequence[str] = (), **fields: Any) -> Step:
    """A step of agent and queue `worker`."""
    values = {"id": name, "description": f"Do {name}.", "agent": "worker", "queue": "worker"}
    return Step.model_validate({**values, "depends_on": tuple(depends_on), **fields})


def a_planning_step() -> Step:
    """The first step of a job."""
    return a_step(PLAN_STEP, kind=StepKind.PLAN, agent="planner", queue="planner")


def a_graph(
    needs: Mapping[str, Sequence[str]],
    *,
    joins: Mapping[str, Join] | None = None,
    each: Mapping[str, Mapping[str, Any]] | None = None,
    **fields: Any,
) -> list[NewStep]:
    """Steps as a checked plan has them: `name -> what it depends on`, and a synthesis behind all sinks.

    Args:
        each: Further fields of single steps.
    """
    after = {name: [one for one, before in needs.items() if name in before] for name in needs}
    sinks = [name for name, children in after.items() if not children]
    steps = [
        NewStep(
            a_step(name, before, join=(joins or {}).get(name, Join.ALL), **fields, **(each or {}).get(name, {})),
            tuple(StepId(child) for child in after[name] or [SYNTHESIS_STEP]),
        )
        for name, before in needs.items()
    ]
    closing = a_step(SYNTHESIS_STEP, sinks, kind=StepKind.SYNTHESIS, join=Join.BEST_EFFORT, **fields)
    return [*steps, NewStep(closing)]


DIAMOND: Final = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def a_plan(needs: Mapping[str, Sequence[str]] | None = None, *, agent: str = "search") -> Plan:
    """A plan as a planner proposes it; one step unless told otherwise."""
    return Plan(
        steps=[
            PlannedStep(id=name, description=f"Do {name}.", agent=agent, depends_on=list(before))
            for name, before in (needs or {"one": ()}).items()
        ]
    )


def a_worker(name: str = "w1", queues: Sequence[str] = ("worker",), *, version: str = "1") -> WorkerPresence:
    """The announcement of a worker whose agents are named as its queues are."""
    return WorkerPresence(
        name=WorkerName(name),
        pid=1,
        host="test",
        queues=tuple(queues),
        agents=tuple(AgentDefinition(name=one, description=one, queue=one, version=version) for one in queues),
        concurrency=1,
        model="offline",
        version="0",
    )
