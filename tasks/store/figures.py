"""What the fleet has counted: totals, windows of time, and how its queues stand. See lua/figures.lua.

Fields of the totals, `<kind> <name>`; times are a count in each bucket of tasks/histogram.py:

| kind | name | |
| --- | --- | --- |
| `j` | submitted or final status | jobs |
| `jt:<bucket>` | | from submit to the end |
| `tj:<status>` | tenant | jobs |
| `s` | `<status> <agent>` | steps that ended |
| `a:<bucket>` | `<outcome> <agent>` | attempts, from the claim to their end |
| `o:<bucket>` | queue | from ready to dispatched |
| `p:<bucket>` | queue | from dispatched to claimed |
| `r` | queue | retries |
| `x` | queue | messages that came twice or too late |
| `b` | what a budget limits | calls that were not allowed |
| `n` | lost, late | model calls without an answer, and those of them whose answer came after all |
| `u:<place>` | `<agent> <model>` | usage: `_USAGE` in its order |
| `t:<place>` | tenant | the same |
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from tasks.errors import ContractError
from tasks.figures import Durations, FleetFigures, QueueFigures
from tasks.store.failures import translated
from tasks.store.reading import readable
from tasks.store.scripts import QUEUES, TOTALS
from tasks.store.store import Store
from tasks.usage import Usage

STRETCHES: Final = (
    (timedelta(minutes=5), timedelta(hours=1)),
    (timedelta(hours=1), timedelta(days=1)),
    (timedelta(hours=6), timedelta(days=7)),
)
"""Length of a stretch whose beginning is kept, and the longest window that begins with one of this kind."""
LONGEST: Final = STRETCHES[-1][1]

_USAGE: Final = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "requests", "tool_calls"),
    "cost_microusd",
)
Fields = dict[str, int]


class FigureStore:
    """Reads what the fleet has counted."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def totals(self) -> FleetFigures:
        """All that was counted since the store is there. No number ever becomes smaller, but for `unanswered`.

        Raises:
            StoreUnavailable: no answer in time.
            DamagedRecord: it cannot be read.
        """
        return await self._read(None, 0)

    async def window(self, since: timedelta) -> FleetFigures:
        """What was counted since then, and in the rest of the stretch that this begins in: a twelfth more up to an
        hour, a whole hour up to a day, six hours up to a week.

        Raises:
            ContractError: not above 0, or more than 7 days.
            StoreUnavailable: no answer in time.
            DamagedRecord: it cannot be read.
        """
        if not timedelta(0) < since <= LONGEST:
            raise ContractError(f"since: it must be above 0 and at most {LONGEST.days} days, not {since}")
        length = next(length for length, longest in STRETCHES if since <= longest)
        return await self._read(length, -(-since // length))

    async def queues(self) -> list[QueueFigures]:
        """Every queue that has steps or workers, by name.

        Raises:
            StoreUnavailable: no answer in time.
        """
        found: dict[str, list[QueueFigures]] = {}
        for partition in range(self.store.settings.partitions):
            keys = self.store.keys
            async with translated(self.store.settings):
                reply = await QUEUES.run(self.store.redis, [keys.load(partition)], [keys.jobs(partition)])
            rows = cast("list[str]", reply)
            for at in range(0, len(rows), 6):
                one = _queue(rows[at : at + 6])
                found.setdefault(one.queue, []).append(one)
        return [_together(found[name]) for name in sorted(found)]

    async def _read(self, length: timedelta | None, back: int) -> FleetFigures:
        seconds = "" if length is None else int(length.total_seconds())
        fields: Counter[str] = Counter()
        now, first = 0, 0
        for partition in range(self.store.settings.partitions):
            async with translated(self.store.settings):
                reply = await TOTALS.run(self.store.redis, [self.store.keys.totals(partition)], [seconds, back])
            now, first, later, before = cast("tuple[int, int, list[str], list[str]]", reply)
            with readable("what the fleet has counted"):
                fields.update(dict(_pairs(later)))
                fields.subtract(dict(_pairs(before)))
        since = None if length is None else datetime.fromtimestamp(first, UTC)
        return _figures(fields, since, datetime.fromtimestamp(now, UTC))


def _pairs(flat: list[str]) -> Iterator[tuple[str, int]]:
    return ((name, int(value)) for name, value in zip(flat[::2], flat[1::2], strict=True) if name != "@")


def _figures(fields: Counter[str], since: datetime | None, until: datetime) -> FleetFigures:
    found = FleetFigures(since, until)
    for field, value in fields.items():
        kind, _, name = field.partition(" ")
        letter, _, part = kind.partition(":")
        take = _TAKE.get(letter)
        if value and take is not None:  # others are of a later release
            take(found, part, name, value)
    return found


def _pair(name: str) -> tuple[str, str]:
    """`<first> <agent>` as (agent, first); names that were too many are all `(other)`."""
    first, _, agent = name.partition(" ")
    return (agent, first) if agent else (name, name)


def _bucket(times: Durations, part: str, value: int) -> None:
    times.count += value
    times.buckets[int(part)] += value


def _spent(usages: dict[str, Usage], key: str, part: str, value: int) -> None:
    usages[key] = usages.get(key, Usage()) + Usage.model_validate({_USAGE[int(part) - 1]: value})


def _attempts(found: FleetFigures, part: str, name: str, value: int) -> None:
    _bucket(found.running.setdefault(_pair(name), Durations()), part, value)
    found.attempts[_pair(name)] += value


def _of_leaf(found: FleetFigures, part: str, name: str, value: int) -> None:
    agent, _, model = name.partition(" ")
    key = (agent, model or agent)
    found.usage[key] = found.usage.get(key, Usage()) + Usage.model_validate({_USAGE[int(part) - 1]: value})


def _unanswered(found: FleetFigures, _part: str, name: str, value: int) -> None:
    found.unanswered += value if name == "lost" else -value


def _counter(pick: Callable[[FleetFigures], Counter[str]]) -> "_Take":
    def take(found: FleetFigures, _part: str, name: str, value: int) -> None:
        pick(found)[name] += value

    return take


def _steps(found: FleetFigures, _part: str, name: str, value: int) -> None:
    found.steps[_pair(name)] += value


def _tenant_jobs(found: FleetFigures, part: str, name: str, value: int) -> None:
    found.tenant_jobs[name, part] += value


_Take = Callable[[FleetFigures, str, str, int], None]
_TAKE: Final[dict[str, _Take]] = {
    "j": _counter(lambda found: found.jobs),
    "jt": lambda found, part, _name, value: _bucket(found.job_times, part, value),
    "tj": _tenant_jobs,
    "s": _steps,
    "a": _attempts,
    "o": lambda found, part, name, value: _bucket(found.dispatch.setdefault(name, Durations()), part, value),
    "p": lambda found, part, name, value: _bucket(found.pickup.setdefault(name, Durations()), part, value),
    "r": _counter(lambda found: found.retries),
    "x": _counter(lambda found: found.dropped),
    "b": _counter(lambda found: found.refused),
    "n": _unanswered,
    "u": _of_leaf,
    "t": lambda found, part, name, value: _spent(found.tenants, name, part, value),
}


def _queue(row: list[str]) -> QueueFigures:
    name, ready, dispatched, running, oldest_ready, oldest_dispatched = row
    return QueueFigures(
        queue=name,
        ready=int(ready),
        dispatched=int(dispatched),
        running=int(running),
        oldest_ready=_time(oldest_ready),
        oldest_dispatched=_time(oldest_dispatched),
    )


def _time(text: str) -> datetime | None:
    return datetime.fromtimestamp(float(text) / 1000, UTC) if text else None


def _together(parts: list[QueueFigures]) -> QueueFigures:
    """One queue in all partitions."""
    return QueueFigures(
        queue=parts[0].queue,
        ready=sum(one.ready for one in parts),
        dispatched=sum(one.dispatched for one in parts),
        running=sum(one.running for one in parts),
        oldest_ready=min((one.oldest_ready for one in parts if one.oldest_ready), default=None),
        oldest_dispatched=min((one.oldest_dispatched for one in parts if one.oldest_dispatched), default=None),
    )
