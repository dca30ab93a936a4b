"""The journal of one step, as its running attempt uses it: what is known from before, and what is added.

Entries: `o` how the conversation began, `m3` the third answer of a model, `t3:1` the first call of the third turn with
tools, `b` that the budget ended it; and in a replay `r`, what its recording says of the step. The loop takes no clock
and no chance, so the same entries lead it to where the last attempt stopped.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, TypeVar

import structlog
from pydantic import Field, TypeAdapter, ValidationError

from tasks.errors import (
    AttemptOver,
    BudgetHeld,
    BudgetSpent,
    DamagedRecord,
    IncompatibleVersion,
    PayloadTooLarge,
    ReplayDiverged,
    StoreUnavailable,
)
from tasks.ids import AttemptRef
from tasks.recorded import RECORDED, Recorded
from tasks.store import AccountStore, Estimate, JournalEntry, Refusal, Scope
from tasks.usage import Usage
from workers.journal.entries import Done, Heard, Opening, TooLong, Unpaid

log = structlog.get_logger("worker")

UNPAID: Final = "b"
"""Id of the entry that says that a budget ended the conversation."""
MAX_BYTES: Final = 16 * 1024 * 1024
"""Size of a step's journal. What comes later is not written down, and a later attempt buys it again."""
PATIENCE: Final = timedelta(seconds=60)
"""How long a call that was paid for waits to be written down while the store is away."""

LATE_S: Final = 10.0
"""How long a cancelled attempt waits for what it paid for to be written down."""
HELD_PAUSE_S: Final = 0.1
LONGEST_HELD_PAUSE_S: Final = 1.0
"""Between two looks at a budget that is held for other calls."""

Kept = Opening | Heard | TooLong | Done | Unpaid | Recorded
_FORM: Final[TypeAdapter[Kept]] = TypeAdapter(Annotated[Kept, Field(discriminator="kind")])
T = TypeVar("T")


class Journal:
    """One attempt's view of its step's journal."""

    def __init__(self, store: AccountStore, ref: AttemptRef, *, replay: bool = False) -> None:
        self.store = store
        self.ref = ref
        self.replay = replay
        """Nothing may be called: what is not written here was not recorded."""
        self.order: list[str] = []
        self.known: dict[str, Kept] = {}
        self.size = 0
        """Bytes of its entries."""
        self.full = False
        self.booked = Usage()
        """What this attempt entered into the ledger."""
        self.told = Usage()
        """As much of it as the conversation got to know."""
        self.broken_off = False
        """The last call of a model came to nothing: played back, the conversation would go on there."""
        self.grew = False
        """This attempt has added to the conversation."""
        self._writing: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Read what earlier attempts wrote. Entries that cannot be read end it there: the rest is done anew.

        Raises:
            ReplayDiverged: an entry of a recording cannot be read.
            StoreUnavailable: the store is away.
        """
        try:
            entries = await _patiently(lambda: self.store.recall(self.ref.job, self.ref.step))
        except (DamagedRecord, IncompatibleVersion) as error:
            if self.replay:
                raise ReplayDiverged(f"the recording of the step cannot be read: {error}") from error
            log.warning("journal_unreadable", reason=str(error))
            await self._rewind(0)
            return
        for at, entry in enumerate(entries):
            try:
                self.known[entry.id] = _FORM.validate_json(entry.text)
            except ValidationError as error:  # of a later release, or damaged
                if self.replay:
                    raise ReplayDiverged(
                        f"entry {entry.id!r} of the recording cannot be read: {_said(error)}"
                    ) from error
                log.warning("journal_unreadable", entry=entry.id)
                await self._rewind(at)
                return
            self.order.append(entry.id)
            self.size += len(entry.text.encode())
        if entries:
            log.info("journal_found", entries=len(entries), replay=self.replay)

    @property
    def recorded(self) -> Recorded | None:
        """What the recording says of the step, in a replay."""
        entry = self.known.get(RECORDED)
        return entry if isinstance(entry, Recorded) else None

    @property
    def model(self) -> str | None:
        """The model that was asked first; None when none was."""
        entry = self.known.get("m1")
        return entry.asked.model if isinstance(entry, Heard | TooLong) else None

    def unrecorded(self, what: str) -> BudgetSpent | ReplayDiverged:
        """Why a replay cannot go on with what is not recorded: the budget was spent then, or it took another course."""
        entry = self.known.get(UNPAID)
        return BudgetSpent(entry.reason) if isinstance(entry, Unpaid) else ReplayDiverged(what)

    async def forget_from(self, entry: str) -> None:
        """Forget an entry and all after it: the conversation takes another course now."""
        await self._rewind(self.order.index(entry))

    async def reserve(self, call: str, most: Estimate, scopes: Sequence[Scope]) -> int:
        """Begin a call; output tokens that it may use. While other calls hold what it needs, it waits for them.

        Whoever waits here must hold nothing itself, or two could wait for each other.

        Raises:
            BudgetSpent: too little is left for it.
            AttemptOver: this attempt may buy nothing any more.
            StoreUnavailable: the store is away.
        """
        pause = HELD_PAUSE_S
        while True:
            try:
                return await self.try_reserve(call, most, scopes)
            except BudgetHeld:
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 1.5, LONGEST_HELD_PAUSE_S)

    async def try_reserve(self, call: str, most: Estimate, scopes: Sequence[Scope]) -> int:
        """As `reserve`, without waiting for other calls.

        Raises:
            BudgetHeld: other calls hold what it needs.
        """
        granted = await _patiently(lambda: self.store.reserve(self.ref, call, most, scopes))
        if isinstance(granted, Refusal):
            raise AttemptOver(f"the attempt is over: {granted}")
        return granted

    async def free(self, call: str, *, unknown: bool = False, record: str = "") -> None:
        """End a call that came to nothing; also of an attempt that is being cancelled.

        When the store is away it is freed with the attempt's end.

        Args:
            record: What the job's trace says of it.
        """
        await self._to_its_end(self._free(call, unknown, record))

    async def _free(self, call: str, unknown: bool, record: str) -> None:
        try:
            await self.store.free(self.ref, call, unknown=unknown, record=record)
        except StoreUnavailable as error:
            log.warning("reservation_kept", call=call, reason=str(error))

    async def book(
        self,
        call: str,
        leaf: str,
        usage: Usage,
        entry: str,
        kept: Kept | None,
        scopes: Sequence[Scope] = (),
        record: str = "",
    ) -> None:
        """End a call: its usage into the ledger, its outcome into the journal, its record into the trace, in one move.

        A cancellation does not interrupt it: what was paid for would be bought again.

        Raises:
            AttemptOver: the attempt is over; the usage is counted all the same.
            StoreUnavailable: the store is away for longer than PATIENCE.
        """
        await self._to_its_end(self._book(call, leaf, usage, entry, kept, scopes, record))

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it end although the attempt is cancelled meanwhile; the cancellation goes on after it."""
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=LATE_S)
            if task.done() and not task.cancelled():
                task.exception()  # looked at, or asyncio would report it as never retrieved
            raise

    async def _book(
        self,
        call: str,
        leaf: str,
        usage: Usage,
        entry: str,
        kept: Kept | None,
        scopes: Sequence[Scope],
        record: str,
    ) -> None:
        written = None if kept is None or self.full else JournalEntry(entry, _text(kept))
        size = len(written.text.encode()) if written is not None else 0
        if self.size + size > MAX_BYTES:
            written = self._close("the journal is full")
        try:
            refused = await _patiently(lambda: self.store.book(self.ref, call, leaf, usage, written, scopes, record))
        except PayloadTooLarge as error:
            written = self._close(str(error))
            refused = await _patiently(lambda: self.store.book(self.ref, call, leaf, usage, written, scopes, record))
        self.booked += usage
        if refused is not None:
            raise AttemptOver(f"the attempt is over: {refused}")
        if written is not None and kept is not None:
            self.order.append(entry)
            self.known[entry] = kept
            self.size += size
            self.broken_off, self.grew = False, self.grew or not isinstance(kept, Opening)

    def _close(self, reason: str) -> None:
        """Write nothing more: entries behind a gap could not be followed."""
        self.full = True
        log.warning("journal_closed", reason=reason)

    async def _rewind(self, kept: int) -> None:
        refused = await _patiently(lambda: self.store.rewind(self.ref, kept))
        if refused is not None:
            raise AttemptOver(f"the attempt is over: {refused}")
        for gone in self.order[kept:]:
            self.size -= len(_text(self.known.pop(gone)).encode())
        del self.order[kept:]


def _text(kept: Kept) -> str:
    return kept.model_dump_json(exclude_defaults=False)


def _said(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in faults[:3])


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call again while the store is away: every move of an account may be made twice."""
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + PATIENCE.total_seconds(), 0.1
    while True:
        try:
            return await call()
        except StoreUnavailable:
            if loop.time() + pause > end:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)
