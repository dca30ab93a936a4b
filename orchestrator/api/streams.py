"""A job's events as server-sent events: numbered, resumed after any number."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final, TypeVar, cast

from fastapi import Header, Query
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, ServerSentEvent, format_sse_event

from orchestrator.api.owned import ReadJob
from orchestrator.handle import AsyncJobHandle
from tasks.errors import ContractError, StoreUnavailable

END: Final = "end"
"""The event after a job's last one: whoever reads need not come back."""
FIRST: Final = "job"
"""The event before them, where they are the answer to a submit: it names the job."""
BEAT_S: Final = 15.0
STREAM: Final[dict[str, Any]] = {"text/event-stream": {"schema": {"type": "string"}}}
"""In the OpenAPI document."""
RETRY_MS: Final = 1_000
"""When readers come back after a connection was lost."""
MAX_SEQ: Final = 2**53

T = TypeVar("T")


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


async def told(job: AsyncJobHandle, since: int, closing: asyncio.Event) -> AsyncIterator[ServerSentEvent]:
    """Events after a number, until the job's last one, or until this process is to end."""
    yield ServerSentEvent(comment="events", retry=RETRY_MS)
    try:
        async for event in until(job.events(since), closing):
            yield ServerSentEvent(raw_data=event.model_dump_json(), id=str(event.seq))
    except StoreUnavailable:  # the connection ends without `end`: its reader comes back, and goes on where it was
        return
    if not closing.is_set():
        yield ServerSentEvent(raw_data="{}", event=END)


def streamed(job: AsyncJobHandle, closing: asyncio.Event) -> StreamingResponse:
    """All events of a job that was just submitted, as the answer to its submit; a first one, `job`, names it."""

    async def lines() -> AsyncIterator[bytes]:
        yield format_sse_event(data_str=json.dumps({"job_id": job.id}), event=FIRST)
        async with aclosing(_beating(told(job, 0, closing))) as events:
            async for event in events:
                yield event

    headers = {"Location": f"/v1/jobs/{job.id}", "X-Accel-Buffering": "no"}  # proxies are not to hold events back
    return StreamingResponse(lines(), 202, headers, media_type=EventSourceResponse.media_type)


async def _beating(source: AsyncIterator[ServerSentEvent]) -> AsyncGenerator[bytes]:
    """Events as they are sent; a comment where none comes for long, so that nobody takes the connection for dead."""
    step: asyncio.Future[ServerSentEvent] | None = None
    try:
        while True:
            step = step or asyncio.ensure_future(anext(source))
            await asyncio.wait({step}, timeout=BEAT_S)
            if not step.done():
                yield KEEPALIVE_COMMENT
                continue
            try:
                one = step.result()
            except StopAsyncIteration:
                return
            step = None
            yield format_sse_event(
                data_str=one.raw_data, event=one.event, id=one.id, retry=one.retry, comment=one.comment
            )
    finally:
        if step is not None:
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        if isinstance(source, AsyncGenerator):
            await cast("AsyncGenerator[ServerSentEvent]", source).aclose()


async def until(source: AsyncIterator[T], closing: asyncio.Event) -> AsyncIterator[T]:
    """What a source gives, until something closes it. The source is always ended properly."""
    closed = asyncio.ensure_future(closing.wait())
    step: asyncio.Future[T] | None = None
    try:
        while not closing.is_set():
            step = asyncio.ensure_future(anext(source))
            await asyncio.wait({step, closed}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                return
            try:
                yield step.result()
            except StopAsyncIteration:
                return
    finally:
        closed.cancel()
        if step is not None and not step.done():
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        if isinstance(source, AsyncGenerator):
            await cast("AsyncGenerator[T]", source).aclose()
