"""SIGTERM to a worker: short steps end, long ones are handed back to somebody else at once."""

import signal
from collections.abc import Callable, Iterator

import pytest

from tasks.events import StepFaltered
from tasks.states import TaskStatus
from tests.acceptance.conftest import Fleet
from tests.acceptance.stage import START_WITHIN_S, Command, wait_until


@pytest.fixture
def start_worker(fleet: Fleet) -> Iterator[Callable[..., Command]]:
    """Starts a worker beside the shared stack, on a queue of the test's own."""
    started: list[Command] = []

    def start(queue: str, **variables: str) -> Command:
        known = {worker.pid for worker in fleet.troupe.workers()}
        settings = {"TROUPE_REDIS_URL": fleet.url, "TROUPE_AGENTS": "actors", "NAPPER": queue, **variables}
        started.append(fleet.stage.start("worker", queue, **settings))
        wait_until(lambda: started[-1].pid in {worker.pid for worker in fleet.troupe.workers()}, within=START_WITHIN_S)
        assert started[-1].pid not in known
        return started[-1]

    yield start
    for command in started:
        command.process.terminate()
        command.wait()


def test_a_stopping_worker_lets_a_short_step_end(fleet: Fleet, start_worker: Callable[..., Command]) -> None:
    worker = start_worker("short")
    job = fleet.nap("1.5", agent="short")
    assert fleet.napping(job) == worker.pid
    worker.process.terminate()
    result = job.wait(30)
    assert (result.status, result.steps[0].attempts) == (TaskStatus.COMPLETED, 1)
    assert worker.wait(10).code == 0


def test_a_stopping_worker_hands_a_long_step_back(fleet: Fleet, start_worker: Callable[..., Command]) -> None:
    first = start_worker("long", TROUPE_DRAIN_S="1")
    job = fleet.nap("60 0.1", agent="long")
    assert fleet.napping(job) == first.pid
    second = start_worker("long")
    first.process.terminate()
    assert fleet.napping(job, attempt=2) == second.pid
    result = job.wait(30)
    assert (result.status, result.steps[0].attempts) == (TaskStatus.COMPLETED, 2)
    codes = [event.failure.code for event in job.events() if isinstance(event, StepFaltered)]
    assert codes == ["handed_back"]
    assert first.wait(10).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda one: one.name)
def test_a_second_signal_hands_a_step_back_at_once(
    number: signal.Signals, fleet: Fleet, start_worker: Callable[..., Command]
) -> None:
    queue = f"twice-{number.name.lower()}"
    first = start_worker(queue, TROUPE_DRAIN_S="600")
    job = fleet.nap("600 0.1", agent=queue)
    assert fleet.napping(job) == first.pid
    second = start_worker(queue)
    first.signal(number)
    wait_until(lambda: "worker_draining" in first.said)
    first.signal(number)
    assert fleet.napping(job, attempt=2) == second.pid
    assert job.wait(30).status is TaskStatus.COMPLETED
    codes = [event.failure.code for event in job.events() if isinstance(event, StepFaltered)]
    assert codes == ["handed_back"]
    assert first.wait(20).code == 0
