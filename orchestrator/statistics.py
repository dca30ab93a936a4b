"""What the fleet counted, put together for people."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from tasks.errors import ContractError
from tasks.store import Counted
from tasks.tool_figures import FleetStatistics, ToolDefinition, ToolFigures, ToolReport, ToolUse

DAY: Final = timedelta(days=1)


def length(since: float | timedelta) -> timedelta:
    """A length of time, given in seconds or as a timedelta.

    Raises:
        ContractError: it is none.
    """
    try:
        return since if isinstance(since, timedelta) else timedelta(seconds=since)
    except (ValueError, OverflowError):  # not a number, or infinite
        raise ContractError(f"since: {since!r} is no length of time") from None


def fleet_statistics(counted: Counted) -> FleetStatistics:
    """All of it, by tool and agent, and in total."""
    by_tool = sorted(counted.pairs.items(), key=lambda one: (one[0][1], one[0][0]))
    return FleetStatistics(
        since=counted.since,
        until=counted.until,
        tools=tuple(ToolUse.of([counts], agent=agent, tool=tool) for (agent, tool), counts in by_tool),
        totals=ToolFigures.of(counted.pairs.values()),
    )


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
