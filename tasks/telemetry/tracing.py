"""Spans with identifiers that every process computes alike, so that a job's tree needs nobody to carry its context.

Also the decision whether a job is recorded is computed: by asking the sampler for the job's own span, which one process
makes at the end. Samplers that decide by chance would decide differently in each process; none of OpenTelemetry's does.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from tasks.ids import JobId
from tasks.telemetry import conventions as names
from tasks.telemetry.conventions import Attributes
from tasks.telemetry.propagation import SAMPLED, Remote, read_traceparent
from tasks.trace_ids import trace_id_of

_WANTED: Final[ContextVar[tuple[str, str] | None]] = ContextVar("troupe_wanted_span", default=None)


class DerivedIds(RandomIdGenerator):
    """Gives the identifiers that are wanted here; where none are, as to spans of other libraries, random ones."""

    def generate_trace_id(self) -> int:
        """See `IdGenerator`."""
        wanted = _WANTED.get()
        return super().generate_trace_id() if wanted is None else int(wanted[0], 16)

    def generate_span_id(self) -> int:
        """See `IdGenerator`."""
        wanted = _WANTED.get()
        return super().generate_span_id() if wanted is None else int(wanted[1], 16)

    def is_trace_id_random(self) -> bool:
        """See `IdGenerator`."""
        return _WANTED.get() is None


@contextmanager
def _wanting(trace: str, span: str) -> Generator[None]:
    token = _WANTED.set((trace, span))
    try:
        yield
    finally:
        _WANTED.reset(token)


@dataclass(frozen=True, slots=True)
class JobTrace:
    """The trace of one job."""

    id: str
    producer: Remote | None
    """What its producer was in."""
    sampled: bool

    def span(self, span: str) -> SpanContext:
        """A span of it that another process made, or will make."""
        flags = TraceFlags(SAMPLED if self.sampled else 0)
        return SpanContext(int(self.id, 16), int(span, 16), is_remote=True, trace_flags=flags)

    def below(self, span: str) -> Context:
        """Where children of that span are made."""
        return set_span_in_context(NonRecordingSpan(self.span(span)), Context())

    def top(self) -> Context:
        """Where the job's own span is made: below its producer's, or nowhere."""
        return _below_producer(self.producer)


class Tracing:
    """Makes the spans of a process."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer(names.SCOPE, version("troupe"))
        if isinstance(self.tracer, Tracer):  # ours alone: a provider that others have set keeps its own identifiers
            self.tracer.id_generator = DerivedIds()

    def job(self, job: JobId, traceparent: str | None) -> JobTrace:
        """The trace of a job, and whether it is recorded."""
        trace, producer = trace_id_of(job, traceparent), read_traceparent(traceparent)
        asked = self.provider.sampler.should_sample(
            _below_producer(producer), int(trace, 16), workflow_name(), SpanKind.INTERNAL, workflow_attributes(), ()
        )
        return JobTrace(trace, producer, asked.decision.is_sampled())

    def start(
        self,
        trace: JobTrace,
        span: str,
        name: str,
        parent: Context,
        attributes: Attributes,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[str] = (),
        at_ns: int | None = None,
    ) -> Span:
        """A span of a job that begins; whoever starts it ends it.

        Args:
            span: Its identifier.
            links: Identifiers of spans of the same job that it builds on.
            at_ns: When it began, since 1970; now unless given.
        """
        with _wanting(trace.id, span):
            return self.tracer.start_span(
                name,
                parent,
                kind,
                attributes,
                [Link(trace.span(link)) for link in links],
                start_time=at_ns,
                record_exception=False,
                set_status_on_exception=False,
            )


def fail(span: Span, code: str) -> None:
    """Mark a span as failed, in no more words than the code: messages may hold what was said."""
    span.set_attribute(names.ERROR, code)
    span.set_status(Status(StatusCode.ERROR))


def workflow_name() -> str:
    """Name of the span of every job."""
    return f"{names.INVOKE_WORKFLOW} {names.WORKFLOW}"


def workflow_attributes() -> dict[str, names.Value]:
    """What samplers see of a job: the same in every process, for each asks for itself."""
    return {names.OPERATION: names.INVOKE_WORKFLOW, names.WORKFLOW_NAME: names.WORKFLOW}


def _below_producer(producer: Remote | None) -> Context:
    if producer is None:
        return Context()
    flags = TraceFlags(producer.flags)
    there = SpanContext(int(producer.trace, 16), int(producer.span, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(there), Context())
