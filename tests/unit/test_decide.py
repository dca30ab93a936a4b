"""What follows an attempt that ended without success."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.scheduling.decide import POISON, GiveUp, Retry, after_attempt, taken_over
from tasks.models import Failure, Fallback, RetryPolicy, StepKind
from tasks.store.attempts import HANDED_BACK
from tasks.store.jobs import LOST
from tests.support.builders import a_step

POLICY = RetryPolicy(max_attempts=3, max_losses=3, base_ms=500, cap_ms=30_000)
BUSY = Failure(code="model_unavailable", message="busy", retryable=True)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 100),
    max_losses=st.integers(1, 100),
    base_ms=st.integers(0, 10**6),
    cap_ms=st.integers(0, 10**6),
)
DRAWS = st.floats(0, 1, exclude_max=True)


@given(POLICIES, st.integers(1, 100), st.integers(0, 100), DRAWS)
def test_a_retry_waits_within_its_ceiling_and_a_step_ends_with_its_attempts(
    policy: RetryPolicy, failures: int, losses: int, draw: float
) -> None:
    decision = after_attempt(policy, BUSY, failures=failures, losses=losses, draw=draw)
    if failures >= policy.max_attempts:
        assert decision == GiveUp(BUSY)
    else:
        assert isinstance(decision, Retry)
        assert 0 <= decision.delay_ms <= min(policy.cap_ms, policy.base_ms * 2 ** (failures - 1))


@pytest.mark.parametrize(("failures", "longest"), [(1, 499), (2, 999), (7, 29_999), (90, 29_999)])
def test_the_wait_doubles_up_to_its_cap(failures: int, longest: int) -> None:
    policy = POLICY.model_copy(update={"max_attempts": 100})
    assert after_attempt(policy, BUSY, failures=failures, losses=0, draw=0.99999) == Retry(longest)
    assert after_attempt(policy, BUSY, failures=failures, losses=0, draw=0.0) == Retry(0)


def test_the_provider_may_ask_for_a_longer_wait() -> None:
    failure = BUSY.model_copy(update={"retry_after_ms": 60_000})
    assert after_attempt(POLICY, failure, failures=1, losses=0, draw=0.5) == Retry(60_000)
    soon = BUSY.model_copy(update={"retry_after_ms": 1})
    assert after_attempt(POLICY, soon, failures=1, losses=0, draw=0.5) == Retry(250)


@given(POLICIES, st.integers(1, 100), DRAWS)
def test_what_cannot_pass_is_not_tried_again(policy: RetryPolicy, failures: int, draw: float) -> None:
    wrong = Failure(code="contract", message="wrong")
    assert after_attempt(policy, wrong, failures=failures, losses=0, draw=draw) == GiveUp(wrong)


@given(POLICIES, st.integers(0, 100), st.integers(0, 100), DRAWS)
def test_an_attempt_that_was_handed_back_runs_again_at_once(
    policy: RetryPolicy, failures: int, losses: int, draw: float
) -> None:
    back = Failure(code=HANDED_BACK, message="stopping", retryable=True)
    assert after_attempt(policy, back, failures=failures, losses=losses, draw=draw) == Retry(0)


@pytest.mark.parametrize("failures", [0, 2])
def test_a_lost_worker_does_not_count_as_a_failure_until_it_is_one_too_many(failures: int) -> None:
    assert after_attempt(POLICY, LOST, failures=failures, losses=2, draw=0.5) == Retry(0)
    decision = after_attempt(POLICY, LOST, failures=failures, losses=3, draw=0.5)
    assert isinstance(decision, GiveUp)
    assert (decision.failure.code, decision.failure.retryable) == (POISON, False)
    assert "3 workers died" in decision.failure.message


@pytest.mark.parametrize(
    ("codes", "retried"),
    [
        ({"retry_on": ["model_unavailable"]}, True),
        ({"retry_on": ["other"]}, False),
        ({"never_on": ["model_unavailable"]}, False),
        ({"never_on": ["other"]}, True),
        ({"retry_on": ["model_unavailable"], "never_on": ["model_unavailable"]}, False),
    ],
)
def test_a_policy_names_the_codes_that_are_tried_again(codes: dict[str, list[str]], retried: bool) -> None:
    policy = RetryPolicy.model_validate(codes)
    decision = after_attempt(policy, BUSY, failures=1, losses=0, draw=0.5)
    assert isinstance(decision, Retry) is retried


@pytest.mark.parametrize("code", [LOST.code, HANDED_BACK])
def test_codes_of_a_policy_are_about_failures_and_not_about_workers(code: str) -> None:
    policy = RetryPolicy(retry_on=("other",), never_on=(code,))
    failure = Failure(code=code, message="x", retryable=True)
    assert after_attempt(policy, failure, failures=0, losses=1, draw=0.5) == Retry(0)


def test_a_failure_that_cannot_pass_is_not_retried_because_a_policy_names_it() -> None:
    fatal = BUSY.model_copy(update={"retryable": False})
    policy = RetryPolicy(retry_on=(BUSY.code,))
    assert after_attempt(policy, fatal, failures=1, losses=0, draw=0.5) == GiveUp(fatal)


def test_fallbacks_take_over_one_after_the_other_with_their_own_limits() -> None:
    policy = RetryPolicy(max_attempts=1)
    first = Fallback(agent="b", queue="slow", timeout_ms=5, queue_ms=4, idle_ms=3, retry=policy)
    step = a_step("a", total_ms=9, idle_ms=1, fallbacks=(first, Fallback(agent="c", queue="c")))
    heir = taken_over(step)
    assert heir is not None
    assert (heir.id, heir.agent, heir.queue, heir.total_ms) == ("a", "b", "slow", 9)
    assert (heir.timeout_ms, heir.queue_ms, heir.idle_ms, heir.retry) == (5, 4, 3, policy)
    last = taken_over(heir)
    assert last is not None
    assert (last.agent, last.idle_ms, taken_over(last)) == ("c", 0, None)


def test_planning_and_the_answer_have_no_fallback() -> None:
    for kind in (StepKind.PLAN, StepKind.SYNTHESIS):
        assert taken_over(a_step("a", kind=kind, fallbacks=(Fallback(agent="b", queue="b"),))) is None
