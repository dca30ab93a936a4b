"""Counts of tool calls of the whole fleet, in windows of time that end by themselves.

Every count goes into a window of each kind, so that a question about the last hour, day or week reads some two dozen of
the fitting kind. Keys, fields and names are bounded: nothing that a model or a tool makes up lets this grow.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from tasks.errors import ContractError
from tasks.store.failures import translated
from tasks.store.scripts import CALLS_WINDOW, COUNT_CALLS, Arg
from tasks.store.store import Store
from tasks.tool_counts import MAX_CODES, OTHER, ToolCounts

Pair = tuple[str, str]
"""Agent and tool."""

WINDOWS: Final = (
    (timedelta(minutes=5), timedelta(hours=1)),
    (timedelta(hours=1), timedelta(days=1)),
    (timedelta(hours=6), timedelta(days=7)),
)
"""Length of a window, and the longest time that is read from windows of this kind."""
LONGEST: Final = WINDOWS[-1][1]
MAX_PAIRS: Final = 500
"""Pairs of agent and tool that are told apart in a window."""
REMEMBERED: Final = timedelta(minutes=10)
"""How long a batch that was added is known, in case it is sent again."""


@dataclass(slots=True)
class Counted:
    """What was counted in a time."""

    since: datetime
    until: datetime
    pairs: dict[Pair, ToolCounts] = field(default_factory=dict[Pair, ToolCounts])


class ToolStats:
    """The fleet's counts."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def add(self, counter: str, number: int, counts: Mapping[Pair, ToolCounts]) -> bool:
        """Add a batch, in one round trip.

        Args:
            counter: Who has counted, a name of its own for each process.
            number: Of the batch, from 1 and growing: a second call with the same one changes nothing.

        Returns:
            False when it was there before.

        Raises:
            StoreUnavailable: no answer in time; whether it was added is then not known: send it again as it is.
        """
        args: list[Arg] = [counter, number, _ms(REMEMBERED), MAX_PAIRS, MAX_CODES, OTHER, len(WINDOWS)]
        for length, longest in WINDOWS:
            args += [_seconds(length), _ms(longest + 2 * length)]
        for (agent, tool), one in sorted(counts.items()):
            fields = list(_fields(one))
            args += [f"{agent}:{tool}", len(fields), *(part for pair in fields for part in pair)]
        async with translated(self.store.settings):
            return bool(await COUNT_CALLS.run(self.store.redis, [self.store.keys.calls()], args))

    async def read(self, since: timedelta) -> Counted:
        """What was counted since then, and in the rest of the window that this begins in: a twelfth more at most.

        Raises:
            ContractError: not above 0, or more than 7 days.
            StoreUnavailable: no answer in time.
        """
        if not timedelta(0) < since <= LONGEST:
            raise ContractError(f"since: it must be above 0 and at most {LONGEST.days} days, not {since}")
        length = next(length for length, longest in WINDOWS if since <= longest)
        now, last, fields = await self._window(length)
        first = (now - int(since.total_seconds())) // _seconds(length)
        found = Counted(_time(first * _seconds(length)), _time(now))
        _take(found.pairs, fields)
        for number in range(first, last):
            _take(found.pairs, (await self._window(length, number))[2])
        return found

    async def _window(self, length: timedelta, number: int | None = None) -> tuple[int, int, list[str]]:
        args = [_seconds(length), "" if number is None else number]
        async with translated(self.store.settings):
            reply = await CALLS_WINDOW.run(self.store.redis, [self.store.keys.calls()], args)
        now, at, fields = cast("tuple[int, str, list[str]]", reply)
        return now, int(at), fields


def _fields(counts: ToolCounts) -> Iterator[tuple[str, int]]:
    """What to add; the number of calls first, and always: the script knows a pair by it."""
    yield "n", counts.calls
    rest = {"k": counts.succeeded, "c": counts.cut, "r": counts.ran, "u": counts.total_us}
    rest |= {f"b:{bucket}": count for bucket, count in sorted(counts.buckets.items())}
    rest |= {f"e:{code}": count for code, count in sorted(counts.errors.items())}
    yield from ((name, count) for name, count in rest.items() if count)


def _take(pairs: dict[Pair, ToolCounts], flat: list[str]) -> None:
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        agent, _, rest = name.partition(":")
        tool, _, what = rest.partition(":")
        if what and what != "codes":
            _count(pairs.setdefault((agent, tool), ToolCounts()), what, int(value))


def _count(counts: ToolCounts, what: str, value: int) -> None:
    kind, _, name = what.partition(":")
    match kind:
        case "n":
            counts.calls += value
        case "k":
            counts.succeeded += value
        case "c":
            counts.cut += value
        case "r":
            counts.ran += value
        case "u":
            counts.total_us += value
        case "b":
            counts.buckets[int(name)] += value
        case "e":
            counts.errors[name] += value
        case _:  # of a later release
            pass


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())


def _ms(length: timedelta) -> int:
    return int(length / timedelta(milliseconds=1))


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
