"""Steps that were given up: look at them, try them again, drop them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from orchestrator.api.accepting import hold_again
from orchestrator.api.bodies import Body as Said
from orchestrator.api.bodies import Step
from orchestrator.api.door import TheDoor
from orchestrator.api.owned import ChangedJob, ReadJob, seen_by
from orchestrator.api.problems import problems
from orchestrator.api.replies import Retried
from orchestrator.api.routes.people import StepText
from orchestrator.api.visitors import Reader, Submitter
from orchestrator.dead import AsyncDeadList
from tasks.results import DeadStep

router = APIRouter(prefix="/dead", tags=["dead"])


class RetryBody(Said):
    """Steps of one job that were given up."""

    steps: list[Step] = Field(min_length=1, max_length=1000)


@router.get("", name="list")
async def list_dead(
    door: TheDoor, visitor: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[DeadStep]:
    """The steps that were given up last, newest first."""
    return await AsyncDeadList(door.store, seen_by(door, visitor)).list(limit)


@router.get("/{job}/{step}", responses=problems(404, 409))
async def show(door: TheDoor, job: ReadJob, step: StepText) -> DeadStep:
    """One step that was given up."""
    return await door.troupe.dead.show(job.id, step)


@router.post("/{job}/retry", responses=problems(404, 409))
async def retry(door: TheDoor, visitor: Submitter, job: ChangedJob, body: RetryBody) -> Retried:
    """Try steps of one job again, with fresh counts, also when the job has ended since."""
    async with hold_again(door, visitor, job):
        await door.troupe.dead.retry(job.id, *body.steps)
    return Retried(job_id=job.id, steps=tuple(dict.fromkeys(body.steps)))


@router.delete("/{job}/{step}", status_code=204, responses=problems(404, 409))
async def drop(door: TheDoor, job: ChangedJob, step: StepText) -> None:
    """Take a step off the list. It stays failed."""
    await door.troupe.dead.drop(job.id, step)
