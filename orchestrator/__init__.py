"""The deciding side and the producer's door. `from orchestrator import Troupe` is all that a producer needs.

Importing this loads neither workers nor a model SDK nor Celery; each name is loaded with its first use, so that the
command line hears Ctrl-C from its first moment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orchestrator.blocking import JobHandle, SessionHandle, Troupe
    from orchestrator.client import AsyncTroupe
    from orchestrator.handle import AsyncJobHandle
    from orchestrator.recording import Recording
    from orchestrator.sessions import AgentStateManager, AsyncSessionHandle, StatefulAgent, StateStore
    from orchestrator.tracing.entries import AgentTrace
    from orchestrator.tracing.graph import ExecutionGraph
    from orchestrator.tracing.tracer import AgentTracer, generate_execution_graph
    from orchestrator.travel import JobDiff, diff
    from tasks.board import AgentMessage, Board
    from tasks.errors import JobCancelled, JobFailed, ResultTimeout, SessionBusy, StateConflict, TroupeError
    from tasks.patterns.calls import chain, debate, orchestrate, parallel, refine, route, supervise, vote, work
    from tasks.patterns.compile import plan_of
    from tasks.results import JobResult
    from tasks.sessions import AgentState, Message, Policy, TaskState
    from tasks.trace import Trace
    from tasks.usage import Budget

__all__ = [
    "AgentMessage",
    "AgentState",
    "AgentStateManager",
    "AgentTrace",
    "AgentTracer",
    "AsyncJobHandle",
    "AsyncSessionHandle",
    "AsyncTroupe",
    "Board",
    "Budget",
    "ExecutionGraph",
    "JobCancelled",
    "JobDiff",
    "JobFailed",
    "JobHandle",
    "JobResult",
    "Message",
    "Policy",
    "Recording",
    "ResultTimeout",
    "SessionBusy",
    "SessionHandle",
    "StateConflict",
    "StateStore",
    "StatefulAgent",
    "TaskState",
    "Trace",
    "Troupe",
    "TroupeError",
    "chain",
    "debate",
    "diff",
    "generate_execution_graph",
    "orchestrate",
    "parallel",
    "plan_of",
    "refine",
    "route",
    "supervise",
    "vote",
    "work",
]

_PLACES: Final = {
    "orchestrator.tracing.entries": ("AgentTrace",),
    "orchestrator.tracing.graph": ("ExecutionGraph",),
    "orchestrator.tracing.tracer": ("AgentTracer", "generate_execution_graph"),
    "tasks.board": ("AgentMessage", "Board"),
    "orchestrator.blocking": ("JobHandle", "SessionHandle", "Troupe"),
    "orchestrator.client": ("AsyncTroupe",),
    "orchestrator.handle": ("AsyncJobHandle",),
    "orchestrator.recording": ("Recording",),
    "orchestrator.sessions": ("AgentStateManager", "AsyncSessionHandle", "StatefulAgent", "StateStore"),
    "orchestrator.travel": ("JobDiff", "diff"),
    "tasks.errors": ("JobCancelled", "JobFailed", "ResultTimeout", "SessionBusy", "StateConflict", "TroupeError"),
    "tasks.patterns.calls": (
        "chain",
        "debate",
        "orchestrate",
        "parallel",
        "refine",
        "route",
        "supervise",
        "vote",
        "work",
    ),
    "tasks.patterns.compile": ("plan_of",),
    "tasks.results": ("JobResult",),
    "tasks.sessions": ("AgentState", "Message", "Policy", "TaskState"),
    "tasks.trace": ("Trace",),
    "tasks.usage": ("Budget",),
}


def __getattr__(name: str) -> object:
    for place, names in _PLACES.items():
        if name in names:
            found: object = getattr(import_module(place), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
