"""RabbitMQ as the broker: whole jobs, a killed worker, a lost message, Flower."""

import os
from collections.abc import Iterator
from typing import Any, cast

import pytest
from kombu.connection import Connection

from orchestrator.local.redis_server import RedisServer, free_port
from tests.acceptance.hand_made import HandMade, completed, hand_made
from tests.acceptance.stage import START_WITHIN_S, Stages, get_json, wait_until
from tests.support.rabbit import find_rabbitmq, rabbitmq


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if find_rabbitmq() is None:
        assert os.environ.get("TEST_SERVERS") != "required", "rabbitmq-server is missing: .ci/run installs it"
        pytest.skip("rabbitmq-server is not installed")
    with rabbitmq(tmp_path_factory.mktemp("rabbit")) as url:
        yield url


@pytest.fixture(scope="module")
def fleet(broker: str, stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    store = RedisServer.start(tmp_path_factory.mktemp("store"), append_only=False)
    with hand_made(stages.new(), store.url, TROUPE_BROKER_URL=broker) as made:
        yield made
    store.stop()


def test_jobs_run_each_step_once(fleet: HandMade) -> None:
    jobs = [fleet.naps("0.1", "0.1") for _ in range(20)]
    completed(jobs)
    ours = [line for line in fleet.starts() if line.split()[0] in {str(job.id) for job in jobs}]
    assert len(ours) == len(set(ours)) == 40


def test_more_steps_than_threads_wait_in_the_queue_for_any_worker(fleet: HandMade) -> None:
    jobs = [fleet.naps("1") for _ in range(20)]
    other = fleet.add_worker()
    wait_until(lambda: len(fleet.troupe.workers()) > 1, within=START_WITHIN_S)
    completed(jobs)
    other.process.terminate()
    assert other.wait(40).code == 0


def test_the_step_of_a_killed_worker_runs_again(fleet: HandMade) -> None:
    job = fleet.naps("60 0.1")
    fleet.kill(fleet.napping(job))
    fleet.add_worker()
    completed([job])
    assert job.snapshot().steps[0].attempts == 2


def test_messages_that_the_broker_loses_are_published_again(fleet: HandMade, broker: str) -> None:
    completed([fleet.naps("0.1")])  # so that the orchestrator has heard of the worker before it leaves
    for worker in fleet.workers:
        worker.process.terminate()
        worker.wait(40)
    jobs = [fleet.naps("0.1") for _ in range(3)]
    connection: Any = cast(Any, Connection)(broker)
    with connection:
        channel = connection.default_channel
        wait_until(lambda: channel.queue_declare("napper", passive=True).message_count == 3)
        channel.queue_purge("napper")
    fleet.add_worker()
    completed(jobs)


def test_flower_sees_what_runs(fleet: HandMade) -> None:
    port = free_port()
    flower = fleet.stage.start("flower", "--port", str(port))

    def sees() -> bool:
        completed([fleet.naps("0.1")])
        try:
            tasks = get_json(f"http://127.0.0.1:{port}/api/tasks")
        except OSError:
            return False
        return any(task["name"] == "napper" and task["state"] == "SUCCESS" for task in tasks.values())

    wait_until(sees, within=START_WITHIN_S)
    flower.process.terminate()
    flower.wait(20)
