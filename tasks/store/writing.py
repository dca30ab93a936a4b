"""Steps that are to be written: as those who decide have them, and as scripts take them."""

import json
from dataclasses import dataclass

from tasks.ids import StepId
from tasks.models import Origin, Step

Args = list[str | int]


@dataclass(frozen=True, slots=True)
class NewStep:
    """A step to write, with those that depend on it."""

    step: Step
    dependents: tuple[StepId, ...] = ()


@dataclass(frozen=True, slots=True)
class Reused:
    """Steps that a new job takes over from another one of its partition, with their results."""

    origin: Origin
    steps: tuple[NewStep, ...]
    """In a topological order; each depends on others of these only, if on any."""
    asked: str
    """What, beside the spec without its plan, tells the request from others under its idempotency key: what the plan
    comes to follows from how far the other job has come."""


def written(new: NewStep) -> Args:
    """A step as scripts take it: `write_step` of lua/steps.lua."""
    step = new.step
    return [
        step.id,
        step.kind,
        step.join,
        " ".join(step.depends_on),
        " ".join(new.dependents),
        step.model_dump_json(exclude_defaults=True),
        step.queue,
        step.queue_ms,
        step.total_ms,
        step.quorum,
        "1" if step.optional else "",
        step.join_ms,
    ]


def taken_over(reused: Reused | None) -> Args:
    """What a new job takes over, as `submit` takes it: lua/submit.lua."""
    if reused is None:
        return ["", "", 0]
    origin, names = reused.origin, [new.step.id for new in reused.steps]
    told = json.dumps({"source": origin.job_id, "step": origin.step, "steps": names})
    return [origin.job_id, told, len(names), *(arg for new in reused.steps for arg in written(new))]
