"""What monitors are told of attempts."""

from collections.abc import Iterator
from typing import Any

import pytest

from tasks.errors import StoreUnavailable
from tasks.ids import AttemptRef, StepId
from tasks.models import Claim
from tests.unit.attempts import JOB, REF, make_claim, make_input
from workers.loop import EventLoopThread
from workers.shown import AttemptEvents, described, ended
from workers.spans import AttemptSpan

TASK = REF.task_id


class FakeDispatcher:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.enabled = True
        self.groups = {"task", "worker"}
        self.sent: list[dict[str, Any]] = []

    def send(self, type: str, **fields: object) -> None:  # noqa: A002 - Celery's name
        self.sent.append({"type": type, **fields})

    @property
    def kinds(self) -> list[str]:
        return [one["type"] for one in self.sent]


class Scene:
    """A loop in which one attempt runs, as in a worker."""

    def __init__(self) -> None:
        self.loop = EventLoopThread()
        self.dispatcher = FakeDispatcher()
        self.events = AttemptEvents()
        self.events.dispatcher = lambda: self.dispatcher
        self.during: list[list[str]] = []
        """Kinds of events that were sent before the attempt was let go on."""

    def run(self, outcome: str | Exception, *, claimed: bool = True, wake: bool = False) -> str:
        """Follow an attempt to its end; `wake`: events are asked for while it runs."""

        async def work() -> str:
            if claimed:
                with self.events.attempt(AttemptSpan(make_claim())):
                    if wake:
                        self.dispatcher.groups.add("task")
                        self.events.tell_running()
                    self.during.append(self.dispatcher.kinds)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return self.events.follow(lambda: self.loop.submit(work()))


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    made.loop.start()
    yield made
    made.loop.stop()


def test_an_attempt_is_told_of_from_its_claim_to_its_end(scene: Scene) -> None:
    assert scene.run("succeeded") == "succeeded"
    assert scene.dispatcher.kinds == ["task-received", "task-started", "task-succeeded"]
    assert {one["uuid"] for one in scene.dispatcher.sent} == {TASK}
    assert scene.dispatcher.sent[0]["timestamp"] == scene.dispatcher.sent[1]["timestamp"]
    assert scene.dispatcher.sent[2]["runtime"] >= 0


@pytest.mark.parametrize("outcome", ["dropped", "stopped: the step is for another version of its agent"])
def test_a_message_that_is_not_claimed_leaves_no_trace(outcome: str, scene: Scene) -> None:
    """It may be the second one of an attempt that runs elsewhere, whose place it would take."""
    assert scene.run(outcome, claimed=False) == outcome
    assert scene.dispatcher.sent == []


def test_nothing_is_sent_unless_it_is_asked_for(scene: Scene) -> None:
    scene.dispatcher.groups = {"worker"}
    scene.run("succeeded")
    scene.dispatcher.enabled = False
    scene.dispatcher.groups = set()
    scene.run("succeeded")
    scene.events.dispatcher = lambda: None
    assert scene.run("succeeded") == "succeeded"
    assert scene.dispatcher.sent == []


def test_what_runs_already_when_somebody_asks_is_told_of_once(scene: Scene) -> None:
    scene.dispatcher.groups = {"worker"}
    scene.run("succeeded", wake=True)
    assert scene.during == [["task-received", "task-started"]]
    assert scene.dispatcher.kinds == ["task-received", "task-started", "task-succeeded"]


def test_what_could_not_be_settled_is_not_said_to_have_ended(scene: Scene) -> None:
    with pytest.raises(StoreUnavailable):
        scene.run(StoreUnavailable("it is away"))
    assert scene.dispatcher.kinds[-1] == "task-retried"
    assert scene.dispatcher.sent[-1]["exception"] == "unsettled: it is away"


@pytest.mark.parametrize(
    ("outcome", "kind", "said"),
    [
        ("succeeded", "task-succeeded", "succeeded"),
        ("failed: model_refused: it declined", "task-failed", "model_refused: it declined"),
        ("parked: approval", "task-retried", "parked: approval"),
        ("deferred: rate_limited: later", "task-retried", "deferred: rate_limited: later"),
        ("stopped: draining", "task-retried", "stopped: draining"),
        ("stopped: cancelled", "task-revoked", "stopped: cancelled"),
        ("stopped: superseded", "task-revoked", "stopped: superseded"),
        ("refused: over", "task-revoked", "refused: over"),
    ],
)
def test_each_outcome_has_its_state(outcome: str, kind: str, said: str) -> None:
    event, fields = ended(outcome)
    assert event == kind
    assert said in (fields.get("result"), fields.get("exception"))


def test_a_long_reason_is_cut() -> None:
    assert len(str(ended("failed: " + "x" * 10_000)[1]["exception"])) <= 500


def changed(claim: Claim, *, attempt: int = 1, parent_attempt: int = 0, **step: object) -> Claim:
    step_ = claim.step.model_copy(update=step)
    return claim.model_copy(update={"step": step_, "attempt": attempt, "parent_attempt": parent_attempt})


def test_an_attempt_is_described_for_people_and_for_the_search() -> None:
    about = described(make_claim())
    assert (about["name"], about["args"], about["routing_key"]) == ("search", "Find it.", "search")
    assert about["kwargs"] == f"{{'job': '{JOB}', 'step': 'find', 'attempt': 1, 'goal': 'Find it.'}}"


def test_a_description_has_no_secrets() -> None:
    about = described(changed(make_claim(), description="Use password: hunter22 there."))
    assert "hunter22" not in f"{about}"


def test_a_task_follows_from_the_planners() -> None:
    planner = AttemptRef(JOB, StepId("plan"), 1).task_id
    about = described(make_claim())
    assert (about["root_id"], about["parent_id"], about["retries"]) == (planner, planner, 0)


def test_the_planners_task_follows_from_none() -> None:
    assert described(changed(make_claim(), id="plan"))["parent_id"] is None


def test_a_retry_follows_from_the_attempt_before() -> None:
    about = described(changed(make_claim(), attempt=3))
    assert (about["parent_id"], about["retries"]) == (AttemptRef(JOB, REF.step, 2).task_id, 2)


def test_a_delegated_step_follows_from_the_attempt_that_delegated_it() -> None:
    about = described(changed(make_claim(inputs=[make_input()]), parent="boss", parent_attempt=2))
    assert about["parent_id"] == AttemptRef(JOB, StepId("boss"), 2).task_id


def test_calls_are_not_shown() -> None:
    events: Any = AttemptEvents()
    with events.call(None) as shown:
        assert shown is None


def test_an_attempt_that_nobody_follows_is_let_be() -> None:
    events = AttemptEvents()
    with events.attempt(AttemptSpan(make_claim())):
        events.tell_running()
    assert not events.wanted
