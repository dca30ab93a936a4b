"""The control streams: what moves have left for the orchestrator to do. A transactional outbox.

An entry is deleted only after it was acted on. One whose reader died is taken over by another replica after
`TAKE_OVER`; acting twice is harmless, because every move is fenced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, cast

from redis.exceptions import OutOfMemoryError, ResponseError

from tasks.errors import InvalidId
from tasks.ids import STEP_ID, AttemptRef, StepId, parse_job_id
from tasks.library_log import LibraryLog
from tasks.store.failures import translated
from tasks.store.keys import GROUP
from tasks.store.scripts import TIDY
from tasks.store.store import Store

log = LibraryLog("troupe.store")

TAKE_OVER: Final = timedelta(seconds=5)
"""Age at which an entry that somebody read and did not finish is taken over."""

FORGET: Final = timedelta(hours=1)
"""Silence after which the name of a dead reader is dropped; a living one reads every second."""

Fields = dict[str, str]
Entries = list[tuple[str, Fields]]


class Notice(StrEnum):
    """What an entry asks for."""

    STEP_READY = "step_ready"
    """Dispatch this attempt."""
    ATTEMPT_ENDED = "attempt_ended"
    """Decide what follows an attempt that ended without success."""
    STEP_UNCLAIMED = "step_unclaimed"
    """A published message was not claimed for a while: look for it."""
    STEP_OVERDUE = "step_overdue"
    """No worker took this attempt within the step's time: give it up, or let another agent take it over."""
    CHILDREN_WANTED = "children_wanted"
    """Check the steps that a parked step wants done for it: the wait's key is in the data."""
    HAND_OFF_WANTED = "hand_off_wanted"
    """Check whether another agent may go on with a parked step: the wait's key is in the data."""
    REPLAN_WANTED = "replan_wanted"
    """All that the answer rests on has ended, and not all of it well: plan again before it is written."""
    PLAN_PROPOSED = "plan_proposed"
    """Check the plan that this step (or, without one, the job itself) brings."""


KNOWN: Final = frozenset(Notice)
FIELDS: Final = frozenset({"kind", "job"})
"""What entries of any release have."""
MAX_ATTEMPT_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a control stream."""

    id: str
    notice: Notice
    ref: AttemptRef
    data: str


class Outbox:
    """Reading side of the control streams, for one orchestrator replica."""

    def __init__(self, store: Store, consumer: str) -> None:
        self.store = store
        self.consumer = consumer

    async def open(self, partition: int) -> None:
        """Make the consumer group; nothing when it is there."""
        async with translated(self.store.settings):
            stream = self.store.keys.control(partition)
            try:
                await self.store.redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except OutOfMemoryError:
                # Said before Redis looks: a replica that starts at a full store is to work on what was accepted.
                if not await self.store.redis.exists(stream):
                    raise
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def read(self, partition: int, *, count: int, block: timedelta) -> list[Entry]:
        """New entries, at most `count`; waits up to `block` for the first, but not as long as `store_timeout_s`.

        A server that came back without its data has no group any more: it is made anew.

        Raises:
            StoreUnavailable: no answer in time.
        """
        stream = self.store.keys.control(partition)
        # Below the socket timeout, or an idle stream would look like a dead server; Redis takes 0 for "for ever".
        wait = min(block, timedelta(seconds=self.store.settings.store_timeout_s / 2))
        milliseconds = int(wait / timedelta(milliseconds=1)) or None
        async with translated(self.store.settings):
            try:
                reply = cast(
                    "dict[str, list[Entries]] | list[tuple[str, Entries]]",
                    await self.store.redis.xreadgroup(
                        GROUP, self.consumer, {stream: ">"}, count=count, block=milliseconds
                    ),
                )
            except ResponseError as error:
                await self._open_again(partition, error)
                return []
        return await self._readable(partition, _entries(reply))

    async def take_over(self, partition: int, *, count: int) -> list[Entry]:
        """Entries that another reader left unfinished."""
        stream, idle_ms = self.store.keys.control(partition), int(TAKE_OVER / timedelta(milliseconds=1))
        async with translated(self.store.settings):
            try:
                reply = cast(
                    "Sequence[object]",
                    await self.store.redis.xautoclaim(
                        stream, GROUP, self.consumer, min_idle_time=idle_ms, start_id="0-0", count=count
                    ),
                )
            except ResponseError as error:
                await self._open_again(partition, error)
                return []
        found = cast("list[tuple[str, Fields | None]]", reply[1])
        return await self._readable(partition, [(one, fields) for one, fields in found if fields])

    async def tidy(self, partition: int, silent_for: timedelta = FORGET) -> int:
        """Drop the names of readers that have been silent for so long and left nothing unfinished; how many."""
        silent_ms = int(silent_for / timedelta(milliseconds=1))
        async with translated(self.store.settings):
            try:
                reply = await TIDY.run(self.store.redis, [self.store.keys.control(partition)], [GROUP, silent_ms])
            except ResponseError as error:
                await self._open_again(partition, error)
                return 0
        return cast(int, reply)

    async def _readable(self, partition: int, rows: Entries) -> list[Entry]:
        """Entries without those that ask for what only a later release knows: they stay for a replica of that release.

        What no release writes is dropped: whoever may write to the stream could else stop every orchestrator with it.
        """
        found: list[Entry] = []
        nobodys: list[str] = []
        for entry, fields in rows:
            if fields.get("kind", "") not in KNOWN and fields.keys() >= FIELDS:
                log.warning("entry_of_later_release", entry=entry, notice=fields["kind"][:40], job=fields["job"][:40])
                continue
            try:
                found.append(_read(entry, fields))
            except (LookupError, ValueError, InvalidId) as error:
                log.error("entry_unreadable", entry=entry, reason=type(error).__name__)
                nobodys.append(entry)
        await self._delete(partition, nobodys)
        return found

    async def _open_again(self, partition: int, error: ResponseError) -> None:
        if "NOGROUP" not in str(error):
            raise error
        await self.open(partition)

    async def done(self, partition: int, entries: Sequence[Entry]) -> None:
        """Delete entries that were acted on."""
        await self._delete(partition, [entry.id for entry in entries])

    async def _delete(self, partition: int, ids: Sequence[str]) -> None:
        if not ids:
            return
        stream = self.store.keys.control(partition)
        # No MULTI, which a full server refuses. Deleted first: one that is only acknowledged would stay for ever, and
        # one that is only deleted leaves its mark with the group until the next take-over.
        async with translated(self.store.settings), self.store.redis.pipeline(transaction=False) as pipe:
            pipe.xdel(stream, *ids)
            pipe.xack(stream, GROUP, *ids)
            await pipe.execute()

    async def waiting(self, partition: int) -> int:
        """Entries that nobody has finished."""
        async with translated(self.store.settings):
            return int(await self.store.redis.xlen(self.store.keys.control(partition)))


def _entries(reply: "dict[str, list[Entries]] | list[tuple[str, Entries]]") -> Entries:
    """Redis' protocol 3 answers with a map of lists of batches, protocol 2 with a list of pairs."""
    if isinstance(reply, dict):
        return [entry for batches in reply.values() for batch in batches for entry in batch]
    return [entry for _, batch in reply for entry in batch]


def _read(entry: str, fields: Fields) -> Entry:
    """An entry as a move wrote it.

    Raises:
        LookupError, ValueError, InvalidId: none did.
    """
    step, attempt = fields["step"], fields["attempt"] or "0"
    if (step and STEP_ID.fullmatch(step) is None) or len(attempt) > MAX_ATTEMPT_DIGITS:
        raise InvalidId("neither a step nor an attempt")
    return Entry(
        id=entry,
        notice=Notice(fields["kind"]),
        ref=AttemptRef(parse_job_id(fields["job"]), StepId(step), int(attempt)),
        data=fields["data"],
    )
