"""The shared state in Redis: one door for those who decide, one for those who do."""

from tasks.store.accounts import AccountStore, Estimate, JournalEntry, Scope
from tasks.store.attempts import AttemptStore, Refusal, Unbooked
from tasks.store.board import BoardStore
from tasks.store.dead import DeadStore
from tasks.store.endings import Endings
from tasks.store.events import EventStore
from tasks.store.fleet import FleetStore
from tasks.store.jobs import JobStore, Made, Replan, Swept
from tasks.store.outbox import Entry, Notice, Outbox
from tasks.store.pruning import Pruned, Pruning
from tasks.store.sessions import SessionStore, Turn
from tasks.store.snapshot import JobRecord, Snapshots, StepRecord
from tasks.store.store import Store
from tasks.store.tool_stats import Counted, ToolStats
from tasks.store.writing import NewStep, Reused

__all__ = [
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
]
