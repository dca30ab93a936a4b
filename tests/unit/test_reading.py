"""What cannot be read: of a later release, or damaged."""

import json

import pytest

from tasks.errors import DamagedRecord, IncompatibleVersion
from tasks.messages import StepMessage
from tasks.models import JobSpec, Step
from tasks.states import StepStatus, TaskStatus
from tasks.store.reading import known, readable

STEP = {"id": "one", "description": "Do it.", "agent": "a", "queue": "a"}


@pytest.mark.parametrize(
    "more",
    [{"mood": "new"}, {"kind": "dream"}, {"join": "most", "mood": "new"}, {"retry": {"patience": 3}}],
    ids=str,
)
def test_what_says_more_than_we_know_is_of_a_later_release(more: dict[str, object]) -> None:
    with pytest.raises(IncompatibleVersion, match="it was written by a release"), readable("it"):
        Step.model_validate_json(json.dumps({**STEP, **more}))


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"id":"one"}', json.dumps({**STEP, "timeout_ms": "soon"})])
def test_what_no_release_writes_is_damaged(text: str) -> None:
    with pytest.raises(DamagedRecord, match="it is damaged"), readable("it"):
        Step.model_validate_json(text)


def test_a_version_says_so_by_itself_whatever_else_is_missing() -> None:
    with pytest.raises(IncompatibleVersion), readable("it"):
        JobSpec.model_validate({"version": 2, "goal": "x"})
    with pytest.raises(IncompatibleVersion), readable("it"):
        StepMessage.model_validate({"v": 2, "ref": "x"})


@pytest.mark.parametrize("error", [KeyError("s:one"), ValueError("no number"), IndexError()])
def test_a_part_that_is_missing_or_no_number_is_damage(error: Exception) -> None:
    with pytest.raises(DamagedRecord, match=type(error).__name__), readable("it"):
        raise error


def test_a_status_of_a_later_release_is_named() -> None:
    assert known(StepStatus, "ready") is StepStatus.READY
    with pytest.raises(IncompatibleVersion, match="'dreaming' is no TaskStatus"), readable("it"):
        known(TaskStatus, "dreaming")


def test_a_fault_does_not_tell_what_was_written() -> None:
    with pytest.raises(DamagedRecord) as caught, readable("it"):
        Step.model_validate({**STEP, "timeout_ms": "my secret"})
    assert "secret" not in str(caught.value)
