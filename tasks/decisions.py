"""What people decide about what steps ask: for callbacks, and for the wire."""

from dataclasses import dataclass

from pydantic import Field, JsonValue

from tasks.errors import StepFailed
from tasks.models import MAX_DESCRIPTION_CHARS, Wire


@dataclass(frozen=True, slots=True)
class Approve:
    """Let it be done."""

    arguments: JsonValue = None
    """Those that a tool is to be called with in place of its own; of a step its `description` or `input`, or both."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Let it not be done."""

    reason: str = ""
    """Why; its agent is told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question."""

    text: str


Decision = Approve | Deny | Answer


class ApprovalDenied(StepFailed):
    """A person did not let the step begin, or what came back as a person's decision is not genuine."""

    code = "approval_denied"


class ApprovalExpired(StepFailed):
    """Nobody let the step begin in time."""

    code = "approval_expired"


class StepEdit(Wire):
    """What a person may change of a step before it begins."""

    description: str | None = Field(default=None, min_length=1, max_length=MAX_DESCRIPTION_CHARS)
    input: JsonValue = None

    def changes(self) -> dict[str, JsonValue]:
        """Those fields that were given."""
        given = {name: getattr(self, name) for name in sorted(self.model_fields_set)}
        return {name: value for name, value in given.items() if name == "input" or value is not None}
