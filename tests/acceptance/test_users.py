"""A whole fleet, each process as the Redis user of its role: all goes as ever, and nobody asks for more than it has."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from pydantic import SecretStr

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from orchestrator.local.redis_server import free_port
from tasks.errors import BadSetting
from tasks.models import Plan, PlannedStep
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tests.acceptance.stage import START_WITHIN_S, Stage, Stages, copy_actors, get_json, wait_until
from tests.support.users import Guarded, guarded

QUEUES = ("planner", "search", "analysis", "summary", "napper")


@dataclass(frozen=True, slots=True)
class Roles:
    """A fleet of an orchestrator, a worker and Flower, and a producer's client."""

    server: Guarded
    stage: Stage
    producer: Troupe
    flower: str

    def nap(self, length: str) -> JobHandle:
        """Submit a job of one nap."""
        return self.producer.submit("Sleep well.", plan=nap(length))

    def shown(self, what: str) -> object:
        """What Flower's API says; None while it is not up."""
        try:
            return get_json(f"{self.flower}/api/{what}")
        except OSError:
            return None

    def napping(self, job: JobHandle) -> int:
        """Wait until its nap has begun; gives the process that runs it."""

        def found() -> int | None:
            naps = self.stage.folder / "naps.txt"
            lines = naps.read_text().splitlines() if naps.exists() else []
            return next((int(line.split()[0]) for line in lines if str(job.id) in line), None)

        return wait_until(found) or 0


def nap(length: str) -> Plan:
    return Plan(steps=[PlannedStep(id="nap-0", description=f"nap {length}", agent="napper")])


def start_worker(stage: Stage, server: Guarded) -> None:
    stage.start("worker", *QUEUES, "--concurrency", "8", TROUPE_REDIS_URL=server.url("worker"))


@pytest.fixture(scope="module")
def roles(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    stage = stages.new(TROUPE_AGENTS="actors", TROUPE_MODEL="offline", TROUPE_LEASE_S="3", TROUPE_REPUBLISH_S="2")
    stage.variables["TROUPE_TASK_EVENTS"] = "true"  # else Flower misses what is over before it is up
    stage.variables["NAPS"] = str(stage.folder / "naps.txt")
    copy_actors(stage)
    with guarded(tmp_path_factory.mktemp("roles"), {"REDIS_QUEUES": "napper"}) as server:
        port = free_port()
        stage.start("orchestrator", TROUPE_REDIS_URL=server.url("orchestrator"))
        start_worker(stage, server)
        stage.start("flower", "--port", str(port), TROUPE_REDIS_URL=server.url("flower"))
        with Troupe(server.url("producer")) as producer:
            made = Roles(server, stage, producer, f"http://127.0.0.1:{port}")

            def ready() -> bool:
                assert all(one.process.poll() is None for one in stage.commands), [one.said for one in stage.commands]
                return bool(producer.workers()) and bool(producer.orchestrators()) and made.shown("workers") is not None

            wait_until(ready, within=START_WITHIN_S)
            yield made
        for one in stage.commands:
            one.process.terminate()
        assert {one.wait().code for one in stage.commands if one.process.poll() is None} <= {0}


def test_jobs_of_all_kinds_go_to_their_end_and_nobody_is_refused_anything(roles: Roles) -> None:
    whole = roles.producer.submit("Compare refunds and returns.")
    talk = roles.producer.session("roles")
    turns = [talk.send("Sleep.", plan=nap("0.1")), talk.send("Sleep again.", plan=nap("0.1"))]
    killed = roles.nap("60 0.1")
    os.kill(roles.napping(killed), signal.SIGKILL)
    start_worker(roles.stage, roles.server)
    cancelled, paused = roles.nap("60"), roles.nap("60 0.1")
    cancelled.cancel()
    paused.pause()
    paused.resume()
    wait_until(lambda: all(one.wait(60).status is TaskStatus.COMPLETED for one in (whole, *turns, killed)))
    assert cancelled.wait(30).status is TaskStatus.CANCELLED
    paused.cancel()
    assert roles.producer.stats().jobs
    for look in (roles.producer.scale, roles.producer.tools, roles.producer.metrics, killed.trace, killed.ledger):
        look()
    assert roles.producer.prune(timedelta(0), [TaskStatus.CANCELLED]) >= 1
    shown = roles.stage.troupe("doctor", "--json", TROUPE_REDIS_URL=roles.server.url("doctor")).stdout
    assert '"check":"orchestrator","verdict":"ok"' in shown, shown
    for role in ("orchestrator", "worker"):
        assert roles.stage.troupe("doctor", "--role", role, TROUPE_REDIS_URL=roles.server.url(role)).code == 0
    wait_until(lambda: roles.shown("tasks"))
    wait_until(lambda: roles.shown("workers?refresh=1"))
    assert [one for one in roles.server.refusals() if one.partition(" troupe:")[0] != "flower: key"] == []


def test_a_worker_cannot_submit(roles: Roles) -> None:
    settings = StoreSettings(redis_url=SecretStr(roles.server.url("worker")))
    with Troupe(settings=settings) as troupe, pytest.raises(BadSetting, match="refuses us"):
        troupe.submit("Do as I say.")
    assert roles.server.refusals()


def test_flower_cannot_read_a_result(roles: Roles) -> None:
    job = roles.nap("0.1")
    assert job.wait(60).answer
    with Troupe(roles.server.url("flower")) as troupe, pytest.raises(BadSetting, match="refuses us"):
        troupe.job(str(job.id)).result(timeout=1)
    assert roles.server.refusals()
