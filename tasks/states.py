"""States of jobs and steps, and the one table of legal moves.

Job:   pending ─► in_progress ─► completed | failed | cancelled

Step:  blocked ─► ready ─► dispatched ─► running ─► succeeded
          │         ▲          │           │  │
          ▼         └─ delayed ◄───────────┘  └─► parked ─► ready
       skipped         │
                       └─► failed                 any open state ─► cancelled

       Its job is paused:           dispatched, running ─► ready
       A fallback agent takes over: ready, dispatched, delayed ─► ready
       Retried by hand:             failed ─► ready, and what waited for it ─► blocked

The Lua scripts hold no second copy of this table: each gets the legal sources of its move as an argument.
"""

from enum import StrEnum
from typing import Final


class TaskStatus(StrEnum):
    """Status of a job (and of an agent's session)."""

    PENDING = "pending"
    """Accepted and stored; no plan yet."""
    IN_PROGRESS = "in_progress"
    """Its plan was accepted; steps run."""
    COMPLETED = "completed"
    """An answer was written; `JobResult.missing` says what it lacks."""
    FAILED = "failed"
    """Ended without an answer; `JobResult.error` says why."""
    CANCELLED = "cancelled"
    """Ended because somebody asked for it."""


class StepStatus(StrEnum):
    """Status of a step."""

    BLOCKED = "blocked"
    """Waits for the steps it depends on."""
    READY = "ready"
    """May be dispatched; an entry on the control stream says so."""
    DISPATCHED = "dispatched"
    """A Celery message of its current attempt was or is being published."""
    RUNNING = "running"
    """A worker holds its lease."""
    DELAYED = "delayed"
    """Its last attempt ended without success; waits for the orchestrator's decision or for its due time."""
    PARKED = "parked"
    """Waits for children or for a person; holds no worker."""
    SUCCEEDED = "succeeded"
    """Its result is stored."""
    FAILED = "failed"
    """Given up; its failure is stored."""
    SKIPPED = "skipped"
    """Never run, because what it depends on did not succeed."""
    CANCELLED = "cancelled"
    """Ended with its job."""


class Move(StrEnum):
    """A change of a step's status. Every change anywhere is one of these."""

    UNBLOCK = "unblock"
    """Its dependencies allow it: blocked → ready."""
    DISPATCH = "dispatch"
    """The orchestrator takes the next attempt number: ready → dispatched."""
    REPUBLISH = "republish"
    """The message of the same attempt is published again: dispatched → dispatched."""
    CLAIM = "claim"
    """A worker takes the attempt: dispatched → running."""
    SUCCEED = "succeed"
    """The attempt's result is committed: running → succeeded."""
    FALTER = "falter"
    """The attempt failed; what follows is the orchestrator's decision: running → delayed."""
    LOSE = "lose"
    """The lease ran out or was handed back: running → delayed."""
    POSTPONE = "postpone"
    """A time for the next attempt is set: delayed → delayed."""
    RESUME = "resume"
    """The time has come: delayed → ready."""
    PARK = "park"
    """It waits for children or a person: running → parked."""
    WAKE = "wake"
    """What it waited for has come: parked → ready."""
    HOLD = "hold"
    """Its job was paused; a new attempt begins when it goes on: ready, dispatched or running → ready."""
    GIVE_UP = "give_up"
    """No further attempt: ready, dispatched, delayed or parked → failed."""
    FALL_BACK = "fall_back"
    """Another agent takes it over in place of giving it up: ready, dispatched, delayed or parked → ready."""
    REOPEN = "reopen"
    """It is tried again by hand, after it was given up: failed → ready."""
    RESTORE = "restore"
    """A step that it depends on was reopened: skipped, cancelled, or an ended synthesis → blocked."""
    SKIP = "skip"
    """It can no longer succeed: blocked → skipped."""
    CANCEL = "cancel"
    """Its job ended: any open state → cancelled."""


FINAL_JOB: Final = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
FINAL_STEP: Final = frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED})
OPEN_STEP: Final = frozenset(StepStatus) - FINAL_STEP

MOVES: Final[dict[Move, tuple[frozenset[StepStatus], StepStatus]]] = {
    Move.UNBLOCK: (frozenset({StepStatus.BLOCKED}), StepStatus.READY),
    Move.DISPATCH: (frozenset({StepStatus.READY}), StepStatus.DISPATCHED),
    Move.REPUBLISH: (frozenset({StepStatus.DISPATCHED}), StepStatus.DISPATCHED),
    Move.CLAIM: (frozenset({StepStatus.DISPATCHED}), StepStatus.RUNNING),
    Move.SUCCEED: (frozenset({StepStatus.RUNNING}), StepStatus.SUCCEEDED),
    Move.FALTER: (frozenset({StepStatus.RUNNING}), StepStatus.DELAYED),
    Move.LOSE: (frozenset({StepStatus.RUNNING}), StepStatus.DELAYED),
    Move.POSTPONE: (frozenset({StepStatus.DELAYED}), StepStatus.DELAYED),
    Move.RESUME: (frozenset({StepStatus.DELAYED}), StepStatus.READY),
    Move.PARK: (frozenset({StepStatus.RUNNING}), StepStatus.PARKED),
    Move.WAKE: (frozenset({StepStatus.PARKED}), StepStatus.READY),
    Move.HOLD: (frozenset({StepStatus.READY, StepStatus.DISPATCHED, StepStatus.RUNNING}), StepStatus.READY),
    Move.GIVE_UP: (
        frozenset({StepStatus.READY, StepStatus.DISPATCHED, StepStatus.DELAYED, StepStatus.PARKED}),
        StepStatus.FAILED,
    ),
    Move.FALL_BACK: (
        frozenset({StepStatus.READY, StepStatus.DISPATCHED, StepStatus.DELAYED, StepStatus.PARKED}),
        StepStatus.READY,
    ),
    Move.REOPEN: (frozenset({StepStatus.FAILED}), StepStatus.READY),
    Move.RESTORE: (FINAL_STEP, StepStatus.BLOCKED),
    Move.SKIP: (frozenset({StepStatus.BLOCKED}), StepStatus.SKIPPED),
    Move.CANCEL: (OPEN_STEP, StepStatus.CANCELLED),
}
"""Legal sources and the target of every move."""


def legal(move: Move, source: StepStatus) -> bool:
    """Whether a step in `source` may make `move`."""
    return source in MOVES[move][0]


def sources(move: Move, seen: StepStatus | None = None) -> str:
    """The legal sources as Lua gets them: `|ready|dispatched|`; only the one that was seen, where that is known."""
    allowed = MOVES[move][0] if seen is None else MOVES[move][0] & {seen}
    return "|" + "|".join(sorted(allowed)) + "|"
