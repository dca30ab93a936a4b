"""What users import is pinned: names, and that a producer loads nothing that it does not need."""

import inspect
import json
import subprocess
import sys
from types import ModuleType

import pytest

import orchestrator
import tasks.store
import workers
from orchestrator.blocking import DeadList
from orchestrator.consulting import People
from orchestrator.dead import AsyncDeadList
from orchestrator.people import AsyncPeople

PUBLIC: dict[ModuleType, list[str]] = {
    orchestrator: [
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
    ],
    workers: [
        "Agent",
        "AgentMessage",
        "AgentReply",
        "Budget",
        "Mail",
        "RetryPolicy",
        "StepContext",
        "ToolError",
        "current_call",
        "current_step",
        "tool",
    ],
    tasks.store: [
        "AccountStore",
        "AttemptStore",
        "BoardStore",
        "Counted",
        "DeadStore",
        "Endings",
        "Entry",
        "Estimate",
        "EventStore",
        "FleetStore",
        "JobRecord",
        "JobStore",
        "JournalEntry",
        "Made",
        "NewStep",
        "Notice",
        "Outbox",
        "Pruned",
        "Pruning",
        "Refusal",
        "Replan",
        "Reused",
        "Scope",
        "SessionStore",
        "Snapshots",
        "StepRecord",
        "Store",
        "Swept",
        "ToolStats",
        "Turn",
        "Unbooked",
    ],
}
FORBIDDEN = ["workers", "anthropic", "celery", "kombu", "typer", "rich", "duckdb", "tantivy", "fastapi", "uvicorn"]


def loaded_by(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    return set(json.loads(done.stdout))


def public(kind: type) -> list[str]:
    return sorted(name for name in vars(kind) if not name.startswith("_"))


@pytest.mark.parametrize("module", PUBLIC, ids=lambda one: one.__name__)
def test_public_names_are_these(module: ModuleType) -> None:
    assert sorted(module.__all__) == PUBLIC[module]
    assert all(hasattr(module, name) for name in module.__all__)


def test_a_producer_loads_neither_workers_nor_model_sdk_nor_celery_nor_command_line() -> None:
    assert loaded_by("from orchestrator import *") & set(FORBIDDEN) == set()


def test_writing_an_agent_loads_no_model_sdk_and_no_orchestrator() -> None:
    assert loaded_by("from workers import Agent, tool") & {"anthropic", "orchestrator", "duckdb", "tantivy"} == set()


def test_the_check_would_see_a_forbidden_package() -> None:
    assert {"typer", "orchestrator"} <= loaded_by("import orchestrator.cli")


def test_the_handle_of_a_job_can_do_these() -> None:
    methods = [
        *(
            "advance",
            "board",
            "cancel",
            "events",
            "fork",
            "ledger",
            "pause",
            "record",
            "result",
            "resume",
            "retry",
            "snapshot",
            "stand",
            "status",
        ),
        "task_state",
        "trace",
        "wait",
    ]
    inner = ["event_batches", "standing"]  # for the HTTP API
    assert public(orchestrator.AsyncJobHandle) == sorted([*methods, *inner])
    assert public(orchestrator.JobHandle) == sorted([*methods, "id"])


def test_the_client_can_do_these() -> None:
    methods = [
        "agents",
        "close",
        "diff",
        "job",
        "jobs",
        "metrics",
        "orchestrators",
        "people",
        "prune",
        "replay",
        "scale",
        "session",
        "sessions",
        "stats",
        "submit",
        "tools",
        "workers",
    ]
    inner = ["accept", "partition", "share_events", "store"]  # for the HTTP API
    assert public(orchestrator.AsyncTroupe) == sorted([*methods, *inner])
    assert public(orchestrator.Troupe) == sorted([*methods, "dead"])  # there a property, here an attribute


def test_the_list_of_the_dead_can_do_these() -> None:
    assert public(AsyncDeadList) == public(DeadList) == ["drop", "list", "retry", "show"]


def test_people_can_do_these() -> None:
    methods = ["answer", "approve", "asked", "decide", "deny", "list", "watch"]
    assert public(AsyncPeople) == public(People) == methods


@pytest.mark.parametrize("name", ["submit", "replay", "job", "jobs", "session", "sessions", "prune", "stats", "tools"])
def test_the_blocking_client_takes_what_the_other_one_takes(name: str) -> None:
    ours, theirs = getattr(orchestrator.Troupe, name), getattr(orchestrator.AsyncTroupe, name)
    assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters


def test_the_handle_of_a_session_can_do_these() -> None:
    methods = [
        *("append", "delete", "interact", "messages", "run_task_with_state", "save", "send", "state"),
        "update_task_state",
    ]
    assert public(orchestrator.AsyncSessionHandle) == methods
    assert public(orchestrator.SessionHandle) == sorted([*methods, "id"])


def test_submitting_takes_these() -> None:
    assert list(inspect.signature(orchestrator.Troupe.submit).parameters) == [
        "self", "task", "model", "knowledge", "data", "plan", "budget_usd", "budget", "timeout",
        "idempotency_key", "tenant", "priority", "max_in_flight", "max_steps", "replan", "review",
    ]  # fmt: skip


def test_an_agent_takes_these() -> None:
    assert list(inspect.signature(workers.Agent).parameters) == [
        "name", "description", "capabilities", "tools", "mcp", "server_tools", "tool_choice", "instructions", "queue",
        "version", "model", "thinking", "effort", "stream", "output", "max_turns", "budget", "sub_agents", "hand_offs",
        "asks", "messages", "requires_approval",
        "plannable", "run", "retry", "fallback", "timeout", "total_timeout", "queue_timeout", "idle_timeout",
        "prompt_cache",
    ]  # fmt: skip


def test_a_tool_takes_these() -> None:
    assert list(inspect.signature(workers.tool).parameters) == [
        "function", "name", "timeout", "rate_limit", "retries", "max_uses", "concurrency", "idempotent",
        "requires_approval", "approval_expires", "redact", "tags", "max_output_chars",
    ]  # fmt: skip
