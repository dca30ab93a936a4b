"""What the fleet did in a time, for people: `troupe stats` shows it. Durations in milliseconds, money in dollars."""

from collections.abc import Iterable
from typing import Self

from pydantic import AwareDatetime, Field

from tasks.figures import Durations
from tasks.histogram import percentile
from tasks.results import UsageReport
from tasks.tool_figures import ToolFigures, ToolUse
from tasks.wire import Wire


class DurationFigures(Wire):
    """How long things took; None where there were none. Percentiles are off by less than 5 percent."""

    count: int = 0
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None

    @classmethod
    def of(cls, durations: Iterable[Durations]) -> Self:
        """The figures of all these together."""
        total = Durations()
        for one in durations:
            total.count += one.count
            total.buckets.update(one.buckets)
        p50, p95 = percentile(total.buckets, 0.5), percentile(total.buckets, 0.95)
        return cls(
            count=total.count,
            mean_ms=round(total.total_ms / total.count, 3) if total.count else None,
            p50_ms=None if p50 is None else round(p50, 3),
            p95_ms=None if p95 is None else round(p95, 3),
        )


class JobFigures(Wire):
    """Jobs. One that was reopened ends again."""

    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    success_rate: float | None = None
    """Of those that completed or failed, from 0 to 1."""
    per_hour: float = 0.0
    """That completed or failed."""
    duration: DurationFigures = DurationFigures()
    """From submit to the end, of all that ended."""


class StepFigures(Wire):
    """Steps that ended."""

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    success_rate: float | None = None
    """Of those that succeeded or failed, from 0 to 1."""
    per_hour: float = 0.0
    """That succeeded or failed."""


class AttemptFigures(Wire):
    """Attempts that ended."""

    succeeded: int = 0
    failed: int = 0
    lost: int = 0
    """Their worker went silent."""
    returned: int = 0
    """Handed back by a worker that was stopping, or has another version of the agent."""
    parked: int = 0
    """Their step waits for children, people or messages."""
    cancelled: int = 0
    """Their job ended before they did."""


class AgentStatistics(Wire):
    """What one agent did."""

    agent: str
    steps: StepFigures
    attempts: AttemptFigures
    duration: DurationFigures
    """Of attempts that succeeded or failed, from the claim on."""
    usage: UsageReport


class QueueStatistics(Wire):
    """How steps of one queue came to their workers."""

    queue: str
    dispatch: DurationFigures
    """From ready to dispatched: slots, and the orchestrator."""
    pickup: DurationFigures
    """From dispatched to claimed: broker, and busy workers."""
    retries: int = 0
    """Attempts that were to follow one that failed or was lost."""
    dropped: int = 0
    """Messages that came twice or too late."""


class ModelStatistics(Wire):
    """What calls of one model consumed."""

    model: str
    """`-` for what agents' own code counted, tool calls among it."""
    usage: UsageReport


class TenantStatistics(Wire):
    """What the jobs of one tenant did. Tenants beyond those that are told apart stand under `(other)`."""

    tenant: str
    jobs: JobFigures
    """Without durations."""
    usage: UsageReport


class FleetStatistics(Wire):
    """What the fleet did in a time."""

    since: AwareDatetime
    """Counts are kept in windows: what is reported begins with the window that the asked-for time begins in."""
    until: AwareDatetime
    tools: tuple[ToolUse, ...]
    """By tool and agent; names that models made up stand under `(unknown)`. Counts of a killed worker's last second
    are missing, of these alone."""
    totals: ToolFigures
    """Of all tools."""
    tools_since: AwareDatetime
    """Windows of tool calls have other lengths."""
    jobs: JobFigures
    steps: StepFigures
    attempts: AttemptFigures
    agents: tuple[AgentStatistics, ...]
    queues: tuple[QueueStatistics, ...]
    models: tuple[ModelStatistics, ...]
    tenants: tuple[TenantStatistics, ...]
    usage: UsageReport
    """All together: the sum of the ledgers."""
    refused: dict[str, int] = Field(default_factory=dict[str, int])
    """Calls that a budget did not allow, by its kind: cost, tokens, requests, tool_calls."""
    unanswered: int = 0
    """Model calls whose answer nobody got."""
