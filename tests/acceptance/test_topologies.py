"""Whole fleets on other stores and brokers than one Redis: a cluster, Sentinels, a broker with garbage in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.local.redis_server import RedisServer
from tasks.errors import StoreFull, StoreUnavailable
from tasks.states import TaskStatus
from tests.acceptance.hand_made import HandMade, completed, hand_made, log_of
from tests.acceptance.stage import Stage, Stages, wait_until
from tests.support.servers import client, cluster, watched

SECRET = "geheim-4711"
GARBAGE = [
    SECRET,
    "[1, 2]",
    "7",
    "null",
    '{"body": "x"}',
    '{"body": "@@@", "properties": {"body_encoding": "base64", "delivery_tag": "t"}}',
    '{"body": "x", "properties": {"body_encoding": "rot13", "delivery_tag": "t"}}',
    '{"body": "", "headers": {"task": [1], "id": "i"}, "properties": {"delivery_tag": "t"}}',
    '{"body": "", "headers": {"task": "napper", "id": {}}, "properties": {"delivery_tag": "t"}}',
    '{"body": "W10=", "headers": {"task": "nobody", "id": "i"}, "properties": {"delivery_tag": "t"}}',
    "[" * 100_000,
    '{"__type__": "datetime", "__value__": "x"}',
    b"\xff\xfe\x00",
]


def test_jobs_run_on_a_cluster_while_a_node_restarts(stages: Stages, tmp_path: Path) -> None:
    broker = RedisServer.start(tmp_path / "broker", append_only=False)
    try:
        with (
            cluster(tmp_path / "cluster") as nodes,
            hand_made(stages.new(), nodes.url, TROUPE_BROKER_URL=_broker(broker), TROUPE_PARTITIONS="8") as fleet,
        ):
            jobs = [fleet.naps("0.1", "1", "0.1") for _ in range(24)]
            fleet.napping(jobs[0])
            nodes.nodes[0].process.kill()
            nodes.nodes[0].stop()
            nodes.start_node(0)
            nodes.wait_until_whole()  # a caller who begins to wait on a store that is away is told so at once
            completed(jobs)
            finished = {job.snapshot().job_id for job in jobs}
            assert finished <= {one.job_id for one in fleet.troupe.jobs(100)}
            holders = [one.dbsize() for one in map(client, (node.url for node in nodes.nodes))]
            assert all(holders)
            doctor = fleet.stage.troupe("doctor", "--json")
            assert doctor.stdout.count('"check":"store","verdict":"ok"') == len(nodes.nodes), doctor.stdout
    finally:
        broker.stop()


def test_a_store_that_fails_over_delays_jobs_and_loses_none(stages: Stages, tmp_path: Path) -> None:
    with watched(tmp_path) as servers, hand_made(stages.new(), servers.url) as fleet:
        jobs = [fleet.naps("0.2", "2", "0.2") for _ in range(8)]
        fleet.napping(jobs[-1])
        master = client(servers.servers[0].url)
        assert master.wait(1, 5000) == 1  # what was accepted is on the replica, too
        first = servers.master_port()
        servers.servers[0].process.kill()
        servers.servers[0].stop()
        wait_until(lambda: servers.master_port() != first and _answers(fleet))
        completed(jobs)
        completed([fleet.naps("0.1")])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer.start(tmp_path / "r", append_only=False)
    yield made
    made.stop()


def test_garbage_in_a_queue_is_dropped_and_the_worker_lives_on(stage: Stage, server: RedisServer) -> None:
    with hand_made(stage, server.url) as fleet:
        broker: Any = client(server.url.replace("db=0", "db=1"))
        completed([fleet.naps("0.1")])
        for one in GARBAGE:
            broker.lpush("napper", one)
        completed([fleet.naps("0.1")])
        assert broker.llen("napper") == 0
        assert len(fleet.workers) == 1
        assert fleet.workers[0].process.poll() is None
        said = log_of(stage)
        assert "element_dropped" in said
        assert SECRET not in said
        _one_start_each(fleet)


def test_a_store_that_is_full_for_a_while_delays_jobs_and_loses_none(stage: Stage, server: RedisServer) -> None:
    with hand_made(stage, server.url) as fleet:
        jobs = [fleet.naps("1", "0.1", "0.1") for _ in range(12)]
        fleet.napping(jobs[0])
        administrator = client(server.url)
        administrator.config_set("maxmemory", 1)
        with pytest.raises(StoreFull):
            fleet.naps("0.1")
        wait_until(lambda: any(step.status == "succeeded" for step in jobs[0].snapshot().steps))
        assert jobs[-1].cancel() is TaskStatus.CANCELLED
        administrator.config_set("maxmemory", 0)
        administrator.close()
        completed([*jobs[:-1], fleet.naps("0.1")])
        _one_start_each(fleet)


def _answers(fleet: HandMade) -> bool:
    try:
        return bool(fleet.troupe.jobs(1))
    except StoreUnavailable:
        return False


def _one_start_each(fleet: HandMade) -> None:
    assert len(fleet.starts()) == len(set(fleet.starts()))


def _broker(server: RedisServer) -> str:
    return server.url.replace("unix://", "redis+socket://").replace("db=0", "virtual_host=0")
