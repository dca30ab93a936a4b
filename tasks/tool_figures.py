"""Tools as people see them: what they are, and how their calls went. `troupe tools` and `troupe stats` show it."""

from collections.abc import Iterable
from typing import Self

from pydantic import Field

from tasks.histogram import percentile
from tasks.ids import WorkerName
from tasks.tool_counts import ToolCounts
from tasks.wire import Wire

MAX_DESCRIPTION_CHARS = 500
"""Announced of a tool's description: every worker repeats it every few seconds."""


class ToolFigures(Wire):
    """How tool calls went. Durations are of the calls whose tool was run, all tries of a call together."""

    calls: int = 0
    succeeded: int = 0
    success_rate: float | None = None
    """Of all calls, from 0 to 1; None when there were none."""
    mean_ms: float | None = None
    p50_ms: float | None = None
    """Off by less than 5 percent, as `p95_ms` is."""
    p95_ms: float | None = None
    cut: int = 0
    """Calls that succeeded with an output that was too large."""
    errors: dict[str, int] = Field(default_factory=dict)
    """Calls that did not succeed, by code."""

    @classmethod
    def of(cls, counts: Iterable[ToolCounts], **names: str) -> Self:
        """The figures of all these counts together."""
        total = ToolCounts()
        for one in counts:
            total.add(one)
        p50, p95 = percentile(total.buckets, 0.5), percentile(total.buckets, 0.95)
        return cls.model_validate(
            {
                **names,
                "calls": total.calls,
                "succeeded": total.succeeded,
                "success_rate": round(total.succeeded / total.calls, 4) if total.calls else None,
                "mean_ms": round(total.total_us / total.ran / 1000, 3) if total.ran else None,
                "p50_ms": None if p50 is None else round(p50, 3),
                "p95_ms": None if p95 is None else round(p95, 3),
                "cut": total.cut,
                "errors": dict(sorted(total.errors.items())),
            }
        )


class ToolUse(ToolFigures):
    """How one agent's calls of one tool went."""

    agent: str
    tool: str


class ToolDefinition(Wire):
    """A tool of living workers, with its limits."""

    name: str
    description: str
    """At most 500 characters of it."""
    agents: tuple[str, ...]
    """Whose it is, by name."""
    timeout_s: float
    rate_limit: int | None = None
    """Calls a minute."""
    retries: int = 0
    max_uses: int | None = None
    """In one step."""
    concurrency: int | None = None
    """At the same time in one process."""
    idempotent: bool = False
    requires_approval: bool = False
    tags: tuple[str, ...] = ()


class ToolReport(ToolDefinition):
    """A tool, and how its calls by these agents went."""

    figures: ToolFigures


class ToolPresence(Wire):
    """The tools of one worker process, as announced with a TTL."""

    name: WorkerName
    tools: tuple[ToolDefinition, ...] = ()


def tools_of(presences: Iterable[ToolPresence]) -> list[ToolDefinition]:
    """The tools that these workers have, by name; those of several agents once, unless they differ."""
    found: dict[ToolDefinition, set[str]] = {}
    for one in (one for presence in presences for one in presence.tools):
        found.setdefault(one.model_copy(update={"agents": ()}), set()).update(one.agents)
    made = [bare.model_copy(update={"agents": tuple(sorted(agents))}) for bare, agents in found.items()]
    return sorted(made, key=lambda one: (one.name, one.agents))
