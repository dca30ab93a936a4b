"""What Flower shows as running is looked up in the store."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.local.flower_truth import Truth, missed_at_a_glance, missed_event
from tasks.errors import StoreUnavailable, UnknownJob
from tasks.models import Attempt, AttemptOutcome, Failure
from tasks.settings import StoreSettings
from tasks.states import StepStatus
from tasks.store.glance import Glance
from tasks.store.snapshot import StepRecord
from tests.support.builders import a_step
from tests.unit.attempts import REF

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def a_record(status: StepStatus, *attempts: Attempt, attempt: int = 1) -> StepRecord:
    return StepRecord(a_step("find"), status, attempt, 0, 0, "w", THEN, THEN, None, None, attempts)


def an_attempt(outcome: AttemptOutcome, failure: Failure | None = None) -> Attempt:
    ended = THEN + timedelta(seconds=2)
    return Attempt(step=REF.step, number=1, outcome=outcome, started_at=THEN, finished_at=ended, failure=failure)


@pytest.mark.parametrize("status", [StepStatus.RUNNING, StepStatus.DISPATCHED, StepStatus.READY])
def test_what_runs_has_missed_nothing(status: StepStatus) -> None:
    assert missed_event(1, a_record(status)) is None


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (AttemptOutcome.SUCCEEDED, "task-succeeded"),
        (AttemptOutcome.FAILED, "task-failed"),
        (AttemptOutcome.LOST, "task-failed"),
        (AttemptOutcome.PARKED, "task-retried"),
        (AttemptOutcome.RETURNED, "task-retried"),
    ],
)
def test_an_attempt_that_ended_is_told_of_as_it_ended(outcome: AttemptOutcome, kind: str) -> None:
    failure = None if outcome is AttemptOutcome.SUCCEEDED else Failure(code="no", message="It went wrong.")
    missed = missed_event(1, a_record(StepStatus.RUNNING, an_attempt(outcome, failure), attempt=2))
    assert missed is not None
    event, fields, at = missed
    assert (event, fields["runtime"], at) == (kind, 2.0, (THEN + timedelta(seconds=2)).timestamp())
    assert fields["exception"] == (None if failure is None else "no: It went wrong.")


def test_every_outcome_has_its_event() -> None:
    for outcome in AttemptOutcome:
        assert missed_event(1, a_record(StepStatus.FAILED, an_attempt(outcome))) is not None


def test_the_attempt_of_a_cancelled_step_is_revoked() -> None:
    event, fields, _ = missed_event(1, a_record(StepStatus.CANCELLED)) or ("", {}, None)
    assert (event, fields["exception"]) == ("task-revoked", "stopped: the step is cancelled")


def test_a_step_that_succeeded_without_a_record_of_its_attempt_has_succeeded() -> None:
    assert (missed_event(1, a_record(StepStatus.SUCCEEDED)) or ("",))[0] == "task-succeeded"


def test_an_attempt_that_was_passed_over_is_revoked() -> None:
    assert (missed_event(1, a_record(StepStatus.RUNNING, attempt=2)) or ("",))[0] == "task-revoked"


def test_a_job_that_is_not_kept_any_more_runs_nothing() -> None:
    event, fields, _ = missed_event(1, None) or ("", {}, None)
    assert (event, fields["exception"]) == ("task-revoked", "gone: its job is past its retention")


class Scene:
    """Flower's state by hand, and a store that answers as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tasks: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.answer: StepRecord | Exception | None = None
        state = SimpleNamespace(tasks=SimpleNamespace(data=self.tasks), event=self.events.append)
        self.truth = Truth(StoreSettings(), SimpleNamespace(state=state))
        monkeypatch.setattr("orchestrator.local.flower_truth.Store", lambda _: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        monkeypatch.setattr("orchestrator.local.flower_truth.Snapshots", lambda _: self)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]

    def add(self, uuid: str, state: str = "STARTED", age: float = 60.0) -> None:
        worker = SimpleNamespace(hostname="search-1@here")
        self.tasks[uuid] = SimpleNamespace(state=state, timestamp=time.time() - age, worker=worker)

    async def step(self, job: str, step: str) -> StepRecord | None:
        self.asked.append(f"{job}:{step}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


async def test_a_missed_end_is_made_up_for(scene: Scene) -> None:
    scene.add(REF.task_id)
    scene.answer = a_record(StepStatus.CANCELLED)
    await scene.truth.look()
    (event,) = scene.events
    assert (event["type"], event["uuid"], event["hostname"]) == ("task-revoked", REF.task_id, "search-1@here")
    assert event["local_received"] is None  # it would count as a sign of life of that worker


async def test_what_has_ended_what_is_young_and_what_is_not_ours_is_not_looked_up(scene: Scene) -> None:
    scene.add(REF.task_id, "SUCCESS")
    scene.add(REF._replace(attempt=2).task_id, age=0)
    scene.add("4711")
    await scene.truth.look()
    assert scene.asked == []


async def test_what_runs_is_let_be(scene: Scene) -> None:
    scene.add(REF.task_id)
    scene.answer = a_record(StepStatus.RUNNING)
    await scene.truth.look()
    assert (scene.asked, scene.events) == ([f"{REF.job}:{REF.step}"], [])


async def test_a_job_that_is_gone_and_a_store_that_is_away_end_nothing(scene: Scene) -> None:
    scene.add(REF.task_id)
    scene.answer = StoreUnavailable("it is away")
    await scene.truth.look()
    await scene.truth.look()
    assert scene.events == []
    scene.answer = UnknownJob("none")
    await scene.truth.look()
    assert [event["type"] for event in scene.events] == ["task-revoked"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (StepStatus.SUCCEEDED, "task-succeeded"),
        (StepStatus.FAILED, "task-failed"),
        (StepStatus.PARKED, "task-retried"),
        (StepStatus.DELAYED, "task-retried"),
        (StepStatus.READY, "task-retried"),
        (StepStatus.BLOCKED, "task-retried"),
        (StepStatus.CANCELLED, "task-revoked"),
        (StepStatus.SKIPPED, "task-revoked"),
    ],
)
def test_who_may_read_no_results_sees_how_an_attempt_ended(status: StepStatus, kind: str) -> None:
    missed = missed_at_a_glance(2, Glance(status, 2, THEN))
    assert missed is not None
    assert (missed[0], missed[2]) == (kind, THEN.timestamp())


@pytest.mark.parametrize("status", [StepStatus.RUNNING, StepStatus.DISPATCHED])
def test_at_a_glance_what_runs_has_missed_nothing(status: StepStatus) -> None:
    assert missed_at_a_glance(2, Glance(status, 2, None)) is None


def test_at_a_glance_an_earlier_attempt_is_over_and_one_of_a_forgotten_job_is_gone() -> None:
    over, gone = missed_at_a_glance(1, Glance(StepStatus.RUNNING, 2, None)), missed_at_a_glance(1, None)
    assert over is not None
    assert gone is not None
    assert (over[0], gone[0]) == ("task-retried", "task-revoked")
