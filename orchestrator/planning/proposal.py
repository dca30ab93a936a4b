"""The plan that a job brings, or that its planner proposes. Pure."""

from pydantic import ValidationError

from tasks.ids import StepId
from tasks.models import Plan
from tasks.store import JobRecord


def proposed(record: JobRecord, step: StepId) -> tuple[Plan | None, list[str]]:
    """The plan; None with faults where there is none that can be read."""
    if record.spec.plan is not None:
        return record.spec.plan, []
    proposer = next((one for one in record.steps if one.step.id == step), None)
    if proposer is None or proposer.result is None:
        return None, ["the planner gave no plan"]
    try:
        return Plan.model_validate(proposer.result.data), []
    except ValidationError as error:
        return None, [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
