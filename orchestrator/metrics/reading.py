"""What the store knows of the whole fleet now."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.scaling import USUAL_BOUNDS, loads, scale
from tasks.figures import Durations, FleetFigures, QueueFigures
from tasks.presence import WorkerPresence
from tasks.queues import BUILT_IN, QUEUES, of_version


@dataclass(frozen=True, slots=True)
class FleetReading:
    """The fleet, as one look found it."""

    totals: FleetFigures
    queues: Sequence[QueueFigures]
    workers: Sequence[WorkerPresence]
    orchestrators: int
    recent: Mapping[tuple[str, str], Durations] = field(default_factory=dict[tuple[str, str], Durations])
    """(agent, outcome) → how long attempts took of late."""
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """Steps in flight that queues are allowed."""

    @property
    def wanted(self) -> dict[str, int]:
        """How many workers each queue wants: the answer of `troupe scale`. A queue with nothing to do wants none."""
        found = loads(self.queues, self.workers, self.recent, self.totals.until, self.limits)
        return dict.fromkeys(self.names, 0) | {one.queue: scale(one, USUAL_BOUNDS).wanted for one in found}

    @property
    def names(self) -> list[str]:
        """All queues: of steps that there are, of living workers, and of the built-in agents."""
        listened = {queue for worker in self.workers for queue in worker.queues}
        return sorted({*QUEUES, *listened, *(one.queue for one in self.queues)})

    @property
    def agents(self) -> list[str]:
        """Agents that are built in, or of living workers."""
        offered = {agent.name for worker in self.workers for agent in worker.agents}
        return sorted({*(agent.name for agent in BUILT_IN), *offered})

    @property
    def messages_in(self) -> dict[str, list[str]]:
        """Queue → the broker's queues that its messages may be in: one for each version of its agents too."""
        found = {name: {name} for name in self.names}
        for agent in (agent for worker in self.workers for agent in worker.agents):
            found.setdefault(agent.queue, {agent.queue}).add(of_version(agent.queue, agent.version))
        return {name: sorted(routed) for name, routed in sorted(found.items())}


def workers_of(workers: Iterable[WorkerPresence]) -> tuple[Counter[str], Counter[str]]:
    """Living workers of each queue, and their slots; one that listens on several counts for each in full."""
    count, slots = Counter[str](), Counter[str]()
    for worker in workers:
        for queue in worker.queues:
            count[queue] += 1
            slots[queue] += worker.concurrency
    return count, slots
