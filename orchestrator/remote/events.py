"""A job's events over HTTP: each once, in order, whatever becomes of connections and API processes meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from pydantic import ValidationError

from orchestrator.handle import PATIENCE
from orchestrator.remote.connection import Connection
from tasks.errors import ContractError, StoreUnavailable
from tasks.events import EVENT, JobEvent
from tasks.ids import JobId
from tasks.refusals import ApiUnavailable, RateLimited

END: Final = "end"
"""What is sent after a job's last event."""
PAUSE_S: Final = 0.5
"""Before a connection that was lost is made again."""


async def events(api: Connection, job: JobId, since: int) -> AsyncIterator[JobEvent]:
    """Events with a number above `since`: see `AsyncJobHandle.events`.

    Raises:
        ContractError: `since` is below 0, or past the job's last event.
        ApiUnavailable: it was away for a minute; go on later with the last number seen.
        UnknownJob: never submitted here, or past its retention.
    """
    if since < 0:
        raise ContractError(f"since: {since} is no number of an event; 0 is before the first")
    seen, end = since, time.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            async for name, event in _read(api, job, seen):
                end = time.monotonic() + PATIENCE.total_seconds()
                if name == END:
                    return
                if event is not None and event.seq > seen:
                    yield event
                    seen = event.seq
        except (ApiUnavailable, StoreUnavailable, RateLimited):
            if time.monotonic() + PAUSE_S > end:
                raise
        await asyncio.sleep(PAUSE_S)


async def _read(api: Connection, job: JobId, seen: int) -> AsyncIterator[tuple[str, JobEvent | None]]:
    """What one connection brings, until it is lost."""
    headers = {"Last-Event-ID": str(seen), "Accept": "text/event-stream"}
    async with api.stream(f"jobs/{job}/events", headers=headers) as source:
        async for sent in source:
            try:
                yield sent.event, EVENT.validate_json(sent.data) if sent.data and sent.event != END else None
            except ValidationError as error:
                raise ApiUnavailable(f"{source.response.url} sends what is no event of a job") from error
