"""Statistics as tables for a terminal."""

from collections.abc import Iterator
from typing import Final

from rich.table import Column, Table

from tasks.results import UsageReport
from tasks.statistics import DurationFigures, FleetStatistics, JobFigures, StepFigures
from tasks.tool_figures import ToolFigures

TOOL_FIGURES: Final = ("calls", "success", "mean", "p50", "p95", "errors")
USAGE: Final = ("calls", "tools", "input", "output", "cache read", "cache write", "cost")


def sections(found: FleetStatistics) -> Iterator[Table]:
    """One table for each subject that there is something to say of; the fleet's own always."""
    yield _fleet(found)
    if found.agents:
        yield _agents(found)
    if found.queues:
        yield _queues(found)
    if found.models:
        yield _consumers("model", {one.model: one.usage for one in found.models}, found.usage)
        yield _consumers("agent", {one.agent: one.usage for one in found.agents}, found.usage)
    if found.tenants:
        yield _tenants(found)
    if found.tools:
        yield _tools(found)
    if found.refused or found.unanswered:
        yield _refused(found)


def tool_table(*first: str) -> Table:
    """A table with a column for each of TOOL_FIGURES."""
    return Table(*first, *map(_right, TOOL_FIGURES[:-1]), TOOL_FIGURES[-1], box=None)


def tool_cells(figures: ToolFigures) -> list[str]:
    """One cell for each of TOOL_FIGURES."""
    errors = ", ".join(f"{code} {count}" for code, count in figures.errors.items())
    durations = map(duration, (figures.mean_ms, figures.p50_ms, figures.p95_ms))
    return [str(figures.calls), _share(figures.success_rate), *durations, errors]


def duration(ms: float | None) -> str:
    """A duration for people; nothing for none."""
    if ms is None:
        return ""
    if ms >= 10_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.2g} ms"


def _fleet(found: FleetStatistics) -> Table:
    names = ("submitted", "ok", "failed", "skipped", "cancelled", "success", "an hour", "mean", "p50", "p95")
    table = Table("fleet", *map(_right, names), box=None)
    jobs, steps = found.jobs, found.steps
    ended = [str(jobs.completed), str(jobs.failed), "", str(jobs.cancelled)]
    table.add_row("jobs", str(jobs.submitted), *ended, *_rates(jobs), *_durations(jobs.duration))
    ended = [str(steps.succeeded), str(steps.failed), str(steps.skipped), str(steps.cancelled)]
    table.add_row("steps", "", *ended, *_rates(steps), "", "", "")
    return table


def _agents(found: FleetStatistics) -> Table:
    names = ("steps", "success", "an hour", "attempts", "failed", "lost", "returned", "parked", "mean", "p50", "p95")
    table = Table("agent", *map(_right, names), box=None)
    for one in found.agents:
        tries = one.attempts
        counts = (tries.failed, tries.lost, tries.returned, tries.parked)
        table.add_row(
            one.agent,
            str(one.steps.succeeded + one.steps.failed),
            *_rates(one.steps),
            str(tries.succeeded + sum(counts)),
            *map(str, counts),
            *_durations(one.duration),
        )
    return table


def _queues(found: FleetStatistics) -> Table:
    names = ("dispatch p50", "p95", "pickup p50", "p95", "retries", "dropped")
    table = Table("queue", *map(_right, names), box=None)
    for one in found.queues:
        times = (one.dispatch.p50_ms, one.dispatch.p95_ms, one.pickup.p50_ms, one.pickup.p95_ms)
        table.add_row(one.queue, *map(duration, times), str(one.retries), str(one.dropped))
    return table


def _consumers(what: str, parts: dict[str, UsageReport], total: UsageReport) -> Table:
    table = Table(what, *map(_right, USAGE), box=None)
    for name, usage in parts.items():
        table.add_row(name, *_usage(usage))
    table.add_row("total", *_usage(total))
    return table


def _tenants(found: FleetStatistics) -> Table:
    table = Table("tenant", *map(_right, ("jobs", "success", "an hour", "tokens", "cost")), box=None)
    for one in found.tenants:
        usage = one.usage
        tokens = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        table.add_row(
            one.tenant or "(none)", str(one.jobs.submitted), *_rates(one.jobs), f"{tokens:,}", _dollars(usage)
        )
    return table


def _tools(found: FleetStatistics) -> Table:
    table = tool_table("tool", "agent")
    for one in found.tools:
        table.add_row(one.tool, one.agent, *tool_cells(one))
    table.add_row("total", "", *tool_cells(found.totals))
    return table


def _refused(found: FleetStatistics) -> Table:
    table = Table("calls", _right("count"), box=None)
    for kind, count in found.refused.items():
        table.add_row(f"refused: budget of {kind}", str(count))
    if found.unanswered:
        table.add_row("begun, answer never heard", str(found.unanswered))
    return table


def _rates(figures: JobFigures | StepFigures) -> list[str]:
    return [_share(figures.success_rate), f"{figures.per_hour:g}"]


def _durations(figures: DurationFigures) -> list[str]:
    return [duration(one) for one in (figures.mean_ms, figures.p50_ms, figures.p95_ms)]


def _usage(usage: UsageReport) -> list[str]:
    counts = (usage.requests, usage.tool_calls, usage.input_tokens, usage.output_tokens)
    cached = (usage.cache_read_tokens, usage.cache_write_tokens)
    return [*(f"{one:,}" for one in (*counts, *cached)), _dollars(usage)]


def _dollars(usage: UsageReport) -> str:
    return f"${usage.cost_usd:.4f}"


def _share(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"


def _right(name: str) -> Column:
    return Column(name, justify="right", no_wrap=True)
