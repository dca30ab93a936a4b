"""What the fleet did, put together from what it counted."""

import io
import json
from datetime import timedelta

import pytest
from rich.console import Console

from orchestrator.cli.stats_tables import duration, sections
from orchestrator.statistics import fleet_statistics
from tasks.figures import FleetFigures
from tasks.results import UsageReport
from tasks.statistics import DurationFigures, FleetStatistics
from tasks.store import Counted
from tasks.tool_counts import ToolCounts
from tests.support.figures import BOUGHT, NOW, durations, fleet_figures

SINCE = NOW - timedelta(hours=2)


@pytest.fixture
def found() -> FleetStatistics:
    look = ToolCounts()
    look.note(20.0, code=None, success=True)
    counted = Counted(SINCE - timedelta(hours=1), NOW, {("search", "look"): look})
    return fleet_statistics(counted, fleet_figures(SINCE))


def text_of(found: FleetStatistics) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=200)
    for table in sections(found):
        console.print(table)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_throughput_is_what_ended_by_itself_in_an_hour(found: FleetStatistics) -> None:
    assert (found.since, found.until, found.tools_since) == (SINCE, NOW, SINCE - timedelta(hours=1))
    assert (found.jobs.per_hour, found.steps.per_hour) == (2, 4)
    assert (found.jobs.success_rate, found.steps.success_rate) == (0.75, 0.75)
    assert (found.jobs.submitted, found.jobs.cancelled, found.steps.skipped) == (5, 1, 1)


def test_durations_of_an_agent_are_of_attempts_that_went_to_their_end(found: FleetStatistics) -> None:
    search = found.agents[0]
    assert (search.agent, search.duration.count) == ("search", 3)
    assert search.duration.p50_ms == pytest.approx(1000, rel=0.05)
    assert search.duration.p95_ms == pytest.approx(3000, rel=0.05)
    ends = {"succeeded": 8, "failed": 2, "lost": 1, "returned": 1, "parked": 1, "cancelled": 0}
    assert search.attempts.model_dump() == ends
    assert found.attempts == search.attempts


def test_cost_by_model_by_agent_and_of_all_are_sums_of_the_same(found: FleetStatistics) -> None:
    assert {one.model: one.usage.requests for one in found.models} == {"-": 0, "claude": 6}
    assert {one.agent: one.usage.cost_usd for one in found.agents} == {"search": 0.0015, "summary": 0.0015}
    assert (found.usage.requests, found.usage.cost_usd, found.usage.tool_calls) == (6, 0.003, 9)


def test_tenants_and_queues_have_their_own(found: FleetStatistics) -> None:
    acme = next(one for one in found.tenants if one.tenant == "acme")
    assert (acme.jobs.submitted, acme.jobs.per_hour, acme.usage) == (2, 1, UsageReport.of(BOUGHT))
    assert [(one.queue, one.retries, one.dropped, one.pickup.count) for one in found.queues] == [("search", 3, 4, 1)]


def test_without_anything_there_are_no_rates() -> None:
    empty = fleet_statistics(Counted(NOW, NOW), FleetFigures(NOW, NOW))
    assert (empty.jobs.per_hour, empty.jobs.success_rate, empty.jobs.duration) == (0, None, DurationFigures())
    assert len(text_of(empty)) == 3


def test_since_ever_begins_with_the_tools() -> None:
    assert fleet_statistics(Counted(SINCE, NOW), FleetFigures(None, NOW)).since == SINCE


def test_what_is_printed_reads_as_it_is_stored(found: FleetStatistics) -> None:
    assert FleetStatistics.model_validate_json(found.model_dump_json(indent=2)) == found
    assert set(json.loads(found.model_dump_json())) >= {"since", "until", "tools", "totals"}


def test_each_subject_is_a_table(found: FleetStatistics) -> None:
    lines = text_of(found)
    for line in (
        "jobs 5 3 1 1 75.0% 2 92.0 s 58.5 s 125.4 s",
        "search 8 75.0% 4 13 2 1 1 1 1357 ms 971 ms 3048 ms",
        "claude 6 0 200 40 14 10 $0.0030",
        "acme 2 100.0% 1 132 $0.0015",
        "refused: budget of cost 2",
        "begun, answer never heard 1",
    ):
        assert line in lines, "\n".join(lines)


@pytest.mark.parametrize(
    ("ms", "text"), [(None, ""), (0.123, "0.12 ms"), (99.6, "100 ms"), (9_999, "9999 ms"), (12_000, "12.0 s")]
)
def test_durations_are_short(ms: float | None, text: str) -> None:
    assert duration(ms) == text


def test_figures_of_several_durations_are_of_all_of_them() -> None:
    both = DurationFigures.of([durations(10, 10), durations(40, 40, 40)])
    assert (both.count, both.mean_ms) == (5, pytest.approx(28, rel=0.05))
    assert both.p50_ms == pytest.approx(40, rel=0.05)
