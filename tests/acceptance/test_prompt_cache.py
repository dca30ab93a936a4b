"""Steps of one agent begin alike: on three workers, the provider is paid for that once."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tasks.states import TaskStatus
from tests.acceptance.conftest import Fleet
from tests.acceptance.stage import START_WITHIN_S, Command, wait_until
from workers.testing import FakeMessages

STEPS = 10
WORKERS = 3
LATENCY_S = 1.5


@dataclass(frozen=True, slots=True)
class Reading:
    """A job of ten steps that are ready at the same time, and what the provider served for it."""

    result: JobResult
    wrote: int
    read: int

    @property
    def workers(self) -> set[str]:
        """Who did its ten steps."""
        return {str(step.worker) for step in self.result.steps if step.id.startswith("part-")}


class Readers:
    """Three workers for an agent with a long system prompt, beside the shared stack, on a provider of their own."""

    def __init__(self, fleet: Fleet, name: str, fake: FakeMessages, **variables: str) -> None:
        self.fleet, self.name, self.fake = fleet, name, fake
        settings = {"TROUPE_REDIS_URL": fleet.url, "TROUPE_AGENTS": "readers", "READER": name}
        # Each try has a provider of its own, which nothing of an earlier one warms.
        settings |= {"ANTHROPIC_BASE_URL": fake.url, "PROVIDER": fake.url, **variables}
        self.started: list[Command] = [
            fleet.stage.start("worker", name, "--concurrency", "4", **settings) for _ in range(WORKERS)
        ]

        def ready() -> bool:
            assert all(command.process.poll() is None for command in self.started)
            return {command.pid for command in self.started} <= {worker.pid for worker in fleet.troupe.workers()}

        wait_until(ready, within=START_WITHIN_S)

    def read(self) -> Reading:
        """Run the job."""
        steps = [PlannedStep(id=f"part-{at}", description=f"Read part {at}.", agent=self.name) for at in range(STEPS)]
        result = self.fleet.troupe.submit("Read the text.", plan=Plan(steps=steps)).wait(60)
        served = [one.usage for one in self.fake.served]
        wrote = sum(one["cache_creation_input_tokens"] > 0 for one in served)
        return Reading(result, wrote, sum(one["cache_read_input_tokens"] > 0 for one in served))

    def stop(self) -> None:
        """End the workers."""
        for command in self.started:
            command.process.terminate()
        for command in self.started:
            command.wait()


@pytest.fixture
def readers(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[Readers]:
    shutil.copy(Path(__file__).with_name("readers.py"), fleet.stage.work / "readers.py")
    name, variables = request.param
    with FakeMessages(lambda _: "It is so.", latency_s=LATENCY_S) as fake:
        made = Readers(fleet, name, fake, **variables)
        yield made
        made.stop()
        assert fake.violations == []


@pytest.mark.parametrize("readers", [("led", {})], indirect=True)
def test_ten_steps_with_one_prefix_write_it_once_and_read_it_nine_times(readers: Readers) -> None:
    reading = readers.read()
    assert reading.result.status is TaskStatus.COMPLETED
    assert (reading.wrote, reading.read) == (1, STEPS - 1)
    assert len(reading.workers) == WORKERS
    used = [step.usage for step in reading.result.steps]
    assert sum(one.cache_write_tokens > 0 for one in used) == 1
    assert reading.result.usage.cache_read_tokens == (STEPS - 1) * reading.result.usage.cache_write_tokens


@pytest.mark.parametrize("readers", [("naive", {"TROUPE_PROMPT_CACHE_WAIT_S": "0"})], indirect=True)
def test_without_waiting_for_each_other_they_all_pay(readers: Readers) -> None:
    reading = readers.read()
    assert reading.result.status is TaskStatus.COMPLETED
    assert reading.wrote > 1


@pytest.mark.parametrize("readers", [("off", {"TROUPE_PROMPT_CACHE": "off"})], indirect=True)
def test_switched_off_nothing_is_kept(readers: Readers) -> None:
    reading = readers.read()
    assert reading.result.status is TaskStatus.COMPLETED
    assert (reading.wrote, reading.read) == (0, 0)
