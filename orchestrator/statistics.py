"""What the fleet counted, put together for people."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from tasks.errors import ContractError
from tasks.figures import Durations, FleetFigures
from tasks.results import UsageReport
from tasks.statistics import (
    AgentStatistics,
    AttemptFigures,
    DurationFigures,
    FleetStatistics,
    JobFigures,
    ModelStatistics,
    QueueStatistics,
    StepFigures,
    TenantStatistics,
)
from tasks.store import Counted
from tasks.tool_figures import ToolDefinition, ToolFigures, ToolReport, ToolUse
from tasks.usage import Usage

DAY: Final = timedelta(days=1)
WHOLE: Final = ("succeeded", "failed")
"""Outcomes of attempts that went to their end: their durations are reported."""


def length(since: float | timedelta) -> timedelta:
    """A length of time, given in seconds or as a timedelta.

    Raises:
        ContractError: it is none.
    """
    try:
        return since if isinstance(since, timedelta) else timedelta(seconds=since)
    except (ValueError, OverflowError):  # not a number, or infinite
        raise ContractError(f"since: {since!r} is no length of time") from None


def fleet_statistics(counted: Counted, figures: FleetFigures) -> FleetStatistics:
    """All of it.

    Args:
        figures: In a window of time.
    """
    by_tool = sorted(counted.pairs.items(), key=lambda one: (one[0][1], one[0][0]))
    since = figures.since or counted.since
    hours = (figures.until - since) / timedelta(hours=1)
    return FleetStatistics(
        since=since,
        until=figures.until,
        tools=tuple(ToolUse.of([counts], agent=agent, tool=tool) for (agent, tool), counts in by_tool),
        totals=ToolFigures.of(counted.pairs.values()),
        tools_since=counted.since,
        jobs=_jobs(figures.jobs, hours, [figures.job_times]),
        steps=_steps(_summed(figures.steps), hours),
        attempts=_attempts(_summed(figures.attempts)),
        agents=tuple(_agent(name, figures, hours) for name in _agents(figures)),
        queues=tuple(_queue(name, figures) for name in _queues(figures)),
        models=tuple(
            ModelStatistics(model=model, usage=_usage(one for (_, m), one in figures.usage.items() if m == model))
            for model in sorted({model for _, model in figures.usage})
        ),
        tenants=tuple(_tenant(name, figures, hours) for name in _tenants(figures)),
        usage=_usage(figures.usage.values()),
        refused=dict(sorted(figures.refused.items())),
        unanswered=figures.unanswered,
    )


def tenant_statistics(tenant: str, figures: FleetFigures) -> TenantStatistics:
    """Those of one tenant, in a window of time."""
    hours = (figures.until - (figures.since or figures.until)) / timedelta(hours=1)
    return _tenant(tenant, figures, hours)


def tool_reports(definitions: Iterable[ToolDefinition], counted: Counted) -> list[ToolReport]:
    """Each tool with its figures: those of its agents together."""
    return [
        ToolReport(
            **one.model_dump(),
            figures=ToolFigures.of(
                counted.pairs[pair] for agent in one.agents if (pair := (agent, one.name)) in counted.pairs
            ),
        )
        for one in definitions
    ]


def _agents(figures: FleetFigures) -> list[str]:
    pairs = (*figures.attempts, *figures.steps, *figures.running, *figures.usage)
    return sorted({agent for agent, _ in pairs})


def _queues(figures: FleetFigures) -> list[str]:
    return sorted({*figures.dispatch, *figures.pickup, *figures.retries, *figures.dropped})


def _tenants(figures: FleetFigures) -> list[str]:
    return sorted({*figures.tenants, *(tenant for tenant, _ in figures.tenant_jobs)})


def _agent(name: str, figures: FleetFigures, hours: float) -> AgentStatistics:
    return AgentStatistics(
        agent=name,
        steps=_steps(_part(figures.steps, name), hours),
        attempts=_attempts(_part(figures.attempts, name)),
        duration=DurationFigures.of(
            one for (agent, outcome), one in figures.running.items() if agent == name and outcome in WHOLE
        ),
        usage=_usage(one for (agent, _), one in figures.usage.items() if agent == name),
    )


def _queue(name: str, figures: FleetFigures) -> QueueStatistics:
    return QueueStatistics(
        queue=name,
        dispatch=DurationFigures.of([figures.dispatch[name]] if name in figures.dispatch else []),
        pickup=DurationFigures.of([figures.pickup[name]] if name in figures.pickup else []),
        retries=figures.retries.get(name, 0),
        dropped=figures.dropped.get(name, 0),
    )


def _tenant(name: str, figures: FleetFigures, hours: float) -> TenantStatistics:
    usage = figures.tenants.get(name, Usage())
    return TenantStatistics(
        tenant=name, jobs=_jobs(_part(figures.tenant_jobs, name), hours, []), usage=UsageReport.of(usage)
    )


def _jobs(counts: Mapping[str, int], hours: float, durations: Iterable[Durations]) -> JobFigures:
    completed, failed = counts.get("completed", 0), counts.get("failed", 0)
    return JobFigures(
        submitted=counts.get("submitted", 0),
        completed=completed,
        failed=failed,
        cancelled=counts.get("cancelled", 0),
        success_rate=_share(completed, failed),
        per_hour=_rate(completed + failed, hours),
        duration=DurationFigures.of(durations),
    )


def _steps(counts: Mapping[str, int], hours: float) -> StepFigures:
    succeeded, failed = counts.get("succeeded", 0), counts.get("failed", 0)
    return StepFigures(
        succeeded=succeeded,
        failed=failed,
        skipped=counts.get("skipped", 0),
        cancelled=counts.get("cancelled", 0),
        success_rate=_share(succeeded, failed),
        per_hour=_rate(succeeded + failed, hours),
    )


def _attempts(counts: Mapping[str, int]) -> AttemptFigures:
    return AttemptFigures.model_validate({name: counts.get(name, 0) for name in AttemptFigures.model_fields})


def _part(counts: Mapping[tuple[str, str], int], name: str) -> dict[str, int]:
    """The counts of one, by their second name."""
    return {second: count for (first, second), count in counts.items() if first == name}


def _summed(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """The counts of all, by their second name."""
    found: dict[str, int] = {}
    for (_, second), count in counts.items():
        found[second] = found.get(second, 0) + count
    return found


def _usage(parts: Iterable[Usage]) -> UsageReport:
    return UsageReport.of(sum(parts, Usage()))


def _share(good: int, bad: int) -> float | None:
    return round(good / (good + bad), 4) if good + bad else None


def _rate(count: int, hours: float) -> float:
    return round(count / hours, 2) if hours > 0 else 0.0
