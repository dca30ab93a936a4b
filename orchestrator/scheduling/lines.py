"""What log lines say of the entry that is being acted on."""

from contextlib import AbstractContextManager
from typing import Final

import structlog

from tasks.errors import IncompatibleVersion
from tasks.store import Entry, StepRecord

log = structlog.get_logger("orchestrator")

MAX_REASON_CHARS: Final = 2000


def about(entry: Entry) -> AbstractContextManager[None]:
    """Bind job, step and attempt to every line that is written within."""
    return structlog.contextvars.bound_contextvars(
        **{name: value for name, value in entry.ref._asdict().items() if value}
    )


def whose(record: StepRecord | None) -> StepRecord | None:
    """Bind the step's agent to every further line; gives the step."""
    if record is not None:
        structlog.contextvars.bind_contextvars(agent=record.step.agent)
    return record


def leave(entry: Entry, error: IncompatibleVersion) -> None:
    """Let an entry stay, for a replica of the release that can read it. Without one its job ends with its deadline."""
    log.warning("entry_of_later_release", notice=entry.notice, reason=str(error)[:MAX_REASON_CHARS])
