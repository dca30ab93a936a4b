"""Every way in which a replay can come out otherwise is said in words, the first in the order of the plan."""

from typing import Any

import pytest

from orchestrator.recording.lines import Fault
from tests.unit.recorded_job import FAILED, SOURCE, STEPS, a_recording, a_step_line, an_outcome

OTHER = SOURCE.model_copy(update={"id": "p9876543210", "path": "/docs/other.md"}).model_dump(mode="json")
OUTPUT = STEPS[1].model_dump(mode="json")["result"]
ERROR = {"code": "model_refused", "message": "It declined.", "retryable": False}
DIVERGED = {"code": "replay_diverged", "message": "call 1 differs", "retryable": False}


def difference(**changes: Any) -> str | None:
    recording = a_recording()
    return recording.difference(an_outcome(recording, **changes))


def test_the_same_outcome_has_no_difference() -> None:
    assert difference() is None


def test_what_a_replay_need_not_repeat_is_no_difference() -> None:
    spent = {"input_tokens": 9, "output_tokens": 9, "cache_read_tokens": 9, "cache_write_tokens": 9}
    usage = {**spent, "requests": 9, "tool_calls": 9, "cost_usd": 9}
    times = {"started_at": "2026-02-02T00:00:00Z", "finished_at": "2026-02-02T00:00:01Z"}
    one = {"attempts": 7, "worker": "w9", "queue": "elsewhere", "usage": usage, **times}
    job = {"job_id": "j" + "1" * 19, "usage": usage, "created_at": "2026-02-02T00:00:00Z"}
    assert difference(one=one, two={"error": {**ERROR, "retryable": True}}, job=job) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"description": "Do more."}, 'its description is "Do more."; in the recording "Do one."'),
        ({"agent": "analysis"}, 'its agent is "analysis"; in the recording "search"'),
        ({"depends_on": ["plan"]}, 'its depends on is ["plan"]; in the recording []'),
        ({"join": "any"}, 'its join is "any"; in the recording "all"'),
        ({"kind": "synthesis"}, 'its kind is "synthesis"; in the recording "work"'),
        ({"status": "skipped", "result": None}, "it was skipped; in the recording it succeeded"),
        (
            {"status": "failed", "error": ERROR, "result": None},
            "it failed (model_refused: It declined.); in the recording it succeeded",
        ),
        ({"status": "failed", "error": DIVERGED, "result": None}, "call 1 differs"),
        (
            {"result": {**OUTPUT, "text": "Found it."}},
            f"its text differs from character 7 on: 'Found it.'; in the recording 'Found [{SOURCE.id}].'",
        ),
        ({"result": {**OUTPUT, "data": {"n": 2}}}, 'its data are {"n": 2}; in the recording {"n": 1}'),
        (
            {"result": {**OUTPUT, "sources": [OTHER]}},
            "its source 1 is 'p9876543210' (/docs/other.md); in the recording 'p0123456789' (/docs/handbook.md)",
        ),
        ({"result": {**OUTPUT, "sources": []}}, "its sources are 0; in the recording 1"),
        ({"result": None}, "there is nothing now"),
    ],
)
def test_a_step_that_differs_is_named_with_what_differs(change: dict[str, Any], said: str) -> None:
    assert difference(one=change) == f"step 'one': {said}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"error": {**ERROR, "code": "model_nonsense"}},
            'it failed with "model_nonsense: It declined."; in the recording with "model_refused: It declined."',
        ),
        (
            {"partial": {"text": "Half a.", "data": None, "sources": []}},
            "what it had found: its text differs from character 5 on: 'Half a.'; in the recording 'Half.'",
        ),
        ({"partial": None}, "what it had found: there is nothing now"),
    ],
)
def test_a_step_that_failed_otherwise_is_named(change: dict[str, Any], said: str) -> None:
    assert difference(two=change) == f"step 'two': {said}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"status": "failed", "error": ERROR},
            "the job failed (model_refused: It declined.); in the recording it completed",
        ),
        ({"answer": "So?"}, "the answer differs from character 3 on: 'So?'; in the recording 'So [1].'"),
        ({"answer": None}, "the answer differs from character 1 on: ''; in the recording 'So [1].'"),
        ({"sources": []}, "the answer's sources are 0; in the recording 1"),
        ({"model": None}, 'the answer\'s model is null; in the recording "offline"'),
    ],
)
def test_a_job_that_differs_is_told(change: dict[str, Any], said: str) -> None:
    assert difference(job=change) == said


def test_the_first_difference_in_the_order_of_the_plan_is_told() -> None:
    later = {"description": "Later."}
    assert str(difference(two=later, one=later, job={"answer": "No."})).startswith("step 'one':")


def test_a_replay_that_ran_out_of_time_is_said_to_have() -> None:
    late = {"code": "deadline_passed", "message": "x", "retryable": False}
    assert difference(one=None, job={"status": "failed", "error": late}) == "the replay did not end within its time"


def test_a_step_that_is_missing_and_one_that_is_new_are_named() -> None:
    assert difference(one=None) == "step 'one' is missing"
    longer = a_recording([*STEPS, a_step_line("three")])
    assert a_recording().difference(an_outcome(longer)) == "step 'three' is not in the recording"


def test_a_plan_that_is_refused_only_now_is_said_to_be() -> None:
    repaired = an_outcome(a_recording([STEPS[0], a_step_line("plan-repair")]))
    said = "the plan that was recorded is refused here: an agent of it may be missing, or a limit be lower"
    assert a_recording().difference(repaired) == said


def test_long_values_are_shortened() -> None:
    data = difference(one={"result": {**OUTPUT, "data": "x" * 5000}})
    text = difference(one={"result": {**OUTPUT, "text": "x" * 5000}})
    assert [len(said) < 400 for said in (data, text) if said] == [True, True]


def test_what_workers_cut_of_a_message_is_no_difference() -> None:
    long = "x" * 3000
    recording = a_recording([FAILED.model_copy(update={"error": Fault(code="model_refused", message=long)})])
    outcome = an_outcome(recording, two={"error": {**ERROR, "message": long[:2000]}})
    assert recording.difference(outcome) is None
