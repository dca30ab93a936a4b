"""Replays of recorded jobs: neither models nor tools are called."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from orchestrator.api.accepting import admission, own_key
from orchestrator.api.bodies import LEAST_S, LONGEST_S
from orchestrator.api.door import TheDoor
from orchestrator.api.problems import problems
from orchestrator.api.routes.jobs import ACCEPTED, Key, Wait, accepted, reached
from orchestrator.api.uploads import sent_body
from orchestrator.api.visitors import Submitter
from orchestrator.recording import Recording
from orchestrator.recording.taking import submit_replay
from tasks.errors import BadRecording, IncompatibleVersion
from tasks.ids import new_job_id
from tasks.models import DEFAULT_TIMEOUT
from tasks.results import JobResult

router = APIRouter(prefix="/replays", tags=["jobs"])

BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/jsonl": {"schema": {"type": "string"}}}}
}
"""In the OpenAPI document."""


@router.post("", status_code=202, response_model=JobResult, openapi_extra=BODY, responses={**ACCEPTED, **problems(409)})
async def replay(
    request: Request,
    response: Response,
    door: TheDoor,
    visitor: Submitter,
    timeout: Annotated[float, Query(ge=LEAST_S, le=LONGEST_S, allow_inf_nan=False, description="Seconds from now.")] = (
        DEFAULT_TIMEOUT / timedelta(seconds=1)
    ),
    key: Key = None,
    wait: Wait = 0,
) -> JobResult:
    """Replay a recorded job: the body is what GET /v1/jobs/{job}/recording answered. It is done for your tenant,
    whosever it was."""
    admitted = await admission(door, visitor)
    async with sent_body(request, door.home) as path:
        recording = await asyncio.to_thread(_read, path)
    named = own_key(admitted.tenant, key)
    job = await submit_replay(
        door.store,
        recording,
        new_job_id(door.troupe.partition(named)),
        timedelta(seconds=timeout),
        door.troupe.limits,
        idempotency_key=named,
        tenant=admitted.tenant,
        open_jobs=admitted.limits.open_jobs,
    )
    return accepted(request, response, await reached(door.troupe.job(job), wait))


def _read(path: Path) -> Recording:
    try:
        return Recording.read(path)
    except (BadRecording, IncompatibleVersion) as error:  # where it stands here is nobody's business
        raise type(error)(str(error).replace(str(path), "the recording")) from error
