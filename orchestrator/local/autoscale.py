"""As many local workers of each queue as the queue wants: more at once, fewer after a quiet time."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from orchestrator.scaling import Scale, ScaleBounds
from tasks.errors import ContractError, TroupeError
from tasks.library_log import LibraryLog

log = LibraryLog("troupe.autoscale")

QUIET: Final = timedelta(seconds=10)
"""How long a queue must have wanted fewer workers before one goes; then one after the other."""
LOOK: Final = timedelta(seconds=1)
RANGE: Final = re.compile(r"([0-9]{1,3}):([0-9]{1,3})")
MOST: Final = 64


class Pool(Protocol):
    """Workers that can be started and ended."""

    def alive(self, queue: str) -> int:
        """Workers of a queue, without those that are about to end."""
        ...

    def add(self, queue: str) -> None:
        """Start one."""
        ...

    def retire(self, queue: str) -> None:
        """Let one end what it does, and go."""
        ...


def parse_range(text: str, *, slots: int | None = None) -> ScaleBounds:
    """`MIN:MAX` workers of each queue.

    Raises:
        ContractError: it is none; a queue without any worker has no agent that could be planned for.
    """
    match = RANGE.fullmatch(text.strip())
    least, most = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= least <= most <= MOST:
        raise ContractError(f"--autoscale: {text!r} is no MIN:MAX of workers, from 1:1 to {MOST}:{MOST}, as 1:4")
    return ScaleBounds(least=least, most=most, slots=slots)


@dataclass(slots=True)
class Autoscale:
    """Follows what queues want. Use it in one thread."""

    pool: Pool
    queues: tuple[str, ...]
    read: Callable[[], Iterable[Scale]]
    """What all queues want now; may raise TroupeError."""
    say: Callable[[str], None] = lambda _: None
    """Told of each change, in words."""
    clock: Callable[[], float] = time.monotonic
    _looked: float = float("-inf")
    _fewer_since: dict[str, float] = field(default_factory=dict[str, float])

    def look(self) -> None:
        """Act on what is wanted, if it is time to."""
        now = self.clock()
        if now < self._looked + LOOK.total_seconds():
            return
        self._looked = now
        try:
            wanted = {one.queue: one for one in self.read()}
        except TroupeError as error:  # nothing is known: all stay as they are
            log.warning("autoscale_waits", reason=str(error))
            return
        for queue in self.queues:
            if queue in wanted:
                self._follow(wanted[queue], now)

    def _follow(self, scale: Scale, now: float) -> None:
        queue, alive = scale.queue, self.pool.alive(scale.queue)
        if scale.wanted >= alive:
            self._fewer_since.pop(queue, None)
        if scale.wanted > alive:
            log.info("workers_added", queue=queue, workers=alive, wanted=scale.wanted, reason=scale.reason)
            self.say(f"{queue}: {alive} → {scale.wanted} workers ({scale.reason})")
            for _ in range(scale.wanted - alive):
                self.pool.add(queue)
        elif scale.wanted < alive and now >= self._fewer_since.setdefault(queue, now) + QUIET.total_seconds():
            log.info("worker_retired", queue=queue, workers=alive, wanted=scale.wanted, reason=scale.reason)
            self.say(f"{queue}: {alive} → {alive - 1} workers ({scale.reason})")
            self.pool.retire(queue)
            self._fewer_since[queue] = now - QUIET.total_seconds() + LOOK.total_seconds()
