"""What a recording says of one step as a whole: the first entry of a replayed step's journal."""

from typing import Final, Literal

from tasks.models import Failure, Name, Source, StepResult
from tasks.states import StepStatus
from tasks.store.accounts import JournalEntry
from tasks.wire import Wire

RECORDED: Final = "r"
"""Id of that entry."""


class Recorded(Wire):
    """How a step ended when it was recorded."""

    kind: Literal["recorded"] = "recorded"
    agent: Name
    """Who did it in the end."""
    status: StepStatus
    failure: Failure | None = None
    """Why it failed: it fails so again."""
    found: StepResult | None = None
    """What it had found before it failed."""
    sources: tuple[Source, ...] = ()
    """What its result cites, where it may have come from steps that end later in a replay."""

    @property
    def entry(self) -> JournalEntry:
        """It as it stands in a journal."""
        return JournalEntry(RECORDED, self.model_dump_json())
