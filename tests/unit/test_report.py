"""From a job as stored to JobResult."""

import pytest

from orchestrator.report import report
from tasks.models import Failure, Source, StepKind, StepResult
from tasks.results import ErrorReport
from tasks.states import StepStatus, TaskStatus
from tests.unit.records import AT, JOB, make_attempt, make_job, make_step

BUSY = Failure(code="model_unavailable", message="busy", retryable=True)
SOURCE = Source(id="p0123456789", number=1, title="A", path="/a")
ANSWER = StepResult(text="So [1].", sources=(SOURCE,), model="wrote-it")


def test_a_completed_job_has_the_synthesis_as_its_answer() -> None:
    closing = make_step("synthesis", StepStatus.SUCCEEDED, StepKind.SYNTHESIS, result=ANSWER)
    result = report(make_job(TaskStatus.COMPLETED, make_step("find", StepStatus.SUCCEEDED), closing))
    assert (result.answer, result.sources, result.model) == ("So [1].", (SOURCE,), "wrote-it")
    assert (result.job_id, result.task, result.created_at, result.finished_at) == (JOB, "Why?", AT, AT)
    assert (result.error, result.missing, [step.id for step in result.steps]) == (None, (), ["find", "synthesis"])


@pytest.mark.parametrize("status", [one for one in TaskStatus if one is not TaskStatus.COMPLETED])
def test_a_job_that_is_not_completed_has_no_answer(status: TaskStatus) -> None:
    closing = make_step("synthesis", StepStatus.SUCCEEDED, StepKind.SYNTHESIS, result=ANSWER)
    result = report(make_job(status, closing, failure=BUSY))
    assert (result.answer, result.sources, result.model) == (None, (), "asked-for")
    assert result.error == ErrorReport(code="model_unavailable", message="busy", retryable=True)


def test_a_job_without_steps_is_reported() -> None:
    result = report(make_job(TaskStatus.PENDING))
    assert (result.steps, result.usage.cost_usd, result.status) == ((), 0.0, TaskStatus.PENDING)


def test_usage_is_the_sum_of_all_attempts_of_all_steps() -> None:
    one = make_step("a", StepStatus.SUCCEEDED, attempts=(make_attempt(1, BUSY, cost=5), make_attempt(2, cost=7)))
    two = make_step("b", StepStatus.FAILED, attempts=(make_attempt(1, BUSY, cost=100),))
    result = report(make_job(TaskStatus.COMPLETED, one, two))
    assert (result.usage.requests, result.usage.cost_usd) == (3, 0.000112)
    assert [step.usage.cost_usd for step in result.steps] == [0.000012, 0.0001]


def test_a_step_that_was_given_up_says_why() -> None:
    final = Failure(code="poison", message="three died")
    step = make_step("a", StepStatus.FAILED, failure=final, attempts=(make_attempt(1, BUSY),))
    (found,) = report(make_job(TaskStatus.FAILED, step)).steps
    assert found.error == ErrorReport(code="poison", message="three died", retryable=False)


def test_a_step_that_is_tried_again_says_what_its_last_attempt_met() -> None:
    first, second = make_attempt(1, Failure(code="x", message="first")), make_attempt(2, BUSY)
    step = make_step("a", StepStatus.DELAYED, attempt=2, attempts=(first, second))
    (found,) = report(make_job(TaskStatus.IN_PROGRESS, step)).steps
    assert found.error is not None
    assert (found.error.code, found.attempts) == ("model_unavailable", 2)


def test_a_step_that_succeeded_at_last_has_no_error() -> None:
    step = make_step("a", StepStatus.SUCCEEDED, attempts=(make_attempt(1, BUSY), make_attempt(2)), result=ANSWER)
    (found,) = report(make_job(TaskStatus.IN_PROGRESS, step)).steps
    assert found.error is None
    assert found.result is not None
    assert (found.result.text, found.result.sources) == ("So [1].", (SOURCE,))


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (StepStatus.FAILED, "failed", "it has no result"),
        (StepStatus.SKIPPED, "skipped", "what it depends on did not succeed"),
        (StepStatus.CANCELLED, "cancelled", "what it was done for has ended"),
    ],
)
def test_work_that_ended_without_a_result_is_missing(status: StepStatus, code: str, message: str) -> None:
    (missing,) = report(make_job(TaskStatus.COMPLETED, make_step("a", status))).missing
    assert (missing.step, missing.description, missing.status) == ("a", "Do a.", status)
    assert (missing.code, missing.message) == (code, message)


def test_a_step_that_ended_with_its_job_says_why() -> None:
    job = make_job(TaskStatus.CANCELLED, make_step("a", StepStatus.CANCELLED), failure=BUSY)
    (step,) = report(job).steps
    assert step.error is not None
    assert (step.error.code, step.error.message) == ("cancelled", "its job was ended (cancelled): busy")


def test_a_step_that_was_skipped_names_what_failed_before_it() -> None:
    failed, skipped = make_step("a", StepStatus.FAILED, failure=BUSY), make_step("b", StepStatus.SKIPPED, needs=("a",))
    step = report(make_job(TaskStatus.IN_PROGRESS, failed, skipped)).steps[1]
    assert step.error is not None
    assert step.error.message == "a, which it depends on, did not succeed"


def test_a_missing_part_says_what_it_met() -> None:
    (missing,) = report(make_job(TaskStatus.COMPLETED, make_step("a", StepStatus.FAILED, failure=BUSY))).missing
    assert (missing.code, missing.message) == ("model_unavailable", "busy")


@pytest.mark.parametrize("kind", [StepKind.PLAN, StepKind.SYNTHESIS])
def test_only_work_can_be_missing(kind: StepKind) -> None:
    assert report(make_job(TaskStatus.FAILED, make_step("a", StepStatus.FAILED, kind))).missing == ()


@pytest.mark.parametrize("status", [StepStatus.RUNNING, StepStatus.BLOCKED, StepStatus.SUCCEEDED])
def test_what_goes_on_or_succeeded_is_not_missing(status: StepStatus) -> None:
    assert report(make_job(TaskStatus.IN_PROGRESS, make_step("a", status))).missing == ()
