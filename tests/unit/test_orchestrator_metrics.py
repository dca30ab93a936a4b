"""An orchestrator's own figures."""

import asyncio

import pytest
from prometheus_client.registry import CollectorRegistry

from orchestrator.metrics.own import OrchestratorFigures
from orchestrator.watching import NobodyWatches, Watch
from tasks.ids import AttemptRef, JobId, StepId
from tasks.metrics.pulse import keep_pulse
from tasks.store import Entry, Notice

REF = AttemptRef(JobId("j0123456789abcdefgh3"), StepId("find"), 1)


def entry(at_ms: int, notice: Notice = Notice.STEP_READY) -> Entry:
    return Entry(f"{at_ms}-0", notice, REF, "")


def test_lag_is_the_age_of_an_entry_by_the_clock_that_dated_it() -> None:
    registry = CollectorRegistry()
    figures = OrchestratorFigures(registry, clock=lambda: 1000.0)
    figures.ahead_s = 5.0
    figures.acted([entry(1_003_000), entry(1_004_500), entry(1_009_000, Notice.ATTEMPT_ENDED)])
    name = "troupe_orchestrator_lag_seconds"
    assert registry.get_sample_value(f"{name}_sum", {"notice": "step_ready"}) == 2.5
    assert registry.get_sample_value(f"{name}_count", {"notice": "step_ready"}) == 2
    assert registry.get_sample_value(f"{name}_sum", {"notice": "attempt_ended"}) == 0


def test_sweeps_and_outages_are_counted() -> None:
    registry = CollectorRegistry()
    figures = OrchestratorFigures(registry)
    figures.swept(0.002, 7)
    figures.swept(0.004, 0)
    figures.failed("sweep")
    assert registry.get_sample_value("troupe_sweep_duration_seconds_count") == 2
    assert registry.get_sample_value("troupe_sweep_timers_total") == 7
    assert registry.get_sample_value("troupe_orchestrator_outages_total", {"chore": "sweep"}) == 1


def test_nobody_watches_unless_figures_are_wanted() -> None:
    watch: Watch = NobodyWatches()
    watch.acted([entry(1)])
    watch.swept(1.0, 1)
    watch.failed("read")


class EnoughError(Exception):
    """Ends what goes on for ever."""


async def test_each_nap_of_the_loop_is_told_and_never_too_early() -> None:
    late: list[float] = []

    def note(seconds: float) -> None:
        late.append(seconds)
        if len(late) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        await asyncio.wait_for(keep_pulse(note, 0.001), 20)
    assert min(late) >= 0
