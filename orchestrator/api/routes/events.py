"""Jobs: what happens to them, as it happens."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from orchestrator.api.door import TheDoor
from orchestrator.api.problems import problems
from orchestrator.api.streams import STREAM, begun, events_of
from orchestrator.api.visitors import may_still
from orchestrator.handle import AsyncJobHandle

router = APIRouter(prefix="/jobs/{job}", tags=["jobs"])


@router.get("/events", response_class=StreamingResponse, responses={200: {"content": STREAM}, **problems(404)})
async def events(
    request: Request, door: TheDoor, place: Annotated[tuple[AsyncJobHandle, int], Depends(begun)]
) -> StreamingResponse:
    """A job's events after a number, in order, each once; then an event `end`. A reader that lost its connection comes
    back with `Last-Event-ID`, here or at another process, and misses nothing."""
    job, since = place
    return events_of(job, since, door.closing, partial(may_still, request, door))
