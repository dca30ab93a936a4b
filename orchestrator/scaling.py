"""How many workers a queue wants. Pure: no clock, no memory; whoever acts on it smooths it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tasks.errors import ContractError
from tasks.figures import Durations, QueueFigures
from tasks.presence import WorkerPresence
from tasks.queues import BUILT_IN
from tasks.wire import Wire

USUAL_SLOTS: Final = 50
"""Of a worker, where none is alive that says how many it has: the default of TROUPE_CONCURRENCY."""
MEASURED: Final = timedelta(minutes=30)
"""How far back the mean duration of a queue's attempts is taken from."""


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """One queue, as it is now."""

    queue: str
    ready: int = 0
    dispatched: int = 0
    running: int = 0
    oldest_s: float = 0.0
    """Age of the step that has waited for longest, ready or dispatched."""
    workers: int = 0
    slots: int = 0
    """Attempts that these workers can do at once, all together."""
    attempt_s: float | None = None
    """Mean duration of an attempt; None: not known, taken for long."""
    limit: int | None = None
    """Steps in flight that the queue is allowed (TROUPE_QUEUE_LIMITS): more workers would have nothing to do."""

    @property
    def waiting(self) -> int:
        """Steps that wait for a worker."""
        return self.ready + self.dispatched


@dataclass(frozen=True, slots=True)
class ScaleBounds:
    """What may be wanted."""

    least: int = 0
    """Workers of a queue that has nothing to do."""
    most: int = 100
    slots: int | None = None
    """Of one worker; None: as many as the living ones have."""
    within: timedelta = timedelta(seconds=10)
    """So soon a step that waits should begin."""

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most or self.most < 1:
            raise ContractError(f"workers: at least {self.least} and at most {self.most} cannot be")
        if self.slots is not None and self.slots < 1:
            raise ContractError(f"slots: {self.slots} is too few")
        if self.within <= timedelta(0):
            raise ContractError(f"within: {self.within} is no time")


USUAL_BOUNDS: Final = ScaleBounds()


class Scale(Wire):
    """How many workers one queue wants, and why."""

    queue: str
    ready: int
    dispatched: int
    running: int
    oldest_ready_s: float
    """Age of the step that has waited for longest for a worker, ready or dispatched; 0 when none waits."""
    workers: int
    """Alive now."""
    slots: int
    """Of one worker."""
    wanted: int
    reason: str


def scale(load: QueueLoad, bounds: ScaleBounds) -> Scale:
    """The workers that a queue wants.

    Each running attempt needs a slot: that is what the queue takes now. Of the steps that wait, one slot can begin
    `within / duration` in the time that they may wait, at least one. Where the oldest has waited for longer than that,
    the figure was too good: it is taken for as much smaller as the wait is longer. So

        slots  = running + waiting / max(1, within / duration * min(1, within / oldest))
        wanted = slots / slots of a worker, rounded up, from least to most, and not 0 while there are steps.

    It never falls when a count or an age rises.
    """
    within_s = bounds.within.total_seconds()
    each = bounds.slots or (max(load.slots // load.workers, 1) if load.workers else USUAL_SLOTS)
    begun = 1.0
    if load.attempt_s is not None:
        late = min(1.0, within_s / load.oldest_s) if load.oldest_s > 0 else 1.0
        begun = max(1.0, within_s / max(load.attempt_s, 0.001) * late)
    needed = load.running + math.ceil(load.waiting / begun)
    allowed = needed if load.limit is None else min(needed, max(load.limit, load.running))
    wanted = min(max(math.ceil(allowed / each), bounds.least), bounds.most)
    if load.waiting + load.running:
        wanted = max(wanted, 1)
    return Scale(
        queue=load.queue,
        ready=load.ready,
        dispatched=load.dispatched,
        running=load.running,
        oldest_ready_s=round(load.oldest_s, 3),
        workers=load.workers,
        slots=each,
        wanted=wanted,
        reason=_reason(load, begun, needed, allowed, wanted, each),
    )


def _reason(load: QueueLoad, begun: float, needed: int, allowed: int, wanted: int, each: int) -> str:
    if not load.waiting + load.running:
        return f"nothing to do: at least {wanted}" if wanted else "nothing to do"
    parts = [f"{load.running} running, {load.waiting} waiting"]
    if load.waiting:
        parts.append(f"a slot can begin {begun:.3g} of these in time" if begun > 1 else "each of these needs a slot")
    if allowed < needed:
        parts.append(f"no more than {allowed} are let in (TROUPE_QUEUE_LIMITS)")
    full = max(math.ceil(allowed / each), 1)
    if wanted < full:
        parts.append(f"{full} workers would do, {wanted} are the most")
    elif wanted > full:
        parts.append(f"{full} workers would do, {wanted} are the least")
    return "; ".join(parts)


def loads(
    queues: Iterable[QueueFigures],
    workers: Sequence[WorkerPresence],
    running: Mapping[tuple[str, str], Durations],
    now: datetime,
    limits: Mapping[str, int] | None = None,
) -> list[QueueLoad]:
    """The load of every queue that has steps or workers, by name.

    Args:
        running: (agent, outcome) → how long attempts took of late.
        now: By the clock that the queues' times are of.
        limits: Steps in flight that queues are allowed.
    """
    found = {one.queue: one for one in queues}
    listened = {queue for worker in workers for queue in worker.queues}
    means = _means(workers, running)
    return [
        _load(queue, found.get(queue), workers, means.get(queue), now, (limits or {}).get(queue))
        for queue in sorted(listened | set(found))
    ]


def _load(
    queue: str,
    figures: QueueFigures | None,
    workers: Sequence[WorkerPresence],
    mean_s: float | None,
    now: datetime,
    limit: int | None,
) -> QueueLoad:
    own = [worker for worker in workers if queue in worker.queues]
    figures = figures or QueueFigures(
        queue=queue, ready=0, dispatched=0, running=0, oldest_ready=None, oldest_dispatched=None
    )
    since = [at for at in (figures.oldest_ready, figures.oldest_dispatched) if at is not None]
    return QueueLoad(
        queue=queue,
        ready=figures.ready,
        dispatched=figures.dispatched,
        running=figures.running,
        oldest_s=max((now - min(since)).total_seconds(), 0.0) if since else 0.0,
        workers=len(own),
        slots=sum(worker.concurrency for worker in own),
        attempt_s=mean_s,
        limit=limit,
    )


def _means(workers: Sequence[WorkerPresence], running: Mapping[tuple[str, str], Durations]) -> dict[str, float]:
    """Queue → mean seconds of an attempt of its agents."""
    queue_of = {agent.name: agent.queue for agent in BUILT_IN}
    queue_of |= {agent.name: agent.queue for worker in workers for agent in worker.agents}
    totals: dict[str, Durations] = {}
    for (agent, _), one in running.items():
        total = totals.setdefault(queue_of.get(agent, agent), Durations())
        total.count += one.count
        total.buckets.update(one.buckets)
    return {queue: one.total_ms / one.count / 1000 for queue, one in totals.items() if one.count}
