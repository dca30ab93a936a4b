"""A trace as a graph: its steps, what they depend on and what they delegated, with status, time and cost."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, JsonValue

from orchestrator.tracing.wording import tokens_of
from tasks.models import StepKind
from tasks.results import ErrorReport
from tasks.trace import Span, SpanKind, Trace
from tasks.wire import Wire

FAMILIES: Final = {
    "succeeded": "good", "completed": "good", "ok": "good",
    "failed": "bad", "lost": "bad", "error": "bad",
    "running": "busy", "in_progress": "busy", "dispatched": "busy",
    "delayed": "waits", "parked": "waits", "returned": "waits", "ready": "waits",
    "skipped": "off", "cancelled": "off",
}  # fmt: skip


def family(status: str) -> str:
    """Which of six colours a status has: good, bad, busy, waits, off; `still` for what has not begun."""
    return FAMILIES.get(status, "still")


class EdgeKind(StrEnum):
    """Why one node comes before another."""

    DEPENDS = "depends"
    """The second one builds on the first one's result."""
    PLANS = "plans"
    """The first one planned the second one, which depends on nothing."""
    DELEGATES = "delegates"
    """The first one had the second one done."""
    CALLS = "calls"
    """The first one is an agent, the second one a tool that it called."""


class GraphNode(Wire):
    """A step; or, of code outside a fleet, an agent's run or a tool call."""

    id: str
    label: str
    kind: str
    """plan, work or synthesis; agent or tool_call."""
    agent: str | None = None
    status: str
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    duration_ms: float | None = None
    cost_usd: float = 0.0
    tokens: int = 0
    attempts: int = 0
    error: ErrorReport | None = None
    span: str | None = None
    """The span that tells more."""


class GraphEdge(Wire):
    """An arrow from one node to another."""

    source: str
    target: str
    kind: EdgeKind


class ExecutionGraph(Wire):
    """What came before what in a job."""

    nodes: tuple[GraphNode, ...]
    """In the order of the trace: by their start."""
    edges: tuple[GraphEdge, ...]
    """From and to nodes of the graph only."""

    @classmethod
    def of(cls, trace: Trace) -> "ExecutionGraph":
        """The graph of a trace's steps."""
        steps = {span.id: span for span in trace.spans if span.kind is SpanKind.STEP}
        spans = {span.id: span for span in trace.spans}
        attempts = Counter(span.step for span in trace.spans if span.kind is SpanKind.ATTEMPT)
        edges = [*_plans(steps, trace), *_dependencies(steps), *_delegations(steps, spans)]
        return cls(nodes=tuple(_node(span, attempts[span.step]) for span in steps.values()), edges=tuple(edges))

    def as_dict(self) -> dict[str, list[dict[str, JsonValue]]]:
        """`{"nodes": […], "edges": […]}` for drawing tools: edges have `from`, `to` and `label`."""
        return {
            "nodes": [
                {**node.model_dump(mode="json"), "timestamp": _iso(node.started_at or node.ended_at)}
                for node in self.nodes
            ],
            "edges": [{"from": edge.source, "to": edge.target, "label": edge.kind.value} for edge in self.edges],
        }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def _node(span: Span, attempts: int) -> GraphNode:
    usage = span.usage
    kind = span.attributes.get("kind")
    return GraphNode(
        id=span.name,
        label=f"{span.name}\n{span.agent}" if span.agent and span.agent != span.name else span.name,
        kind=kind if isinstance(kind, str) else span.kind.value,
        agent=span.agent,
        status=span.status,
        started_at=span.started_at,
        ended_at=span.ended_at,
        duration_ms=span.duration_ms,
        cost_usd=usage.cost_usd if usage else 0.0,
        tokens=tokens_of(usage),
        attempts=attempts,
        error=span.error,
        span=span.id,
    )


def _plans(steps: dict[str, Span], trace: Trace) -> Iterable[GraphEdge]:
    """From the last plan that had ended when a step began, to those that depend on nothing else."""
    job = trace.spans[0].id
    plans = [span for span in steps.values() if span.attributes.get("kind") == StepKind.PLAN and span.ended_at]
    for span in steps.values():
        if any(link in steps for link in span.links) or span.parent != job:
            continue
        begun = span.started_at or span.ended_at
        before = [one for one in plans if one is not span and (begun is None or _end(one) <= begun)]
        if before:
            yield GraphEdge(source=max(before, key=_end).name, target=span.name, kind=EdgeKind.PLANS)


def _end(span: Span) -> datetime:
    return span.ended_at or datetime.max.replace(tzinfo=UTC)


def _dependencies(steps: dict[str, Span]) -> Iterable[GraphEdge]:
    for span in steps.values():
        for link in span.links:
            if link in steps:
                yield GraphEdge(source=steps[link].name, target=span.name, kind=EdgeKind.DEPENDS)


def _delegations(steps: dict[str, Span], spans: dict[str, Span]) -> Iterable[GraphEdge]:
    for span in steps.values():
        above = spans.get(span.parent or "")
        if above is not None and above.step is not None:
            yield GraphEdge(source=above.step, target=span.name, kind=EdgeKind.DELEGATES)
