"""A job's events as server-sent events: numbered, resumed after any number."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Final, TypeVar, cast

from fastapi import Header, Query
from fastapi.sse import ServerSentEvent

from orchestrator.api.owned import ReadJob
from orchestrator.handle import AsyncJobHandle
from tasks.errors import ContractError, StoreUnavailable

END: Final = "end"
"""The event after a job's last one: whoever reads need not come back."""
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
