"""A fleet put together by hand: plain Celery workers beside our own commands, and a queue that nobody listens on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import Troupe
from orchestrator.local.redis_server import RedisServer
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tasks.states import TaskStatus
from tests.acceptance.stage import START_WITHIN_S, Stage, Stages, wait_until

CELERY = "-m celery -A workers.main:app worker -Q search -P threads -c 10 -n bare@%h"


@pytest.fixture(scope="module")
def hand_made(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    server = RedisServer.start(tmp_path_factory.mktemp("r"), append_only=False)
    stage = stages.new(TROUPE_REDIS_URL=server.url, TROUPE_NO_WORKER_S="2", TROUPE_REPUBLISH_S="1")
    commands = [stage.start("orchestrator"), stage.start("worker", "planner", "summary")]
    commands.append(stage.start_program([sys.executable, *CELERY.split()]))
    with Troupe(server.url) as troupe:

        def ready() -> bool:
            assert all(command.process.poll() is None for command in commands)
            queues = {queue for worker in troupe.workers() for queue in worker.queues}
            return queues == {"planner", "search", "summary"} and bool(troupe.orchestrators())

        wait_until(ready, within=START_WITHIN_S)
    yield stage
    for command in commands:
        command.process.terminate()
    assert [command.wait(20).code for command in commands] == [0, 0, 0]
    server.stop()


def test_plain_celery_workers_serve_a_job(hand_made: Stage, notes: Path) -> None:
    submitted = hand_made.troupe("submit", "What does a refund need?", "--docs", str(notes))
    assert submitted.code == 0, submitted.stderr
    done = hand_made.troupe("result", submitted.stdout.strip(), "--wait", "30", "--json")
    result = JobResult.model_validate_json(done.stdout)
    assert result.status is TaskStatus.COMPLETED
    assert {step.worker for step in result.steps if step.agent == "search"} == {_bare(result)}
    assert "signature of a manager" in (result.answer or "")


def test_a_step_whose_queue_nobody_listens_on_fails_and_names_the_queue(hand_made: Stage) -> None:
    plan = Plan(steps=[PlannedStep(id="count", description="Count the refunds.", agent="analysis")])
    with Troupe(hand_made.variables["TROUPE_REDIS_URL"]) as troupe:
        job = troupe.submit("How many refunds were there?", plan=plan)
        result = job.wait(30)
    assert result.status is TaskStatus.FAILED
    assert result.error is not None
    assert "no living worker listens on queue 'analysis'" in result.error.message
    assert [step.error.code for step in result.steps if step.error] == ["no_worker", "skipped"]
    shown = hand_made.troupe("result", str(job.id))
    assert shown.code == 1
    assert "troupe worker analysis" in shown.complaint


def _bare(result: JobResult) -> str:
    return next(step.worker for step in result.steps if step.worker and step.worker.startswith("bare@"))
