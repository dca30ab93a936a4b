"""What a job did, as a tree of spans: `troupe trace` and the page show it."""

from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, Field, JsonValue

from tasks.ids import JobId
from tasks.results import ErrorReport, UsageReport
from tasks.usage import Usage
from tasks.wire import Wire

UNANSWERED: Final = "unanswered"
"""Code of a model call whose answer nobody got: its worker died, or it was cancelled."""

SPAN: Final = "span"
"""Kind under which a running attempt reports a span of its own; it is kept with the calls, and is no event."""


class SpanKind(StrEnum):
    """What a span is about."""

    JOB = "job"
    STEP = "step"
    """From its first attempt to its end. A delegated one is a child of the attempt that delegated it."""
    ATTEMPT = "attempt"
    PARK = "park"
    """A step waited for children, people or messages, and held no worker."""
    RETRY = "retry"
    """A step waited for its next attempt."""
    MODEL_CALL = "model_call"
    TOOL_CALL = "tool_call"
    CUSTOM = "custom"
    """Something that an agent's own code has named: `StepContext.span`."""


class CallRecord(Wire):
    """One call of an attempt that ended, as it is kept with the job. Texts are excerpts without secrets."""

    step: str
    attempt: int
    at: AwareDatetime
    """When it ended, by Redis' clock."""
    kind: SpanKind
    """MODEL_CALL, TOOL_CALL or CUSTOM."""
    name: str
    """The model, the tool, or what the code has called it."""
    id: str
    """Tells it from others of its attempt; model calls that failed and were made again have one each."""
    duration_ms: float | None = None
    """None: not known, for its worker died."""
    input: str | None = None
    output: str | None = None
    usage: Usage | None = None
    code: str | None = None
    """Error code of one that failed; `unanswered`: nobody got its answer."""
    error: str | None = None
    attributes: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """Of a model call: stop_reason, response_id; of a tool call: tries, call_id; of a custom one: its own."""


class Calls(Wire):
    """The calls of a job, in the order in which they ended."""

    calls: tuple[CallRecord, ...] = ()
    cut: int = 0
    """Calls that came before the first of these and are not kept any more."""


class Span(Wire):
    """One thing that a job did."""

    id: str
    """16 hexadecimal digits; the id of the span that OpenTelemetry gets."""
    parent: str | None
    """None for the job alone."""
    kind: SpanKind
    name: str
    """Short: the step's id, the model, the tool."""
    step: str | None = None
    attempt: int | None = None
    agent: str | None = None
    queue: str | None = None
    worker: str | None = None
    status: str
    """Of jobs and steps: theirs; of an attempt: running, succeeded, failed, lost, returned, parked; of the others: ok,
    error, running."""
    started_at: AwareDatetime | None
    """None: it has not begun, or nobody knows when."""
    ended_at: AwareDatetime | None
    duration_ms: float | None
    input: str | None = None
    """An excerpt; of a step: its description."""
    output: str | None = None
    usage: UsageReport | None = None
    """Its own and that of all below it; of model and tool calls their own."""
    error: ErrorReport | None = None
    links: tuple[str, ...] = ()
    """Spans that it builds on without being their child: the steps that a step depends on."""
    attributes: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class Trace(Wire):
    """What a job did until now."""

    job_id: JobId
    trace_id: str
    """32 hexadecimal digits; in logs and OpenTelemetry too."""
    task: str
    status: str
    made_at: AwareDatetime
    spans: tuple[Span, ...]
    """Parents before their children; siblings by their start."""
    cut: int = 0
    """Calls that were too many to be kept: the oldest ones are gone."""
    unanswered: int = 0
    """Model calls whose answer nobody got."""
