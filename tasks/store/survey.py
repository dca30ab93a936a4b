"""How a partition gets on: what the orchestrators have not acted on, and steps that have stood for long."""

from dataclasses import dataclass
from typing import Any, Final, cast

from redis.exceptions import ResponseError

from tasks.models import Step
from tasks.store.failures import translated
from tasks.store.keys import GROUP
from tasks.store.scripts import SURVEY
from tasks.store.store import Store

MOST: Final = 500
"""Steps looked at in a partition."""
DAMAGED: Final = "damaged"
"""Status of what is not as any release writes it."""
DEFAULT_MS: Final[int] = Step.model_fields["timeout_ms"].default
"""Stored steps leave out what is at its default."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A step with a timer, or what was put aside as damaged: the step is then empty when it is about the whole job.

    All times in milliseconds.
    """

    job: str
    step: str
    status: str
    since_ms: int
    """Since it was dispatched, or started when it runs."""
    overdue_ms: int
    """Since its timer was due; negative when it is yet to come."""
    timeout_ms: int
    """How long an attempt at it may take."""


@dataclass(frozen=True, slots=True)
class Survey:
    """One partition."""

    partition: int
    entries: int
    """Control entries that nobody has finished."""
    oldest_ms: int
    """Age of the oldest of them."""
    steps: tuple[Standing, ...]
    readers: dict[str, int]
    """Who has read the control stream, and how many entries each has not finished."""


async def survey(store: Store, partition: int) -> Survey:
    """Look at a partition.

    Raises:
        StoreUnavailable: no answer in time.
    """
    control = store.keys.control(partition)
    async with translated(store.settings):
        found = await SURVEY.run(
            store.redis, [control, store.keys.timers(partition)], [store.keys.jobs(partition), MOST]
        )
        try:
            readers = cast("list[dict[str, Any]]", await cast(Any, store.redis).xinfo_consumers(control, GROUP))
        except ResponseError:  # nothing has ever run here
            readers = []
    reply = cast("list[str]", found)
    now = int(reply[2])
    return Survey(
        partition=partition,
        entries=int(reply[0]),
        oldest_ms=now - int(reply[1].partition("-")[0]) if reply[1] else 0,
        steps=tuple(_standing(reply[at : at + 6]) for at in range(3, len(reply), 6)),
        readers={str(one["name"]): int(one["pending"]) for one in readers},
    )


def _standing(row: list[str]) -> Standing:
    job, step, status, since, overdue, timeout = row
    return Standing(job, step, status, int(since), int(overdue), int(timeout) or DEFAULT_MS)
