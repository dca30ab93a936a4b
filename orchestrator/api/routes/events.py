"""Jobs: what happens to them, as it happens."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from orchestrator.api.problems import problems
from orchestrator.api.streams import STREAM, TheReader, begun, events_of
from orchestrator.handle import AsyncJobHandle

router = APIRouter(prefix="/jobs/{job}", tags=["jobs"])


@router.get("/events", response_class=StreamingResponse, responses={200: {"content": STREAM}, **problems(404)})
async def events(reader: TheReader, place: Annotated[tuple[AsyncJobHandle, int], Depends(begun)]) -> StreamingResponse:
    """A job's events after a number, in order, each once; then an event `end`. A reader that lost its connection comes
    back with `Last-Event-ID`, here or at another process, and misses nothing."""
    job, since = place
    return events_of(job, since, reader)
