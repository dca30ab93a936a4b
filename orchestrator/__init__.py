"""The deciding side and the producer's door. `from orchestrator import Troupe` is all that a producer needs.

Importing this loads neither workers nor a model SDK nor Celery.
"""

from orchestrator.blocking import JobHandle, Troupe
from orchestrator.client import AsyncJobHandle, AsyncTroupe
from tasks.errors import JobCancelled, JobFailed, ResultTimeout, TroupeError
from tasks.results import JobResult

__all__ = [
    "AsyncJobHandle",
    "AsyncTroupe",
    "JobCancelled",
    "JobFailed",
    "JobHandle",
    "JobResult",
    "ResultTimeout",
    "Troupe",
    "TroupeError",
]
