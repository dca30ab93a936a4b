"""What a job's event stream says. Sequence numbers start at 1 and have no gaps; a reader resumes after any of them.

Readers outlive releases: fields that they do not know are left out, kinds that they do not know are `OtherEvent`s. So a
later release may add both; where it changes what is there, it raises `v`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, cast, get_args

from pydantic import (
    AwareDatetime,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    model_validator,
)

from tasks.ids import JobId
from tasks.models import Failure
from tasks.states import FINAL_JOB, TaskStatus
from tasks.usage import Usage
from tasks.wire import Wire

FORM: Final = 1
"""Newest form of events that this release reads; raised by one that takes a field away or gives it another meaning."""


class BaseEvent(Wire):
    """What all events carry."""

    job_id: JobId
    seq: int
    at: AwareDatetime
    """Redis' clock when it was written."""
    v: int = FORM
    """Form of the event."""


class JobSubmitted(BaseEvent):
    """The job was accepted."""

    type: Literal["job_submitted"] = "job_submitted"


class JobForked(BaseEvent):
    """The job is a fork: it has results of another one from its beginning."""

    type: Literal["job_forked"] = "job_forked"
    source: JobId
    step: str
    """The first one that is done anew."""
    steps: tuple[str, ...]
    """Those whose results were taken over."""


class PlanAccepted(BaseEvent):
    """The plan was checked and its steps were written."""

    type: Literal["plan_accepted"] = "plan_accepted"
    steps: tuple[str, ...]
    rationale: str = ""


class PlanRejected(BaseEvent):
    """The plan may not run; a repair round follows unless the job fails."""

    type: Literal["plan_rejected"] = "plan_rejected"
    faults: tuple[str, ...]


class PlanExtended(BaseEvent):
    """The plan came to its end without all results: a step was added that plans again, before the answer is written."""

    type: Literal["plan_extended"] = "plan_extended"
    step: str
    lacking: tuple[str, ...] = ()
    """Steps that have no result."""


class StepDispatched(BaseEvent):
    """A Celery message for this attempt is being published."""

    type: Literal["step_dispatched"] = "step_dispatched"
    step: str
    attempt: int


class StepStarted(BaseEvent):
    """A worker claimed the attempt."""

    type: Literal["step_started"] = "step_started"
    step: str
    attempt: int
    worker: str


class StepSucceeded(BaseEvent):
    """The step's result is stored."""

    type: Literal["step_succeeded"] = "step_succeeded"
    step: str
    attempt: int
    usage: Usage


class StepFaltered(BaseEvent):
    """An attempt ended without success; the orchestrator decides what follows."""

    type: Literal["step_faltered"] = "step_faltered"
    step: str
    attempt: int
    failure: Failure


class StepParked(BaseEvent):
    """It waits for other steps or for people, and holds no worker."""

    type: Literal["step_parked"] = "step_parked"
    step: str
    attempt: int
    waits_for: tuple[str, ...]
    """Kinds: children, approval, question, hand_off, message."""


class StepWoken(BaseEvent):
    """What it waited for has come, or has expired."""

    type: Literal["step_woken"] = "step_woken"
    step: str


class ChildrenAccepted(BaseEvent):
    """Steps that a parked step wants done were checked and written."""

    type: Literal["children_accepted"] = "children_accepted"
    step: str
    steps: tuple[str, ...]


class StepHandedOver(BaseEvent):
    """Another agent goes on with its conversation."""

    type: Literal["step_handed_over"] = "step_handed_over"
    step: str
    agent: str
    """Agent that has handed it over."""
    to: str
    reason: str


class StepRetrying(BaseEvent):
    """Another attempt follows after the delay."""

    type: Literal["step_retrying"] = "step_retrying"
    step: str
    attempt: int
    """The attempt that ended."""
    delay_ms: int


class StepFellBack(BaseEvent):
    """It would have been given up; another agent takes it over."""

    type: Literal["step_fell_back"] = "step_fell_back"
    step: str
    attempt: int
    """The attempt that ended, or was never claimed."""
    agent: str
    """Agent that has given it up."""
    fallback: str
    """Agent that takes it over."""
    failure: Failure


class StepFailed(BaseEvent):
    """No further attempt follows, unless somebody retries it by hand."""

    type: Literal["step_failed"] = "step_failed"
    step: str
    failure: Failure


class StepSkipped(BaseEvent):
    """It can no longer succeed, because what it depends on did not."""

    type: Literal["step_skipped"] = "step_skipped"
    step: str


class StepCancelled(BaseEvent):
    """It ended with its job."""

    type: Literal["step_cancelled"] = "step_cancelled"
    step: str


class ToolCalled(BaseEvent):
    """An agent's tool call ended."""

    type: Literal["tool_called"] = "tool_called"
    step: str
    attempt: int
    tool: str
    success: bool
    duration_ms: int
    code: str | None = None
    """Error code of a call that did not succeed."""


class StepProgress(BaseEvent):
    """A line that a running agent wants people to see."""

    type: Literal["step_progress"] = "step_progress"
    step: str
    attempt: int
    message: str


class MessagePosted(BaseEvent):
    """A step has said something to others of its job."""

    type: Literal["message_posted"] = "message_posted"
    step: str
    attempt: int
    number: int
    """Its place among all messages of the job, from 1."""
    to: str | None = None
    """Agent or step that it is for; None: all."""
    text: str
    """Its beginning, without secrets."""


class TextDelta(BaseEvent):
    """What a model is writing, while it writes: for people to watch, not to build on.

    Written only for agents that say so, at most ten a second. Text of an answer that is refused, cut or repaired later
    was shown all the same; the step's result is what counts.
    """

    type: Literal["text_delta"] = "text_delta"
    step: str
    attempt: int
    turn: int
    """Model call of the attempt, from 1, that wrote the last piece; a higher one begins a new text."""
    text: str
    """What came since the event before."""


class JobPaused(BaseEvent):
    """Nothing of the job begins until it is told to go on."""

    type: Literal["job_paused"] = "job_paused"
    by: Literal["steps", "request"] = "steps"
    """As many steps of work have begun as were asked for; or somebody asked for it, and what ran was stopped."""
    steps: tuple[str, ...] = ()
    """Steps that were stopped, or that wait."""


class JobContinued(BaseEvent):
    """The job may begin further steps."""

    type: Literal["job_continued"] = "job_continued"
    steps: int | None = None
    """How many more; None: all."""


class JobReopened(BaseEvent):
    """Steps that had been given up are tried again by hand; the job goes on, with a new deadline."""

    type: Literal["job_reopened"] = "job_reopened"
    status: TaskStatus
    steps: tuple[str, ...]


class JobFinished(BaseEvent):
    """The job is final; its last event, unless it is reopened."""

    type: Literal["job_finished"] = "job_finished"
    status: TaskStatus
    failure: Failure | None = None


class EventsTrimmed(BaseEvent):
    """Events that are not there any more: only so many are kept (`TROUPE_EVENTS_MAX`).

    Never stored: the reader makes it, in place of what is missing. `seq` is the last one that is; `at` is the time of
    the next one that is there, or of now.
    """

    type: Literal["events_trimmed"] = "events_trimmed"
    first: int
    """Number of the first one that is missing."""


class OtherEvent(BaseEvent):
    """An event of a kind or a form that only a later release knows."""

    type: str
    step: str | None = None
    attempt: int | None = None
    data: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """All that it says beside these."""

    @model_validator(mode="wrap")
    @classmethod
    def _gather(cls, content: Any, handler: ModelWrapValidatorHandler["OtherEvent"]) -> "OtherEvent":
        if not isinstance(content, Mapping):
            return handler(content)
        fields = dict(cast("Mapping[str, Any]", content))
        rest = {name: fields.pop(name) for name in list(fields) if name not in cls.model_fields}
        return handler({**fields, "data": {**fields.get("data", {}), **rest}})


KnownEvent = Annotated[
    JobSubmitted
    | JobForked
    | PlanAccepted
    | PlanRejected
    | PlanExtended
    | StepDispatched
    | StepStarted
    | StepSucceeded
    | StepFaltered
    | StepParked
    | StepWoken
    | ChildrenAccepted
    | StepHandedOver
    | StepRetrying
    | StepFellBack
    | StepFailed
    | StepSkipped
    | StepCancelled
    | ToolCalled
    | StepProgress
    | MessagePosted
    | TextDelta
    | JobPaused
    | JobContinued
    | JobReopened
    | JobFinished
    | EventsTrimmed,
    Field(discriminator="type"),
]
"""An event of this release, told apart by `type`."""

KNOWN: TypeAdapter[KnownEvent] = TypeAdapter(KnownEvent)
KINDS: Final = frozenset(str(kind.model_fields["type"].default) for kind in get_args(get_args(KnownEvent)[0]))


def _read(content: Any, handler: object) -> KnownEvent | OtherEvent:
    """Read an event of this release or of a later one."""
    if not isinstance(content, Mapping):
        return content if isinstance(content, OtherEvent) else KNOWN.validate_python(content)
    fields = cast("Mapping[str, Any]", content)
    kind, form = fields.get("type"), fields.get("v", FORM)
    if isinstance(kind, str) and (kind not in KINDS or (isinstance(form, int) and form > FORM)):
        return OtherEvent.model_validate(fields)
    try:
        return KNOWN.validate_python(fields, extra="ignore")
    except ValidationError as error:
        if {fault["type"] for fault in error.errors(include_url=False)} <= {"literal_error", "enum"}:
            return OtherEvent.model_validate(fields)  # a status, say, that came later
        raise


JobEvent = Annotated[KnownEvent | OtherEvent, WrapValidator(_read)]
"""Any event of a job."""

EVENT: TypeAdapter[JobEvent] = TypeAdapter(JobEvent)
"""Reads an event, as from a line of `troupe watch --json`."""


def missing_before(event: JobEvent, seen: int) -> EventsTrimmed | None:
    """What is said in place of the events between the one numbered `seen` and this one; None: there are none."""
    if event.seq <= seen + 1:
        return None
    return EventsTrimmed(job_id=event.job_id, seq=event.seq - 1, at=event.at, first=seen + 1)


def ends_job(event: JobEvent) -> bool:
    """Whether no event follows this one, unless the job is reopened."""
    return isinstance(event, JobFinished) and event.status in FINAL_JOB
