"""Spans while a trace is being put together: a tree that knows what each node consumed itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import JsonValue

from tasks.results import ErrorReport, UsageReport
from tasks.trace import Span, SpanKind
from tasks.usage import Usage

MILLISECOND: Final = timedelta(milliseconds=1)
RUNNING: Final = "running"


@dataclass(slots=True)
class Node:
    """A span to be, with those below it."""

    id: str
    kind: SpanKind
    name: str
    status: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: float | None = None
    """Where it was measured; else it follows from the times."""
    used: Usage | None = None
    """What it consumed itself, without what it delegated."""
    step: str | None = None
    attempt: int | None = None
    agent: str | None = None
    queue: str | None = None
    worker: str | None = None
    input: str | None = None
    output: str | None = None
    error: ErrorReport | None = None
    links: tuple[str, ...] = ()
    attributes: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    children: "list[Node]" = field(default_factory=list["Node"])

    def total(self) -> Usage | None:
        """What it consumed, with all below it. What an attempt's calls consumed is a part of what the attempt did."""
        delegated = self.delegated()
        if self.used is None:
            return delegated
        return self.used if delegated is None else self.used + delegated

    def delegated(self) -> Usage | None:
        """What steps below it consumed; None: there are none."""
        sums = [one.total() if one.kind is SpanKind.STEP else one.delegated() for one in self.children]
        known = [one for one in sums if one is not None]
        return sum(known[1:], known[0]) if known else None


def spans_of(root: Node, now: datetime) -> tuple[Span, ...]:
    """The spans of a tree: parents before their children, siblings by their start."""
    return tuple(_flat(root, None, now))


def _flat(node: Node, parent: str | None, now: datetime) -> Iterator[Span]:
    yield _span(node, parent, now)
    for child in sorted(node.children, key=_by_start):
        yield from _flat(child, node.id, now)


def _by_start(node: Node) -> tuple[bool, float]:
    at = node.started_at or node.ended_at
    return at is None, at.timestamp() if at is not None else 0.0


def _span(node: Node, parent: str | None, now: datetime) -> Span:
    total = node.total()
    values: dict[str, Any] = {
        "id": node.id, "parent": parent, "kind": node.kind, "name": node.name, "step": node.step,
        "attempt": node.attempt, "agent": node.agent, "queue": node.queue, "worker": node.worker,
        "status": node.status, "started_at": node.started_at, "ended_at": node.ended_at,
        "duration_ms": _duration(node, now), "input": node.input, "output": node.output,
        "usage": UsageReport.of(total) if total is not None else None, "error": node.error, "links": node.links,
        "attributes": node.attributes,
    }  # fmt: skip
    return Span.model_validate(values)


def _duration(node: Node, now: datetime) -> float | None:
    """Milliseconds; of what has no end yet, until now."""
    if node.duration_ms is not None or node.started_at is None:
        return node.duration_ms
    end = node.ended_at or (now if node.status == RUNNING or node.kind in {SpanKind.JOB, SpanKind.STEP} else None)
    return None if end is None else max((end - node.started_at) / MILLISECOND, 0.0)
