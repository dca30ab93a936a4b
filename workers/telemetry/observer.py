"""Makes OpenTelemetry's spans and metrics of what a worker does. The Anthropic SDK's own spans are off: one call, one
span, whichever model answers."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, SpanKind, get_current_span, use_span

from tasks import trace
from tasks.ids import AttemptRef
from tasks.store import Refusal
from tasks.telemetry import conventions as names
from tasks.telemetry.conventions import Value, sum_attributes
from tasks.telemetry.setup import Telemetry
from tasks.telemetry.tracing import JobTrace, fail
from tasks.trace_ids import span_id_of
from workers.agents.registry import AgentRegistry
from workers.spans import AttemptSpan, CallSpan
from workers.telemetry import naming
from workers.telemetry.content import reply_content, request_content, tool_content

ELSEWHERE: Final = frozenset(
    {f"{how}: {why}" for how in ("stopped", "refused") for why in (Refusal.OVER, Refusal.SUPERSEDED)}
)
"""Outcomes of attempts whose lease was lost: an orchestrator tells of them, and a span is not to come twice."""
NO_ERRORS: Final = frozenset({"succeeded", "parked", "stopped"})
"""Beginnings of outcomes that are no failures."""


class Clock:
    """When something began, and how long it took: of a span and of its metric the same."""

    def __init__(self) -> None:
        self.begun_ns = time.time_ns()
        self.seconds = 0.0
        self._begun = time.perf_counter_ns()

    def end(self, span: Span) -> None:
        """End a span now."""
        took = time.perf_counter_ns() - self._begun
        self.seconds = took / 1e9
        span.end(self.begun_ns + took)


End = Callable[[Span, CallSpan, Clock], None]


class TelemetryObserver:
    """Tells OpenTelemetry of attempts and calls. Nothing here waits: spans go to a queue, metrics into memory."""

    def __init__(self, telemetry: Telemetry, agents: AgentRegistry, worker: str, model: str) -> None:
        """Observe one process.

        Args:
            model: Model of agents that name none, in jobs that name none.
        """
        self.tracing = telemetry.tracing
        self.instruments = telemetry.instruments
        self.content = telemetry.content
        self.agents = agents
        self.worker = worker
        self.model = model
        self.running: dict[AttemptRef, JobTrace] = {}

    @contextmanager
    def attempt(self, span: AttemptSpan) -> Generator[None]:
        """See `Observer.attempt`."""
        claim, clock = span.claim, Clock()
        job = self.running[span.ref] = self.tracing.job(claim.job.id, claim.job.traceparent)
        agent = self.agents.get(claim.step.agent) if claim.step.agent in self.agents else None
        is_code = agent is not None and agent.run is not None
        model = None if is_code else (agent.model if agent else None) or claim.job.model or self.model
        made = self.tracing.start(
            job,
            naming.attempt_id(claim),
            f"{naming.operation_of(claim.step.kind)} {claim.step.agent}",
            job.below(naming.parent_id(claim)),
            naming.attempt_attributes(claim, agent, model, self.worker),
            links=naming.link_ids(claim),
            at_ns=clock.begun_ns,
        )
        try:
            with _inside(made):
                yield
        finally:
            del self.running[span.ref]
            if span.outcome not in ELSEWHERE:
                self._end_attempt(made, span, model, clock)

    def _end_attempt(self, made: Span, span: AttemptSpan, model: str | None, clock: Clock) -> None:
        outcome = span.outcome.partition(":")[0]
        made.set_attributes({names.OUTCOME: outcome, **sum_attributes(span.usage)})
        about: dict[str, Value] = {names.AGENT: span.claim.step.agent}
        if model is not None:
            about[names.REQUEST_MODEL] = naming.model_id(model)
        if outcome not in NO_ERRORS:
            about[names.ERROR] = code = span.failure.code if span.failure is not None else outcome
            fail(made, code)
        clock.end(made)
        self.instruments.agents.record(clock.seconds, about)

    @contextmanager
    def call(self, span: CallSpan) -> Generator[None]:
        """See `Observer.call`."""
        clock = Clock()
        made, end = self._begun(span, clock)
        with _inside(made):
            yield
        end(made, span, clock)

    def _begun(self, span: CallSpan, clock: Clock) -> tuple[Span, End]:
        claim = span.claim
        end: End
        if span.kind is trace.SpanKind.MODEL_CALL and span.request is not None:
            name, kind, end = f"{names.CHAT} {naming.model_id(span.name)}", SpanKind.CLIENT, self._end_chat
            attributes = naming.request_attributes(span.request, claim)
        elif span.kind is trace.SpanKind.TOOL_CALL:
            name, kind, end = f"{names.EXECUTE_TOOL} {span.name}", SpanKind.INTERNAL, self._end_tool
            attributes = naming.tool_attributes(span.name, span.id, claim.step.agent)
        else:
            name, kind, end = span.name, SpanKind.INTERNAL, self._end_other
            attributes: dict[str, Value] = {names.AGENT: claim.step.agent}
        job = self.running.get(span.ref) or self.tracing.job(claim.job.id, claim.job.traceparent)
        own = span_id_of(claim.job.id, claim.step.id, str(claim.attempt), span.id)
        parent = _here(job) or job.below(naming.attempt_id(claim))
        return self.tracing.start(job, own, name, parent, attributes, kind=kind, at_ns=clock.begun_ns), end

    def _end_chat(self, made: Span, span: CallSpan, clock: Clock) -> None:
        about: dict[str, Value] = {
            names.OPERATION: names.CHAT,
            names.PROVIDER: naming.provider_of(span.name),
            names.REQUEST_MODEL: naming.model_id(span.name),
            names.AGENT: span.claim.step.agent,
        }
        if span.reply is not None:
            made.set_attributes(naming.reply_attributes(span.reply))
            about[names.RESPONSE_MODEL] = span.reply.model
            if span.reply.usage.tokens:  # rules count none
                self.instruments.count_tokens(span.reply.usage, about)
        if self.content and made.is_recording() and span.request is not None:
            made.set_attributes(request_content(span.request))
            made.set_attributes(reply_content(span.reply) if span.reply is not None else {})
        if span.code is not None:
            about[names.ERROR] = span.code
            fail(made, span.code)
        clock.end(made)
        self.instruments.calls.record(clock.seconds, about)

    def _end_tool(self, made: Span, span: CallSpan, clock: Clock) -> None:
        call = span.tool_call
        if call is None:
            return  # its step was parked in it: it is made again, and told of then. A span without an end is not sent
        name = naming.tool_name(call)
        about: dict[str, Value] = {names.TOOL: name, names.TOOL_TYPE: "function", names.AGENT: span.claim.step.agent}
        if name != call.tool:
            made.update_name(f"{names.EXECUTE_TOOL} {name}")
        made.set_attributes({names.TOOL: name, names.TRIES: call.tries})
        if self.content and made.is_recording():
            made.set_attributes(tool_content(call))
        if not call.success:
            about[names.ERROR] = code = call.code or names.OTHER
            fail(made, code)
        clock.end(made)
        self.instruments.tools.record(clock.seconds, about)

    def _end_other(self, made: Span, span: CallSpan, clock: Clock) -> None:
        if span.code is not None:
            fail(made, span.code)
        clock.end(made)


@contextmanager
def _inside(span: Span) -> Generator[None]:
    """What is done here is done within the span: other libraries' spans become its children."""
    with use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
        yield


def _here(job: JobTrace) -> Context | None:
    """Where the code runs, if that is within the job's trace: in an attempt, a tool call, or another library's span."""
    here = get_current_span().get_span_context()
    return get_current() if here.is_valid and f"{here.trace_id:032x}" == job.id else None
