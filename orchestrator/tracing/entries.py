"""What agents did, entry by entry; and the entries of a job, from its trace."""

from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, Field, JsonValue

from tasks.trace import Span, SpanKind, Trace
from tasks.wire import Wire


class TraceAction(StrEnum):
    """What an entry tells."""

    START = "start"
    TOOL_CALL = "tool_call"
    DELEGATE = "delegate"
    COMPLETE = "complete"


class AgentTrace(Wire):
    """One entry of a trace."""

    trace_id: str
    agent_name: str
    action: TraceAction
    input: str
    """Of a tool call: the tool. Of a delegation: the agent that it goes to."""
    output: str | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """`tool_input` of a tool call; `depth` of all; `run` of an agent outside a fleet; `status`, `cost_usd`, `step` and
    `span` of a job."""
    timestamp: AwareDatetime
    """UTC."""
    duration_ms: float | None = None


def entries_of(trace: Trace) -> list[AgentTrace]:
    """The entries of a job: a start and an end of each step, its tool calls and what it delegated, by their time."""
    depths: dict[str, int] = {}
    agents = {span.step: span.agent for span in trace.spans if span.kind is SpanKind.STEP}
    spans = {span.id: span for span in trace.spans}
    found: list[AgentTrace] = []
    for span in trace.spans:
        above = depths.get(span.parent or "", -1)
        depths[span.id] = above + (span.kind is SpanKind.STEP)
        agent = span.agent or agents.get(span.step) or ""
        if span.kind is SpanKind.STEP:
            parent = spans.get(span.parent or "")
            if parent is not None and parent.step is not None and span.started_at is not None:
                by = parent.agent or agents.get(parent.step) or ""
                found.append(_entry(trace, span, by, TraceAction.DELEGATE, span.started_at, depths[span.id]))
            found += _ends(trace, span, agent, depths[span.id])
        elif span.kind is SpanKind.TOOL_CALL and (at := span.started_at or span.ended_at) is not None:
            found.append(_entry(trace, span, agent, TraceAction.TOOL_CALL, at, above + 1))
    return sorted(found, key=lambda one: one.timestamp)


def _ends(trace: Trace, span: Span, agent: str, depth: int) -> list[AgentTrace]:
    entries: list[AgentTrace] = []
    if span.started_at is not None:
        entries.append(_entry(trace, span, agent, TraceAction.START, span.started_at, depth))
    if span.ended_at is not None:
        entries.append(_entry(trace, span, agent, TraceAction.COMPLETE, span.ended_at, depth))
    return entries


def _entry(trace: Trace, span: Span, agent: str, action: TraceAction, at: datetime, depth: int) -> AgentTrace:
    facts: dict[str, JsonValue] = {"depth": depth, "span": span.id, "status": span.status}
    facts |= {"step": span.step} if span.step else {}
    facts |= {"cost_usd": span.usage.cost_usd} if span.usage else {}
    facts |= {"error": span.error.code} if span.error else {}
    about, output, took = span.input or "", span.output, span.duration_ms
    match action:
        case TraceAction.START:
            output, took = None, None
        case TraceAction.COMPLETE:
            about = ""
        case TraceAction.DELEGATE:
            about, output, took = span.agent or span.name, None, None
        case TraceAction.TOOL_CALL:
            facts["tool_input"] = about
            about = span.name
    return AgentTrace(
        trace_id=trace.trace_id, agent_name=agent, action=action, input=about, output=output, metadata=facts,
        timestamp=at, duration_ms=took,
    )  # fmt: skip
