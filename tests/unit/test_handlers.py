"""What Celery calls: reads the message, runs the attempt, says what became of it."""

from typing import Any, cast

import pytest
from celery import Celery

from tasks.errors import StepFailed
from tasks.ids import AttemptRef
from tasks.messages import StepMessage
from tests.unit.attempts import JOB, REF
from workers.agents.base import Agent
from workers.agents.registry import AgentRegistry
from workers.handlers import register
from workers.process import WorkerProcess


class FakeProcess:
    """A worker process that does as told."""

    def __init__(self) -> None:
        self.ran: list[AttemptRef] = []
        self.outcome = "succeeded"

    def run(self, ref: AttemptRef) -> str:
        self.ran.append(ref)
        return self.outcome


class Scene:
    """An app with one agent."""

    def __init__(self) -> None:
        self.process = FakeProcess()
        self.app = Celery("test", set_as_current=False)
        agents = AgentRegistry(
            [Agent(name="search", description="Looks."), Agent(name="finance", description="Prices.")]
        )
        register(self.app, agents, cast(WorkerProcess, self.process))
        self.handlers = cast("dict[str, Any]", self.app.tasks)

    def handle(self, **changes: object) -> str:
        message = StepMessage(job=JOB, step=REF.step, attempt=REF.attempt, goal="Find it.").model_dump(mode="json")
        return self.handlers["search"](**{**message, **changes})


def test_every_agent_has_a_handler_of_its_name() -> None:
    scene = Scene()
    assert {"search", "finance"} <= set(scene.handlers)
    assert scene.handlers["search"].acks_late is False


def test_a_message_runs_its_attempt() -> None:
    scene = Scene()
    assert scene.handle() == "succeeded"
    assert scene.process.ran == [REF]


@pytest.mark.parametrize("outcome", ["dropped", "stopped: draining", "refused: over"])
def test_what_is_no_failure_is_returned(outcome: str) -> None:
    scene = Scene()
    scene.process.outcome = outcome
    assert scene.handle() == outcome


def test_a_failed_attempt_is_red_in_flower_and_expected() -> None:
    scene = Scene()
    scene.process.outcome = "failed: model_refused: it declined"
    with pytest.raises(StepFailed, match=r"^model_refused: it declined$"):
        scene.handle()
    assert scene.handlers["search"].throws == (StepFailed,)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"priority": 5},
        {"attempt": 0},
        {"attempt": "one"},
        {"job": "j1"},
        {"job": ""},
        {"job": None},
        {"step": "Not A Step"},
        {"goal": 5},
    ],
    ids=str,
)
def test_a_message_that_this_release_cannot_read_is_dropped(changes: dict[str, object]) -> None:
    scene = Scene()
    assert scene.handle(**changes) == "dropped: this release cannot read the message"
    assert scene.process.ran == []
