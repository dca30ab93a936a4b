"""A worker's own figures, taken from what its attempts do."""

import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client.registry import CollectorRegistry

from tasks.metrics.names import MAX_NAMES, OTHER
from tasks.trace import SpanKind
from tests.support.figures import NOW
from tests.unit.attempts import make_claim
from workers.llm.turn_waits import measuring_waits, waiting_for_turn
from workers.metrics.figures import UNKNOWN, WorkerFigures
from workers.metrics.observer import MetricsObserver
from workers.spans import AttemptSpan, CallSpan, observed
from workers.tools.base import ToolCall
from workers.tools.codes import Code

CLAIM = make_claim()


class Measured:
    """Figures with the registry that they are in."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.running = 3
        self.observer = MetricsObserver(WorkerFigures(self.registry, lambda: self.running, lambda: 50))

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def measured() -> Measured:
    return Measured()


def ticks(*times: float) -> Iterator[float]:
    return iter(times)


def model_call(
    measured: Measured, *, seconds: float = 2.0, code: str | None = None, waits: tuple[float, ...] = ()
) -> None:
    span = CallSpan(CLAIM, SpanKind.MODEL_CALL, "claude", "c1")
    with observed([measured.observer], span):
        for wait in waits:
            with waiting_for_turn(ticks(10.0, 10.0 + wait).__next__):
                pass
        span.duration_ms, span.code = seconds * 1000, code


def tool_call(measured: Measured, tool: str, code: str | None = None, tries: int = 1) -> None:
    span = CallSpan(CLAIM, SpanKind.TOOL_CALL, tool, "t1")
    with observed([measured.observer], span):
        call = ToolCall(id="t1", tool=tool, input={}, output="", success=code is None, timestamp=NOW, duration_ms=500)
        span.of(call.model_copy(update={"code": code, "tries": tries}))


def test_a_model_call_is_timed_by_agent_model_and_outcome(measured: Measured) -> None:
    model_call(measured)
    model_call(measured, seconds=1, code="model_unavailable")
    name = "troupe_model_call_duration_seconds_sum"
    assert measured(name, agent="search", model="claude", outcome="ok") == 2
    assert measured(name, agent="search", model="claude", outcome="model_unavailable") == 1


def test_waits_for_the_limiter_are_those_of_all_tries_of_a_call(measured: Measured) -> None:
    model_call(measured, waits=(1.5, 0.5))
    assert measured("troupe_limiter_wait_seconds_sum", model="claude") == 2
    assert measured("troupe_limiter_wait_seconds_count", model="claude") == 1


def test_a_call_that_asks_for_no_turn_counts_as_no_wait(measured: Measured) -> None:
    model_call(measured)
    assert measured("troupe_limiter_wait_seconds_count", model="claude") is None


async def test_calls_at_the_same_time_keep_their_waits_apart(measured: Measured) -> None:
    async def wait(seconds: float) -> float | None:
        with measuring_waits() as waits:
            await asyncio.sleep(0)
            with waiting_for_turn(ticks(0.0, seconds).__next__):
                await asyncio.sleep(0)
            return waits.seconds

    assert await asyncio.gather(*map(wait, (1.0, 2.0, 3.0))) == [1, 2, 3]


def test_a_wait_that_nobody_measures_is_lost() -> None:
    with waiting_for_turn():
        pass


def test_a_tool_call_is_timed_by_tool_and_outcome(measured: Measured) -> None:
    tool_call(measured, "look")
    tool_call(measured, "look", "timeout")
    tool_call(measured, "made_up", Code.UNKNOWN_TOOL, tries=0)
    name = "troupe_tool_duration_seconds_sum"
    assert measured(name, tool="look", outcome="ok") == measured(name, tool="look", outcome="timeout") == 0.5
    assert measured(name, tool=UNKNOWN, outcome=Code.UNKNOWN_TOOL) == 0.5
    assert measured(name, tool="made_up", outcome=Code.UNKNOWN_TOOL) is None


def test_a_call_in_which_its_step_was_parked_and_a_custom_span_are_no_calls(measured: Measured) -> None:
    with observed([measured.observer], CallSpan(CLAIM, SpanKind.TOOL_CALL, "delegate", "t1")):
        pass
    custom = CallSpan(CLAIM, SpanKind.CUSTOM, "own", "x1", duration_ms=1.0)
    with observed([measured.observer], custom):
        pass
    names = {sample.name for metric in measured.registry.collect() for sample in metric.samples}
    assert not {name for name in names if "duration_seconds" in name}


def test_an_attempt_counts_by_its_outcome_without_what_it_met(measured: Measured) -> None:
    for outcome in ("succeeded", "failed: timeout: it took too long", "failed: contract: no"):
        span = AttemptSpan(CLAIM)
        with observed([measured.observer], span):
            span.outcome = outcome
    assert measured("troupe_worker_attempts_total", agent="search", outcome="succeeded") == 1
    assert measured("troupe_worker_attempts_total", agent="search", outcome="failed") == 2


def test_what_runs_is_read_when_it_is_asked_for(measured: Measured) -> None:
    measured.running = 7
    assert (measured("troupe_worker_running"), measured("troupe_worker_slots")) == (7, 50)


def test_tools_without_end_make_no_series_without_end(measured: Measured) -> None:
    for number in range(MAX_NAMES + 5):
        tool_call(measured, f"tool{number}")
    assert measured("troupe_tool_duration_seconds_count", tool=OTHER, outcome="ok") == 5
