"""The Celery message of an attempt."""

import json

import pytest
from pydantic import ValidationError

from tasks.ids import AttemptRef, JobId, StepId
from tasks.messages import MAX_GOAL_CHARS, Dispatch, StepMessage
from tasks.models import Step

JOB = JobId("j0123456789abcdefgh3")
STEP = Step(id=StepId("find"), description="Find  it\n now.", agent="search", queue="slow")


def test_a_dispatch_says_where_to_and_what_for() -> None:
    dispatch = Dispatch.of(JOB, STEP, 2)
    assert (dispatch.agent, dispatch.queue, dispatch.message.goal) == ("search", "slow", "Find it now.")
    assert dispatch.message.ref == AttemptRef(JOB, StepId("find"), 2)


@pytest.mark.parametrize(("length", "goal"), [(120, "x" * 120), (121, "x" * 119 + "…"), (5000, "x" * 119 + "…")])
def test_a_long_goal_is_cut_for_one_cell(length: int, goal: str) -> None:
    step = STEP.model_copy(update={"description": "x" * length})
    assert Dispatch.of(JOB, step, 1).message.goal == goal
    assert len(goal) <= MAX_GOAL_CHARS


def test_a_message_is_small_and_plain_json() -> None:
    message = Dispatch.of(JOB, STEP.model_copy(update={"description": "x" * 20_000}), 1).message
    text = json.dumps(message.model_dump(mode="json"))
    assert len(text) < 400
    assert StepMessage.model_validate(json.loads(text)) == message


@pytest.mark.parametrize(
    "values", [{"v": 2}, {"job": "j"}, {"job": "x"}, {"attempt": 0}, {"step": "A"}, {"x": 1}], ids=str
)
def test_a_message_of_another_form_is_refused(values: dict[str, object]) -> None:
    good = {"job": JOB, "step": "find", "attempt": 1, "goal": "x"}
    StepMessage.model_validate(good)
    with pytest.raises(ValidationError):
        StepMessage.model_validate({**good, **values})


def test_the_goal_that_flower_shows_has_no_secrets() -> None:
    step = STEP.model_copy(update={"description": "Log in with password=kestrel " + "and more " * 200})
    goal = Dispatch.of(JOB, step, 1).message.goal
    assert goal.startswith("Log in with password=*** and more")
    assert len(goal) == MAX_GOAL_CHARS
