"""Where a step stands, and nothing that anybody wrote: for those who may not read results."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from tasks.ids import JobId, StepId
from tasks.states import StepStatus
from tasks.store.failures import translated
from tasks.store.reading import known
from tasks.store.store import Store


@dataclass(frozen=True, slots=True)
class Glance:
    """One step, from the hash of its job's steps alone."""

    status: StepStatus
    attempt: int
    """Number of the last attempt."""
    finished_at: datetime | None


async def glance(store: Store, job: JobId, step: StepId) -> Glance | None:
    """Look at one step; None when it, or its job, is not there. One round trip.

    Raises:
        IncompatibleVersion: its status is one of a later release.
        BadSetting: not even this may be read.
        StoreUnavailable: no answer in time.
    """
    fields = [f"{letter}:{step}" for letter in "saf"]
    async with translated(store.settings):
        found = cast("list[str | None]", await store.redis.hmget(f"{store.keys.job(job)}:steps", fields))
    status, attempt, finished = found
    if status is None:
        return None
    ended = datetime.fromtimestamp(int(finished) / 1000, UTC) if finished else None
    return Glance(known(StepStatus, status), int(attempt or 0), ended)
