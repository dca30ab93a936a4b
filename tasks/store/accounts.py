"""Accounts of running attempts: budgets, ledger and journal.

A call is begun by `reserve`, which holds the most that it can cost; `book` ends it with what it came to, and enters its
outcome into the step's journal. What a dead worker held is free as soon as its attempt is lost.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple, cast

from tasks.errors import BudgetHeld, BudgetSpent, ContractError, DamagedRecord
from tasks.ids import AttemptRef, JobId, StepId, partition_of
from tasks.states import Move, sources
from tasks.store.attempts import Refusal, amounts, refusal
from tasks.store.failures import translated
from tasks.store.payload import is_apart, pack, unpack
from tasks.store.reading import readable
from tasks.store.scripts import BOOK, FREE, READ, RECALL, RESERVE, REWIND, SEED
from tasks.store.store import Store
from tasks.usage import Budget, Ledger, LedgerLine, Usage

WORDS: Final = {"cost": "micro-dollars", "tokens": "tokens", "requests": "model calls", "tool_calls": "tool calls"}

SEEDED_FOR: Final = timedelta(minutes=15)
"""How long journals are kept that were filled for a job which is then not submitted."""
BATCH: Final = 500
BATCH_CHARS: Final = 1_000_000
"""Entries, and characters of them, that fill a journal in one round trip."""


class Scope(NamedTuple):
    """Something that has a budget: the job, an agent within it …"""

    name: str
    """Without blanks: `job`, `agent:search` …"""
    budget: Budget


class Estimate(NamedTuple):
    """The most that a call can take: output tokens, whose number the budget may lessen, and all else."""

    least: int = 0
    """Output tokens without which the call makes no sense."""
    most: int = 0
    nanousd: int = 0
    """Thousandths of a micro-dollar for each of them."""
    cost_microusd: int = 0
    tokens: int = 0
    requests: int = 0
    tool_calls: int = 0


class JournalEntry(NamedTuple):
    """One entry of a journal."""

    id: str
    """Without blanks; the same for the same event in whatever attempt."""
    text: str


class AccountStore:
    """The doer's purse and diary. All moves carry the attempt number."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def reserve(self, ref: AttemptRef, call: str, most: Estimate, scopes: Sequence[Scope]) -> int | Refusal:
        """Begin a call: hold the most that it can cost, in all scopes or in none. Again for the same call: no change.

        Returns:
            Output tokens that may be used; the refusal when the attempt is over.

        Raises:
            BudgetSpent: a scope has not that much left.
            BudgetHeld: it has not as long as other calls are under way; nothing is held for this one.
            StoreUnavailable: no answer in time.
        """
        args: list[str | int] = [sources(Move.FALTER), ref.job, ref.step, ref.attempt, call]
        args += [most.least, most.most, most.nanousd, most.cost_microusd, most.tokens, most.requests, most.tool_calls]
        for name, budget in scopes:
            limits = (budget.cost_microusd, budget.tokens, budget.requests, budget.tool_calls)
            args += [name, *("" if limit is None else limit for limit in limits)]
        reply = cast("list[str]", await self.store.move(RESERVE, partition_of(ref.job), args))
        if reply[0] == "held":
            raise BudgetHeld("what is left of the budget is held for calls that are under way")
        if reply[0] == "spent":
            raise BudgetSpent(_spent(*reply[1:]))
        return refusal(reply[0]) if reply[0] else int(reply[1])

    async def book(
        self,
        ref: AttemptRef,
        call: str,
        leaf: str,
        usage: Usage,
        entry: JournalEntry | None = None,
        scopes: Sequence[Scope] = (),
        record: str = "",
    ) -> Refusal | None:
        """End a call with what it came to. The usage counts once, also when the attempt is over; the entry does not.

        Args:
            call: As it was reserved; empty for one that was not, whose usage counts with its entry.
            leaf: Agent and model, `search claude-sonnet-5-5`.
            scopes: Of a call that was not reserved.
            record: What the job's trace says of it: JSON of a `CallRecord` without what the store knows; or nothing.

        Raises:
            PayloadTooLarge: the entry has more bytes than are stored; nothing was booked.
            StoreUnavailable: no answer in time; book it again.
        """
        identity, text = entry or ("", "")
        args = [sources(Move.FALTER), ref.job, ref.step, ref.attempt, call, leaf, amounts(usage)]
        args += [identity, _packed(text), " ".join(scope.name for scope in scopes), record]
        status = await self.store.move(BOOK, partition_of(ref.job), args)
        return refusal(str(status)) if status else None

    async def free(self, ref: AttemptRef, call: str, *, unknown: bool = False, record: str = "") -> None:
        """End a call that came to nothing.

        Args:
            unknown: Whether it cost something is not known; the ledger counts it as unanswered.
            record: As for `book`.
        """
        args = [ref.job, ref.step, ref.attempt, call, "1" if unknown else "", record]
        await self.store.move(FREE, partition_of(ref.job), args)

    async def recall(self, job: JobId, step: StepId) -> list[JournalEntry]:
        """A step's journal: what earlier attempts heard and did, in order.

        Raises:
            DamagedRecord: an entry cannot be read.
            StoreUnavailable: no answer in time.
        """
        async with translated(self.store.settings):
            reply = cast(
                "list[str]", await RECALL.run(self.store.redis, [f"{self.store.keys.job(job)}:journal"], [step])
            )
        return [JournalEntry(one, _unpacked(text)) for one, text in zip(reply[::2], reply[1::2], strict=True)]

    async def seed(self, job: JobId, step: StepId, entries: Sequence[JournalEntry]) -> None:
        """Fill a step's journal from a recording, before its job is submitted as a replay. A second time: no change.

        What is not submitted within `SEEDED_FOR` is forgotten.

        Args:
            entries: With ids that are told apart.

        Raises:
            ContractError: the job was submitted before.
            PayloadTooLarge: an entry has more bytes than are stored.
            StoreUnavailable: no answer in time; fill it again.
        """
        for batch in _batches([(entry.id, _packed(entry.text)) for entry in entries]):
            args: list[str | int] = [job, step, int(SEEDED_FOR.total_seconds() * 1000)]
            args += [part for entry in batch for part in entry]
            if await self.store.move(SEED, partition_of(job), args) != 1:
                raise ContractError(f"job {job} was submitted before: what its replay rests on cannot be changed")

    async def rewind(self, ref: AttemptRef, kept: int) -> Refusal | None:
        """Forget all but the first entries of the step's journal."""
        args = [sources(Move.FALTER), ref.job, ref.step, ref.attempt, kept]
        status = await self.store.move(REWIND, partition_of(ref.job), args)
        return refusal(str(status)) if status else None

    async def ledger(self, job: JobId) -> Ledger:
        """What a job has consumed until now. Empty for a job that is not there.

        Raises:
            DamagedRecord: it cannot be read.
            StoreUnavailable: no answer in time.
        """
        async with translated(self.store.settings):
            reply = cast(
                "list[list[str]]", await READ.run(self.store.redis, [f"{self.store.keys.job(job)}:ledger"], [])
            )
        fields = dict(zip(reply[0][::2], reply[0][1::2], strict=True))
        with readable(f"the ledger of job {job}"):
            return read_ledger(fields)


def _batches(entries: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Entries in portions that Redis takes in some milliseconds each."""
    batch: list[tuple[str, str]] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry[1])
        if size > BATCH_CHARS or len(batch) >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_ledger(fields: dict[str, str]) -> Ledger:
    """The ledger as it stands in its hash.

    Raises:
        ValueError: it is damaged.
    """
    lines = [_line(name[2:], value) for name, value in sorted(fields.items()) if name.startswith("u:")]
    return Ledger(
        lines=tuple(lines), unanswered=sum(int(value) for name, value in fields.items() if name.startswith("n:"))
    )


def _line(leaf: str, value: str) -> LedgerLine:
    step, agent, model = leaf.split(" ", 2)
    inputs, outputs, read, written, requests, tool_calls, cost = map(int, value.split())
    usage = Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cache_read_tokens=read,
        cache_write_tokens=written,
        requests=requests,
        tool_calls=tool_calls,
        cost_microusd=cost,
    )
    return LedgerLine(step=StepId(step), agent=agent, model=model, usage=usage)


def _spent(scope: str, what: str, limit: str, left: str) -> str:
    whose = "the job" if scope in {"job", "work"} else f"agent {scope.removeprefix('agent:')!r}"
    kept = " (the rest is kept for writing the answer)" if scope == "work" else ""
    if what == "cost":
        has, rest = f"${int(limit) / 1_000_000:.6g}", f"${int(left) / 1_000_000:.6g}"
    else:
        has, rest = f"{int(limit):,} {WORDS[what].removesuffix('s') if limit == '1' else WORDS[what]}", left
    return f"{whose} may use {has}{kept}; {rest} of it is left, and the next call could take more"


def _packed(text: str) -> str:
    held, apart = pack("an entry of the journal", text)
    return f"{held} {apart}" if apart else held


def _unpacked(stored: str) -> str:
    if not is_apart(stored):
        return stored
    held, _, apart = stored.partition(" ")
    if not apart:
        raise DamagedRecord("an entry of the journal is cut")
    return unpack(held, apart)
