"""Jobs: what happens to them, as it happens."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from orchestrator.api.door import TheDoor
from orchestrator.api.problems import problems
from orchestrator.api.streams import begun, told
from orchestrator.handle import AsyncJobHandle

router = APIRouter(prefix="/jobs/{job}", tags=["jobs"])


@router.get("/events", response_class=EventSourceResponse, responses=problems(404))
async def events(
    door: TheDoor, place: Annotated[tuple[AsyncJobHandle, int], Depends(begun)]
) -> AsyncIterator[ServerSentEvent]:
    """A job's events after a number, in order, each once; then an event `end`. A reader that lost its connection comes
    back with `Last-Event-ID`, here or at another process, and misses nothing."""
    job, since = place
    async for event in told(job, since, door.closing):
        yield event
