"""The deciding side and the producer's door. `from orchestrator import Troupe` is all that a producer needs.

Importing this loads neither workers nor a model SDK nor Celery; each name is loaded with its first use, so that the
command line hears Ctrl-C from its first moment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orchestrator.blocking import JobHandle, Troupe
    from orchestrator.client import AsyncJobHandle, AsyncTroupe
    from orchestrator.recording import Recording
    from tasks.errors import JobCancelled, JobFailed, ResultTimeout, TroupeError
    from tasks.results import JobResult
    from tasks.usage import Budget

__all__ = [
    "AsyncJobHandle",
    "AsyncTroupe",
    "Budget",
    "JobCancelled",
    "JobFailed",
    "JobHandle",
    "JobResult",
    "Recording",
    "ResultTimeout",
    "Troupe",
    "TroupeError",
]

_PLACES: Final = {
    "orchestrator.blocking": ("JobHandle", "Troupe"),
    "orchestrator.client": ("AsyncJobHandle", "AsyncTroupe"),
    "orchestrator.recording": ("Recording",),
    "tasks.errors": ("JobCancelled", "JobFailed", "ResultTimeout", "TroupeError"),
    "tasks.results": ("JobResult",),
    "tasks.usage": ("Budget",),
}


def __getattr__(name: str) -> object:
    for place, names in _PLACES.items():
        if name in names:
            found: object = getattr(import_module(place), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
