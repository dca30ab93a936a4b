"""What is kept of a conversation that outlives its jobs. AgentState is a working copy: change it and save it.

A saved state that somebody else has changed since it was loaded is refused (`StateConflict`). Messages and tool calls
are only ever added, one by one and atomically, so writers never have to load the state for that.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from tasks.ids import JobId
from tasks.models import SessionName, StepKind
from tasks.results import JobResult
from tasks.states import StepStatus, TaskStatus
from tasks.wire import Wire

Role = Literal["user", "assistant", "system"]
Block = dict[str, JsonValue]
TASK: Final = "task"
"""Where a TaskState stands in the task state of a session."""


class Policy(StrEnum):
    """What becomes of a message that comes while an earlier one of the session is being answered."""

    REJECT = "reject"
    """It is refused with `SessionBusy`; nothing is changed."""
    QUEUE = "queue"
    """It is answered after those before it."""
    INTERRUPT = "interrupt"
    """What is being answered, or waits, is cancelled; its messages stay."""
    ROLLBACK = "rollback"
    """What is being answered, or waits, is cancelled, and its messages are taken back."""


def _now() -> datetime:
    return datetime.now(UTC)


def _as_blocks(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class Message(Wire):
    """One message of a conversation."""

    role: Role
    content: Annotated[tuple[Block, ...], BeforeValidator(_as_blocks)]
    """Content blocks as the Messages API has them, kept whole; a text stands for one text block."""
    timestamp: AwareDatetime = Field(default_factory=_now)
    """When it was added, by Redis' clock once it is stored."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    seq: int | None = None
    """Its number in the session, from 1; None: not stored yet."""
    job: JobId | None = None
    """Job that it asks for, or that it is the answer of."""

    @property
    def text(self) -> str:
        """All its text."""
        return "\n\n".join(str(block["text"]) for block in self.content if block.get("type") == "text")


class SessionCall(Wire):
    """A tool call that is remembered with a session."""

    tool_name: str
    input: JsonValue = None
    output: JsonValue = None
    duration_ms: float = 0.0
    success: bool = True
    error: str | None = None
    timestamp: AwareDatetime = Field(default_factory=_now)
    seq: int | None = None
    """Its number in the session, from 1; None: not stored yet."""


class TaskState(Wire):
    """How far a task with several steps has come."""

    task_id: str
    """The job."""
    description: str
    steps: tuple[str, ...]
    """What its steps of work do, in order; those that a step delegates are part of it."""
    completed_steps: tuple[int, ...]
    """Places in `steps` of those that succeeded."""
    current_step: int
    """Place of the first one that has not ended; the number of steps when all have."""
    results: dict[int, str]
    """What those that succeeded found, by their place."""
    status: TaskStatus
    paused: bool
    """Whether it stands still until it is told to go on."""

    @classmethod
    def of(cls, result: JobResult) -> "TaskState":
        """The state of a job's task."""
        work = [step for step in result.steps if step.kind is StepKind.WORK and step.parent is None]
        good = [at for at, step in enumerate(work) if step.status is StepStatus.SUCCEEDED]
        return cls(
            task_id=result.job_id,
            description=result.task,
            steps=tuple(step.description for step in work),
            completed_steps=tuple(good),
            current_step=next((at for at, step in enumerate(work) if step.finished_at is None), len(work)),
            results={at: step.result.text for at in good if (step := work[at]).result is not None},
            status=result.status,
            paused=result.paused,
        )


class SessionSummary(Wire):
    """One line of a list of sessions."""

    session_id: SessionName
    agent_name: str
    status: TaskStatus
    messages: int
    """Messages said so far, those that were dropped or taken back included."""
    running: JobId | None
    """Job whose turn it is."""
    waiting: int
    """Requests that wait for their turn."""
    created_at: AwareDatetime
    updated_at: AwareDatetime


class AgentState(BaseModel):
    """State of one session, loaded: change it, then save it."""

    model_config = ConfigDict(extra="forbid")

    session_id: SessionName
    agent_name: str = "troupe"
    messages: list[Message] = Field(default_factory=list[Message])
    """The newest ones that were asked for, oldest first. Stored ones cannot be changed, only added to."""
    tool_calls: list[SessionCall] = Field(default_factory=list[SessionCall])
    task_state: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    metadata: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    status: TaskStatus = TaskStatus.PENDING
    """`in_progress` while it is being answered, then how that ended."""
    running: JobId | None = None
    """Job whose turn it is."""
    waiting: tuple[JobId, ...] = ()
    """Jobs that wait for their turn, in order."""
    version: int = 0
    """Number of changes; a save with an old one is refused."""
    created_at: AwareDatetime = Field(default_factory=_now)
    updated_at: AwareDatetime = Field(default_factory=_now)

    def add_message(self, role: Role, content: str | Sequence[Block], **metadata: JsonValue) -> None:
        """Add a message; it is stored with the next save."""
        self.messages.append(Message.model_validate({"role": role, "content": content, "metadata": metadata}))

    def add_tool_call(self, call: SessionCall) -> None:
        """Add a tool call; it is stored with the next save."""
        self.tool_calls.append(call)

    @property
    def conversation_history(self) -> list[dict[str, Any]]:
        """As `get_conversation_history`."""
        return self.get_conversation_history()

    def get_conversation_history(self) -> list[dict[str, Any]]:
        """The messages in the form of the Messages API, without those of the system."""
        spoken = [one for one in self.messages if one.role != "system"]
        return [{"role": one.role, "content": [dict(block) for block in one.content]} for one in spoken]
