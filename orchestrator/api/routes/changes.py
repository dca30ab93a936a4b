"""Jobs: cancel, pause, go on, try again, fork."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from orchestrator.api.accepting import fork as submit_fork
from orchestrator.api.accepting import hold_again
from orchestrator.api.bodies import AdvanceBody, ForkBody
from orchestrator.api.door import TheDoor
from orchestrator.api.owned import ChangedJob
from orchestrator.api.problems import problems
from orchestrator.api.replies import Changed, Retried
from orchestrator.api.routes.jobs import ACCEPTED, Key, Wait, accepted, reached
from orchestrator.api.visitors import Submitter
from tasks.results import JobResult

router = APIRouter(prefix="/jobs/{job}", tags=["jobs"])


@router.post("/cancel", responses=problems(404))
async def cancel(job: ChangedJob) -> Changed:
    """Cancel a job on all workers. A job that is final stays what it is."""
    return Changed(job_id=job.id, status=await job.cancel())


@router.post("/pause", responses=problems(404))
async def pause(job: ChangedJob) -> Changed:
    """Let nothing of a job begin, and stop what runs, until it is resumed."""
    return Changed(job_id=job.id, status=await job.pause())


@router.post("/resume", responses=problems(404))
async def resume(job: ChangedJob) -> Changed:
    """Let a paused job go on."""
    return Changed(job_id=job.id, status=await job.resume())


@router.post("/advance", responses=problems(404))
async def advance(job: ChangedJob, body: Annotated[AdvanceBody | None, Body()] = None) -> Changed:
    """Let a job that was submitted with `max_steps` begin further steps."""
    return Changed(job_id=job.id, status=await job.advance(body.steps if body else None))


@router.post("/retry", responses=problems(404, 409))
async def retry(door: TheDoor, visitor: Submitter, job: ChangedJob) -> Retried:
    """Try the failed part of a job again, also when it has ended since."""
    async with hold_again(door, visitor, job):
        return Retried(job_id=job.id, steps=await job.retry())


@router.post("/fork", status_code=202, response_model=JobResult, responses={**ACCEPTED, **problems(404, 409)})
async def fork(
    request: Request, response: Response, door: TheDoor, visitor: Submitter, job: ChangedJob, body: ForkBody,
    key: Key = None, wait: Wait = 0,
) -> JobResult:  # fmt: skip
    """Submit a job again from one of its steps; what it found before is reused."""
    return accepted(request, response, await reached(await submit_fork(door, visitor, job, body, key), wait))
