"""Processes of the fleet, as they announce themselves."""

from tasks.ids import WorkerName
from tasks.models import AgentDefinition, Name
from tasks.wire import Wire


class WorkerPresence(Wire):
    """One worker process, as announced with a TTL."""

    name: WorkerName
    pid: int
    host: str
    queues: tuple[Name, ...]
    agents: tuple[AgentDefinition, ...]
    concurrency: int
    running: int = 0
    """Attempts in flight when it was announced."""
    model: str
    version: str
    """Release of Troupe."""


class MetricsPresence(Wire):
    """Where a process serves its figures for Prometheus, as announced with a TTL.

    Apart from its other announcement: a release that does not know a field of that would not see the process at all.
    """

    name: WorkerName
    role: str
    """`worker` or `orchestrator`."""
    host: str
    """The machine."""
    address: str
    """`127.0.0.1:9464`: where it listens, or the machine's name where it listens everywhere."""


class OrchestratorPresence(Wire):
    """One orchestrator process, as announced with a TTL."""

    name: WorkerName
    pid: int
    host: str
    partitions: int
    version: str
    """Release of Troupe."""
