"""Jobs that have ended, each told to one reader of a group: for what is to be said of a job once, when it is over."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from redis.exceptions import ResponseError

from tasks.errors import InvalidId
from tasks.ids import JobId, parse_job_id
from tasks.store.failures import translated
from tasks.store.outbox import FORGET
from tasks.store.scripts import TIDY
from tasks.store.store import Store

TAKE_OVER: Final = timedelta(seconds=30)
"""Age at which an end that somebody read, and did not finish with, is told to another reader."""

Rows = list[tuple[str, dict[str, str] | None]]


@dataclass(frozen=True, slots=True)
class End:
    """The end of a job. One that was reopened has several."""

    entry: str
    job: JobId
    at: datetime
    again: bool = False
    """Whether somebody was told of it before, and did not finish with it."""


class EndedJobs:
    """Reading side of the streams of ended jobs. They are trimmed: who is away for long misses some."""

    def __init__(self, store: Store, group: str, consumer: str) -> None:
        self.store = store
        self.group = group
        self.consumer = consumer

    async def open(self, partition: int) -> None:
        """Be told of ends from now on, unless the group is there. Names of readers that are long gone go."""
        async with translated(self.store.settings):
            try:
                stream = self.store.keys.finished(partition)
                await self.store.redis.xgroup_create(stream, self.group, id="$", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
            # Each process reads under a name of its own: without this they would become ever more.
            silent_ms = int(FORGET / timedelta(milliseconds=1))
            await TIDY.run(self.store.redis, [self.store.keys.finished(partition)], [self.group, silent_ms])

    async def read(self, partition: int, *, count: int) -> list[End]:
        """Ends that nobody was told of, or that were left unfinished; at most `count` of either. Waits for none.

        Raises:
            StoreUnavailable: no answer in time.
        """
        stream, idle_ms = self.store.keys.finished(partition), int(TAKE_OVER / timedelta(milliseconds=1))
        async with translated(self.store.settings):
            try:
                left = cast(
                    "list[object]",
                    await self.store.redis.xautoclaim(
                        stream, self.group, self.consumer, min_idle_time=idle_ms, start_id="0-0", count=count
                    ),
                )
                reply = cast(
                    "dict[str, list[Rows]] | list[tuple[str, Rows]]",
                    await self.store.redis.xreadgroup(self.group, self.consumer, {stream: ">"}, count=count),
                )
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await self.open(partition)  # the server came back without its data
                return []
        told = [(row, again) for again, rows in ((True, cast(Rows, left[1])), (False, _rows(reply))) for row in rows]
        rows = [(entry, fields, again) for (entry, fields), again in told if fields]
        ends = [end for entry, fields, again in rows if (end := _end(entry, fields, again)) is not None]
        if len(ends) < len(rows):  # nobody's entries: read again and again they would hold up the others
            known = {end.entry for end in ends}
            async with translated(self.store.settings):
                await self.store.redis.xack(stream, self.group, *[entry for entry, *_ in rows if entry not in known])
        return ends

    async def done(self, partition: int, ends: list[End]) -> None:
        """Nobody is told of these again."""
        if ends:
            async with translated(self.store.settings):
                stream = self.store.keys.finished(partition)
                await self.store.redis.xack(stream, self.group, *[end.entry for end in ends])


def _rows(reply: "dict[str, list[Rows]] | list[tuple[str, Rows]]") -> Rows:
    """Redis' protocol 3 answers with a map of lists of batches, protocol 2 with a list of pairs."""
    if isinstance(reply, dict):
        return [row for batches in reply.values() for batch in batches for row in batch]
    return [row for _, batch in reply for row in batch]


def _end(entry: str, fields: dict[str, str], again: bool) -> End | None:
    """An entry of the stream; None: not one that a move wrote."""
    try:
        job = parse_job_id(fields.get("job", ""))
        return End(entry, job, datetime.fromtimestamp(int(entry.partition("-")[0]) / 1000, UTC), again)
    except (InvalidId, ValueError, OverflowError, OSError):
        return None
