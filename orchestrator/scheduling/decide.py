"""What follows an attempt that ended without success. Pure: facts and one random draw in, a decision out."""

from dataclasses import dataclass
from typing import Final

from tasks.decisions import ApprovalDenied, ApprovalExpired
from tasks.errors import DeadlinePassed, QueueTimeout
from tasks.models import Failure, RetryPolicy, Step, StepKind
from tasks.store.attempts import HANDED_BACK
from tasks.store.jobs import LOST


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt follows."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The step has failed."""

    failure: Failure


Decision = Retry | GiveUp

NOT_LET: Final = frozenset({ApprovalDenied.code, ApprovalExpired.code})
"""Codes of failures by which people keep a step from being done, by whomever."""

SPREAD_MS: Final = 5_000
"""Longest time by which attempts that were put off until the same moment are drawn apart."""
POISON: Final = "poison"
"""Failure code of a step whose workers died under it once too often."""
NO_WORKER: Final = "no_worker"
"""Failure code of a step whose queue nobody listened on."""


def after_attempt(policy: RetryPolicy, failure: Failure, *, failures: int, losses: int, draw: float) -> Decision:
    """Decide about an ended attempt.

    Args:
        failures: Attempts of the step that failed, this one included.
        losses: Workers that were lost under the step, this one included. Counted apart: a step is not to blame for a
            machine that dies, until it is the third.
        draw: Uniform in [0, 1): full jitter, so that steps that failed together do not come back together
            (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    if failure.code == HANDED_BACK:
        return Retry(0)
    if failure.deferred:
        if not _may_pass(policy, failure):
            return GiveUp(failure)
        wait = failure.retry_after_ms or 0  # not all at once: whoever waits for one limit waits until the same time
        return Retry(wait + int(draw * min(wait / 10, SPREAD_MS)))
    if failure.code == LOST.code:
        if losses >= policy.max_losses:
            reason = f"{losses} workers died under this step; it is stopped as poison"
            return GiveUp(Failure(code=POISON, message=reason))
        return Retry(0)
    if not _may_pass(policy, failure) or failures >= policy.max_attempts:
        return GiveUp(failure)
    ceiling = min(policy.cap_ms, policy.base_ms * 2 ** (failures - 1))
    return Retry(max(int(draw * ceiling), failure.retry_after_ms or 0))


def no_time(failure: Failure) -> Failure:
    """What a step is given up with whose next attempt would begin after its end, or its job's."""
    if failure.deferred:
        waits = (failure.retry_after_ms or 0) / 1000
        reason = f"{failure.message}; no time is left to wait for it ({waits:.0f} s)"
        return Failure(code=failure.code, message=reason)
    reason = f"no time is left for another attempt; the last one: {failure.code}: {failure.message}"
    return Failure(code=DeadlinePassed.code, message=reason)


def overdue(code: str, waited_ms: int, queue: str) -> Failure:
    """What a step is given up with that no worker took in time."""
    waited = f"{waited_ms / 1000:.1f} s"
    if code == QueueTimeout.code:
        return Failure(code=code, message=f"no worker took it from queue {queue!r} within its time ({waited})")
    return Failure(
        code=DeadlinePassed.code, message=f"the step's whole time passed while it waited for a worker ({waited})"
    )


def taken_over(step: Step, code: str = "") -> Step | None:
    """The step as its next fallback agent gets it; None when there is none left, or it is no step of a plan, or people
    did not let it begin: another agent would only ask them again."""
    if step.kind is not StepKind.WORK or not step.fallbacks or code in NOT_LET:
        return None
    heir, *rest = step.fallbacks
    return step.model_copy(update={**heir.model_dump(exclude={"retry"}), "retry": heir.retry, "fallbacks": tuple(rest)})


def _may_pass(policy: RetryPolicy, failure: Failure) -> bool:
    if failure.code in policy.never_on or (policy.retry_on and failure.code not in policy.retry_on):
        return False
    return failure.retryable
