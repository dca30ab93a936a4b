"""How long somebody has been missing, as far as one replica has seen. Pure: the time is passed in."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Absences:
    """Remembers since when queues are without a worker.

    A step's own waiting time says nothing about that: where many steps wait for one busy worker, all of them would
    fail in the seconds in which it is restarted.
    """

    forget_s: float
    """Two looks that lie further apart say nothing about the time between them."""
    _seen: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def look(self, queue: str, *, living: bool, now: float) -> float:
        """Take note of a look at a queue.

        Returns:
            Seconds that nobody has listened on it; 0 when somebody does, or when this is the first look.
        """
        if living:
            self._seen.pop(queue, None)
            return 0.0
        since, last = self._seen.get(queue, (now, now))
        if now - last > self.forget_s:
            since = now
        self._seen[queue] = since, now
        return now - since


@dataclass(slots=True)
class Patience:
    """Remembers since when given plans wait for agents that nobody has announced."""

    most_s: float
    _since: dict[str, float] = field(default_factory=dict[str, float])

    def waits(self, plan: str, now: float) -> bool:
        """Whether to look at it again later; False once it has waited for `most_s`."""
        self._since = {one: since for one, since in self._since.items() if now - since < 2 * self.most_s}
        return now - self._since.setdefault(plan, now) < self.most_s
