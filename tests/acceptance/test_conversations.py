"""Conversations on a real fleet: kill -9 between a message and its answer, and a chat through a pipe."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import JobHandle, Troupe
from tasks.ids import JobId
from tasks.models import Plan, PlannedStep
from tasks.states import TaskStatus
from tests.acceptance.conftest import Fleet, start_fleet
from tests.acceptance.stage import Stages, copy_actors
from tests.unit.pages import others


@pytest.fixture(scope="module")
def own(stages: Stages) -> Iterator[Fleet]:
    """A stack whose workers may die."""
    stage = stages.new(TROUPE_AGENTS="actors", TROUPE_LEASE_S="3", TROUPE_REPUBLISH_S="1")
    stage.variables["NAPS"] = str(stage.folder / "naps.txt")
    copy_actors(stage)
    up, url, _ = start_fleet(stage, "--concurrency", "8", flower=False)
    with Troupe(url) as troupe:
        yield Fleet(stage, up, url, "", troupe)
    up.process.terminate()
    up.wait()


def nap(length: str) -> Plan:
    return Plan(steps=[PlannedStep(id="nap-0", description=f"nap {length}", agent="napper")])


def said(fleet: Fleet, session: str) -> list[tuple[str, JobId | None]]:
    return [(one.role, one.job) for one in fleet.troupe.session(session).messages()]


def kill(fleet: Fleet, kind: str) -> None:
    """kill -9 of the workers of a queue, wherever they are with their work."""
    for one in fleet.troupe.workers():
        if one.name.startswith(f"{kind}-") and Path(f"/proc/{one.pid}").exists():
            os.kill(one.pid, signal.SIGKILL)


def test_every_message_and_every_answer_is_there_once_whoever_was_killed_between_them(own: Fleet) -> None:
    talk = own.troupe.session("killed")
    jobs: list[JobHandle] = [
        talk.send(f"Sleep {at}.", plan=nap(length)) for at, length in enumerate(["60 0.1", "0.1", "60 0.1", "0.1"])
    ]
    os.kill(own.napping(jobs[0]), signal.SIGKILL)
    jobs[0].wait(60)
    kill(own, "summary")
    os.kill(own.napping(jobs[2]), signal.SIGKILL)
    kill(own, "summary")
    assert [job.wait(60).status for job in jobs] == [TaskStatus.COMPLETED] * 4
    told = said(own, "killed")
    assert sorted(told) == sorted([(role, job.id) for job in jobs for role in ("user", "assistant")])
    assert [job for role, job in told if role == "user"] == [job.id for job in jobs]
    assert [job for role, job in told if role == "assistant"] == [job.id for job in jobs]


def test_a_session_goes_on_behind_a_job_that_was_cancelled(own: Fleet) -> None:
    talk = own.troupe.session("cancelled")
    first, second = talk.send("Sleep long.", plan=nap("60")), talk.send("Sleep short.", plan=nap("0.1"))
    own.napping(first)
    first.cancel()
    assert second.wait(60).status is TaskStatus.COMPLETED
    assert said(own, "cancelled") == [
        ("user", first.id), ("user", second.id), ("system", first.id), ("assistant", second.id),
    ]  # fmt: skip


def test_a_job_is_carried_on_by_a_worker_that_did_not_begin_it(own: Fleet) -> None:
    steps = [
        PlannedStep(id=f"nap-{at}", description="nap 0.1", agent="napper", depends_on=[f"nap-{at - 1}"] if at else [])
        for at in range(3)
    ]
    job = own.troupe.submit("Sleep well.", plan=Plan(steps=steps), max_steps=1)
    assert job.stand(60).paused
    kill(own, "napper")
    assert job.task_state().completed_steps == (0,)
    job.advance(1)
    assert job.stand(60).paused
    assert job.task_state().current_step == 2
    done = own.stage.troupe("advance", job.id, "--wait", "60", TROUPE_REDIS_URL=own.url)
    assert done.code == 0, done.stderr
    result = job.wait(60)
    assert result.status is TaskStatus.COMPLETED
    assert len({step.worker for step in result.steps if step.agent == "napper"}) == 2


def test_the_example_of_the_page_works(own: Fleet) -> None:
    (example,) = others("docs/sessions.md")
    done = own.stage.start_program([sys.executable, "-c", example.text], TROUPE_REDIS_URL=own.url).wait(90)
    assert (done.code, done.stderr) == (0, "")
    roles = [role for role, _ in said(own, "customer-17")]
    assert roles == ["user", "assistant", "user", "assistant", "system"]
    assert "5 system The customer is in a hurry. None" in done.stdout


def test_a_chat_through_a_pipe(own: Fleet) -> None:
    chat = shlex.join([sys.executable, "-m", "orchestrator.cli", "chat", "piped"])
    words = "What is it?\\nAnd why?\\n/state\\n/trace\\n/what\\n"
    done = own.stage.start_program(["sh", "-c", f"printf '{words}' | {chat}"], TROUPE_REDIS_URL=own.url).wait(60)
    assert done.code == 0, done.stderr
    assert [role for role, _ in said(own, "piped")] == ["user", "assistant"] * 2
    assert "4 messages" in done.stdout
    assert "synthesis" in done.stdout
    assert "there is no /what" in done.stderr
    listed = own.stage.troupe("sessions", TROUPE_REDIS_URL=own.url)
    assert "piped." in listed.stdout
    assert own.stage.troupe("sessions", "delete", "piped", TROUPE_REDIS_URL=own.url).code == 0
    gone = own.stage.troupe("sessions", "show", "piped", TROUPE_REDIS_URL=own.url)
    assert (gone.code, "there is no session 'piped.0'" in gone.complaint) == (2, True)
