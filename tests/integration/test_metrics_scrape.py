"""The exported figures, against the real store: queue gauges at a hundred moments of random work; what serves them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from orchestrator.client import AsyncTroupe
from orchestrator.local.redis_server import free_port
from orchestrator.metrics.collector import fleet_collector
from orchestrator.process import Orchestrator
from orchestrator.settings import OrchestratorSettings
from tasks.errors import BadSetting, BrokerUnavailable
from tasks.metrics.settings import MetricsSettings
from tasks.settings import StoreSettings
from tasks.store import FleetStore, Store
from tests.integration.test_moves_random import Anybody
from tests.support.builders import a_worker
from tests.support.moves import Moves
from tests.support.waiting import wait_until

MOMENTS: Final = 100
SHOWN: Final = ("ready", "dispatched", "running")


def no_messages(names: Sequence[str]) -> dict[str, int]:
    return dict.fromkeys(names, 0)


def registry_of(settings: StoreSettings, lengths: Any = no_messages) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(fleet_collector(settings, lengths))
    return registry


async def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """All values, by name and the values of their labels in the order of the labels' names."""
    collected = await asyncio.to_thread(lambda: list(registry.collect()))
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for metric in collected
        for sample in metric.samples
    }


async def steps_now(moves: Moves) -> Counter[tuple[str, str]]:
    """(queue, status) → steps that stand so, counted in the hashes of the steps themselves.

    What is ready in a paused job may not begin: it is in no queue.
    """
    found = Counter[tuple[str, str]]()
    for partition in range(moves.store.settings.partitions):
        for job in await moves.redis.zrange(moves.store.keys.index(partition), 0, -1):
            paused = await moves.field(job, "paused")
            fields = await moves.redis.hgetall(moves.store.keys.job(job) + ":steps")
            for name, status in fields.items():
                kind, _, step = name.partition(":")
                if kind == "s" and status in SHOWN and not (paused and status == "ready"):
                    found[fields[f"Q:{step}"], status] += 1
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_queue_gauges_are_what_the_steps_say_at_every_moment(
    seed: int, moves: Moves, store_settings: StoreSettings
) -> None:
    registry, anybody, seen = registry_of(store_settings), Anybody(moves, seed), Counter[tuple[str, str]]()
    await anybody.begin()
    for moment in range(MOMENTS):
        if moment % 30 == 29:
            await anybody.begin()
        for _ in range(anybody.draw.randrange(1, 6)):
            await anybody.act()
        found = await samples(registry)
        gauges = {key[1:]: value for key, value in found.items() if key[0] == "troupe_queue_steps" and value}
        expected = await steps_now(moves)
        assert gauges == dict(expected), moment
        for queue, status in expected:
            if status != "running":
                assert found["troupe_queue_oldest_seconds", queue, status] >= 0
        seen.update(expected.keys())
    assert {status for _, status in seen} == set(SHOWN)


async def test_the_wanted_workers_are_what_scale_says(moves: Moves, store_settings: StoreSettings) -> None:
    await moves.planned({"a": [], "b": [], "c": ["a", "b"]})
    await moves.fleet.announce(a_worker("w1", ["search", "summary"]))
    async with AsyncTroupe(settings=store_settings) as troupe:
        said = {one.queue: one.wanted for one in await troupe.scale()}
    found = await samples(registry_of(store_settings))
    assert max(said.values()) > 0
    assert {queue: found["troupe_queue_workers_wanted", queue] for queue in said} == said


async def test_without_a_store_a_scrape_says_so_and_is_not_long(store_settings: StoreSettings) -> None:
    away = store_settings.model_copy(update={"redis_url": type(store_settings.redis_url)("unix:///nowhere.sock")})
    assert await samples(registry_of(away)) == {("troupe_store_up",): 0, ("troupe_broker_up",): 0}


async def test_without_a_broker_the_store_is_still_read(store_settings: StoreSettings) -> None:
    def away(names: Sequence[str]) -> dict[str, int]:
        raise BrokerUnavailable("away")

    found = await samples(registry_of(store_settings, away))
    assert (found["troupe_store_up",], found["troupe_broker_up",]) == (1, 0)


@pytest.fixture
async def serving(store_settings: StoreSettings) -> AsyncIterator[Orchestrator]:
    """An orchestrator that serves figures."""
    settings = store_settings.model_copy(update={"sweep_s": 0.05})
    replica = Orchestrator(settings, OrchestratorSettings(), MetricsSettings(metrics_port=free_port()))
    running = asyncio.create_task(replica.run())
    yield replica
    replica.stop()
    await asyncio.wait_for(running, 20)


async def test_an_orchestrator_serves_the_fleet_and_itself(serving: Orchestrator, store: Store) -> None:
    fleet = FleetStore(store)

    async def served() -> bool:
        return bool(await fleet.metrics() and await fleet.orchestrators())

    await wait_until(served)
    address, found = (await fleet.metrics())[0].address, dict[str, float]()

    def scrape() -> dict[str, float]:
        with urlopen(f"http://{address}/metrics") as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return {sample.name: sample.value for family in families for sample in family.samples}

    async def swept() -> bool:
        found.update(await asyncio.to_thread(scrape))
        return bool(found["troupe_sweep_duration_seconds_count"])

    await wait_until(swept)
    for name in ("troupe_store_up", "troupe_broker_up", "troupe_process_info", "troupe_orchestrators"):
        assert found[name] == 1
    assert "troupe_event_loop_lag_seconds_count" in found


async def test_what_is_not_served_any_more_is_not_announced(serving: Orchestrator, store: Store) -> None:
    fleet = FleetStore(store)

    async def served() -> bool:
        return bool(await fleet.metrics())

    await wait_until(served)
    serving.stop()

    async def gone() -> bool:
        return not await fleet.metrics()

    await wait_until(gone)


async def test_figures_that_cannot_be_served_end_the_process(store_settings: StoreSettings) -> None:
    wrong = MetricsSettings(metrics_port=9464, metrics_host="192.0.2.1")
    replica = Orchestrator(store_settings, OrchestratorSettings(), wrong)
    with pytest.raises(BadSetting, match="TROUPE_METRICS_HOST"):
        await replica.run()
    await replica.publisher.close()
    await replica.store.close()
