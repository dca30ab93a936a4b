"""A job's events as server-sent events: numbered, resumed after any number."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Final, TypeVar, cast

from fastapi import Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from orchestrator.api.door import Door, TheDoor
from orchestrator.api.owned import ReadJob
from orchestrator.api.visitors import AnyVisitor, may_still
from orchestrator.handle import AsyncJobHandle
from tasks.errors import ContractError, StoreUnavailable
from tasks.events import JobEvent
from tasks.refusals import RateLimited

END: Final = "end"
"""The event after a job's last one: whoever reads need not come back."""
FIRST: Final = "job"
"""The event before them, where they are the answer to a submit: it names the job."""
BEAT_S: Final = 15.0
STREAM: Final[dict[str, Any]] = {
    "text/event-stream": {
        "itemSchema": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
        }
    }
}
"""In the OpenAPI document."""
HEADERS: Final = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
"""Proxies are not to hold events back."""
RETRY_MS: Final = 1_000
"""When readers come back after a connection was lost."""
MAX_SEQ: Final = 2**53

LOOK_S: Final = 2.0
"""How long a reader goes on at most whose key was revoked."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a stream."""

    door: Door
    tenant: str
    still: Callable[[], Awaitable[bool]]
    """Whether it may still read."""

    def check_room(self) -> None:
        """Refuse one more stream where its tenant reads as many here as it may.

        Raises:
            RateLimited: it does.
        """
        if self.door.streams[self.tenant] >= self.door.settings.api_max_streams:
            raise RateLimited("as many streams of events are being read here as may be: end some", timedelta(seconds=5))


async def reader_of(request: Request, door: TheDoor, visitor: AnyVisitor) -> Reader:
    """Who is to read a stream."""
    return Reader(door, visitor.tenant, partial(may_still, request, door))


TheReader = Annotated[Reader, Depends(reader_of)]


async def begun(
    job: ReadJob,
    since: Annotated[
        int | None, Query(ge=0, le=MAX_SEQ, description="Number of the last event seen; 0: from the first one.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{1,16}$", description="The same, as browsers send it; wins.")
    ] = None,
) -> tuple[AsyncJobHandle, int]:
    """The job, and the number of the event after which its reader goes on.

    Raises:
        ContractError: there is no such event yet.
    """
    seen = int(last_event_id) if last_event_id is not None else since or 0
    last = (await job.standing()).last_event
    if seen > last:
        raise ContractError(f"since: {seen} is past the last event of job {job.id}, which is {last}")
    return job, seen


def events_of(job: AsyncJobHandle, since: int, reader: Reader) -> StreamingResponse:
    """A job's events after a number, as the answer to a request.

    Raises:
        RateLimited: its reader's tenant reads as many streams here as it may.
    """
    reader.check_room()
    return StreamingResponse(told(job, since, reader), 200, HEADERS, media_type=EventSourceResponse.media_type)


def streamed(job: AsyncJobHandle, reader: Reader) -> StreamingResponse:
    """All events of a job that was just submitted, as the answer to its submit; a first one, `job`, names it."""
    first = format_sse_event(data_str=json.dumps({"job_id": job.id}), event=FIRST)
    headers = {"Location": f"/v1/jobs/{job.id}", **HEADERS}
    return StreamingResponse(told(job, 0, reader, first), 202, headers, media_type=EventSourceResponse.media_type)


async def told(job: AsyncJobHandle, since: int, reader: Reader, first: bytes = b"") -> AsyncGenerator[bytes]:
    """Events after a number, until the job's last one, or until this process is to end; a comment where none comes for
    long, so that nobody takes the connection for dead.

    It ends too when its reader may not read any more: that is looked at before anything is said, every LOOK_S at most.

    Those that have come together go out together: that is what makes hundreds of readers cheap.
    """
    closing = reader.door.closing
    reader.door.streams[reader.tenant] += 1
    try:
        yield first + format_sse_event(comment="events", retry=RETRY_MS)
        looked = time.monotonic()
        async for batch in until(job.event_batches(since), closing, BEAT_S):
            if time.monotonic() >= looked + LOOK_S:
                looked = time.monotonic()
                if not await reader.still():
                    return
            yield b"".join(map(_line, batch)) if batch is not None else KEEPALIVE_COMMENT
        if not closing.is_set():
            yield format_sse_event(data_str="{}", event=END)
    except StoreUnavailable:  # the connection ends without `end`: its reader comes back, and goes on where it was
        return
    finally:
        reader.door.streams[reader.tenant] -= 1


def _line(event: JobEvent) -> bytes:
    return format_sse_event(data_str=event.model_dump_json(), id=str(event.seq))


async def until(source: AsyncIterator[T], closing: asyncio.Event, beat_s: float) -> AsyncIterator[T | None]:
    """What a source gives, until something closes it; None where it gives nothing for so long. The source is always
    ended properly."""
    closed = asyncio.ensure_future(closing.wait())
    step: asyncio.Future[T] | None = None
    try:
        while not closing.is_set():
            step = step or asyncio.ensure_future(anext(source))
            await asyncio.wait({step, closed}, timeout=beat_s, return_when=asyncio.FIRST_COMPLETED)
            if closed.done() and not step.done():
                return
            if not step.done():
                yield None
                continue
            try:
                found = step.result()
            except StopAsyncIteration:
                return
            step = None
            yield found
    finally:
        closed.cancel()
        if step is not None and not step.done():
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        if isinstance(source, AsyncGenerator):
            await cast("AsyncGenerator[T]", source).aclose()
