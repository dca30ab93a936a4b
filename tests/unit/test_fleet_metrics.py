"""The fleet's figures as Prometheus gets them."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from orchestrator.metrics.collector import FleetCollector
from orchestrator.metrics.reading import FleetReading
from orchestrator.scaling import USUAL_BOUNDS, loads, scale
from tasks.errors import BrokerUnavailable, StoreUnavailable
from tests.support.figures import fleet_reading

Sample = Callable[..., float | None]


def of_queues(queues: Mapping[str, list[str]]) -> dict[str, int]:
    return {queue: 10 * len(names) for queue, names in queues.items()}


def registry_of(read: Any = fleet_reading, lengths: Any = of_queues, within_s: float = 30.0) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(FleetCollector(read, lengths, within_s))
    return registry


@pytest.fixture(scope="module")
def sample() -> Sample:
    """A value by its name and labels; None when there is none."""
    registry = registry_of()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    return value


def test_counts_are_those_of_the_store(sample: Sample) -> None:
    assert sample("troupe_jobs_total", status="submitted") == 5
    assert sample("troupe_steps_total", agent="search", status="failed") == 2
    assert sample("troupe_attempts_total", agent="search", outcome="returned") == 1
    assert sample("troupe_lease_expiries_total", agent="search") == 1
    assert sample("troupe_retries_total", queue="search") == 3
    assert sample("troupe_duplicates_dropped_total", queue="search") == 4
    assert sample("troupe_budget_refusals_total", budget="cost") == 2
    assert sample("troupe_unanswered_calls") == 1


def test_usage_is_by_agent_model_and_kind_of_token(sample: Sample) -> None:
    kinds = {"input": 100, "output": 20, "cache_read": 7, "cache_write": 5}
    for kind, count in kinds.items():
        assert sample("troupe_tokens_total", agent="summary", model="claude", kind=kind) == count
    assert sample("troupe_cost_microusd_total", agent="summary", model="claude") == 1500
    assert sample("troupe_model_requests_total", agent="summary", model="claude") == 3
    assert sample("troupe_tool_calls_total", agent="search", model="-") == 9


def test_a_histogram_counts_what_does_not_exceed_a_bound(sample: Sample) -> None:
    name, labels = "troupe_attempt_duration_seconds", {"agent": "search", "outcome": "succeeded"}
    found = {le: sample(f"{name}_bucket", le=le, **labels) for le in ("0.9271", "1.987", "4.26", "+Inf")}
    assert found == {"0.9271": 0, "1.987": 1, "4.26": 2, "+Inf": 2}
    assert sample(f"{name}_count", **labels) == 2
    assert sample(f"{name}_sum", **labels) == pytest.approx(4, rel=0.05)
    assert sample("troupe_job_duration_seconds_count") == 2


def test_queues_are_all_that_have_steps_or_workers_or_are_built_in(sample: Sample) -> None:
    def steps(queue: str) -> list[float | None]:
        return [sample("troupe_queue_steps", queue=queue, status=one) for one in ("ready", "dispatched", "running")]

    assert steps("search") == steps("forgotten") == [1, 2, 3]
    assert steps("planner") == [0, 0, 0]
    assert sample("troupe_queue_oldest_seconds", queue="search", status="ready") == 40
    assert sample("troupe_queue_oldest_seconds", queue="search", status="dispatched") == 0
    assert sample("troupe_queue_workers", queue="search") == 2
    assert sample("troupe_queue_workers", queue="forgotten") == 0
    assert sample("troupe_queue_slots", queue="summary") == 1
    assert (sample("troupe_workers"), sample("troupe_orchestrators")) == (2, 1)


def test_the_wanted_workers_are_those_of_scale(sample: Sample) -> None:
    reading = fleet_reading()
    found = loads(reading.queues, reading.workers, reading.recent, reading.totals.until)
    wanted = {one.queue: scale(one, USUAL_BOUNDS).wanted for one in found}
    assert wanted["search"] > 1
    assert {queue: sample("troupe_queue_workers_wanted", queue=queue) for queue in wanted} == wanted
    assert sample("troupe_queue_workers_wanted", queue="planner") == 0


def test_messages_of_a_queue_are_those_of_all_versions_together(sample: Sample) -> None:
    assert sample("troupe_queue_messages", queue="search") == 30  # plain, and those of versions 1 and 2
    assert sample("troupe_queue_messages", queue="planner") == 10


def test_two_replicas_give_the_same_numbers() -> None:
    assert generate_latest(registry_of()) == generate_latest(registry_of())


def refusing(error: Exception) -> Callable[..., Any]:
    def refuse(*_: object) -> None:
        raise error

    return refuse


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("a defect")])
def test_without_the_store_there_are_no_figures_of_the_fleet(error: Exception) -> None:
    registry = registry_of(refusing(error))
    assert registry.get_sample_value("troupe_store_up") == 0
    assert {metric.name for metric in registry.collect()} == {"troupe_store_up", "troupe_broker_up"}


def test_without_the_broker_only_its_messages_are_missing() -> None:
    registry = registry_of(lengths=refusing(BrokerUnavailable("away")))
    assert registry.get_sample_value("troupe_store_up") == 1
    assert registry.get_sample_value("troupe_broker_up") == 0
    assert registry.get_sample_value("troupe_queue_messages", {"queue": "search"}) is None
    assert registry.get_sample_value("troupe_queue_steps", {"queue": "search", "status": "ready"}) == 1


def test_a_store_that_hangs_is_asked_once_and_not_waited_for() -> None:
    asked, answer = list[int](), threading.Event()

    def hang() -> FleetReading:
        asked.append(1)
        answer.wait(30)
        return fleet_reading()

    registry = registry_of(hang, within_s=0.01)
    for _ in range(3):
        assert registry.get_sample_value("troupe_store_up") == 0
    assert len(asked) == 1
    answer.set()


def test_registering_reads_nothing() -> None:
    registry_of(refusing(AssertionError("read")), refusing(AssertionError("read")))
