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


class OrchestratorPresence(Wire):
    """One orchestrator process, as announced with a TTL."""

    name: WorkerName
    pid: int
    host: str
    partitions: int
    version: str
    """Release of Troupe."""
