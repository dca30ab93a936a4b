"""A fan-out of five under every join policy: each subset of failures has its outcome, and no result is lost."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, Final

import pytest

from orchestrator.report import report
from tasks.ids import SYNTHESIS_STEP, JobId
from tasks.models import Join, StepInput
from tasks.states import StepStatus, TaskStatus
from tests.support.builders import COST, RESULT
from tests.support.moves import Moves

WAYS: Final = ("a", "b", "c", "d", "e")
SUBSETS: Final = [
    tuple(one for one, fails in zip(WAYS, bits, strict=True) if fails) for bits in product((0, 1), repeat=5)
]
QUORUM: Final = 3
POLICIES: Final[dict[str, tuple[Join, Callable[[int], bool]]]] = {
    "all": (Join.ALL, lambda good: good == 5),
    "any": (Join.ANY, lambda good: good >= 1),
    "quorum": (Join.QUORUM, lambda good: good >= QUORUM),
    "best effort": (Join.BEST_EFFORT, lambda good: good >= 1),
    "all, each of them optional": (Join.ALL, lambda _: True),
    "quorum, each of them optional": (Join.QUORUM, lambda _: True),
}
"""Join, and whether the step behind the fan-out runs, by how many succeeded: the table of docs/patterns.md."""


def cases() -> list[Any]:
    named = [(policy, failed) for policy in POLICIES for failed in SUBSETS]
    return [pytest.param(policy, failed, id=f"{policy}-{''.join(failed) or 'none'}") for policy, failed in named]


async def fanned(moves: Moves, join: Join, *, optional: bool = False, join_ms: int = 0) -> JobId:
    each: Mapping[str, Mapping[str, Any]] = {
        **{one: {"optional": optional} for one in WAYS},
        "joined": {"quorum": QUORUM if join is Join.QUORUM else 0, "join_ms": join_ms},
    }
    needs = {**dict.fromkeys(WAYS, ()), "joined": WAYS}
    return await moves.planned(needs, joins={"joined": join}, each=each)


async def answered(moves: Moves, job: JobId) -> dict[str, StepInput]:
    """What the answer is written from; and it is written."""
    ref = await moves.dispatched(job, SYNTHESIS_STEP)
    claim = await moves.claim(ref)
    assert claim is not None
    assert await moves.attempts.succeed(ref, RESULT, COST) is None
    return {item.step: item for item in claim.inputs}


@pytest.mark.parametrize(("policy", "failed"), cases())
async def test_a_subset_of_failures_has_the_documented_outcome(
    moves: Moves, policy: str, failed: tuple[str, ...]
) -> None:
    join, runs = POLICIES[policy]
    job = await fanned(moves, join, optional="optional" in policy)
    good = [one for one in WAYS if one not in failed]
    for one in WAYS:
        await (moves.fail(job, one) if one in failed else moves.succeed(job, one, f"found by {one}"))
    expected = StepStatus.READY if runs(len(good)) else StepStatus.SKIPPED
    assert await moves.status(job, "joined") is expected
    if expected is StepStatus.READY:
        claim = await moves.claim(await moves.dispatched(job, "joined"))
        assert claim is not None
        seen: dict[str, StepInput] = {item.step: item for item in claim.inputs}
        assert all(seen[one].result is not None for one in good if join is not Join.ANY)
        assert all(item.failure is not None for name, item in seen.items() if name in failed)
    record = await moves.snapshots.job(job)
    kept = {one.step.id: one.result.text for one in record.steps if one.result is not None}
    assert kept == {one: f"found by {one}" for one in good}
    missing = {one.step for one in report(record).missing}
    assert missing == {*failed, *(["joined"] if expected is StepStatus.SKIPPED else [])}


@pytest.mark.parametrize("policy", ["all", "quorum"])
async def test_the_answer_has_the_results_behind_a_join_that_was_skipped_and_is_told_what_is_missing(
    moves: Moves, policy: str
) -> None:
    job = await fanned(moves, POLICIES[policy][0])
    for one in ("c", "d", "e"):
        await moves.fail(job, one)
    for one in ("a", "b"):
        await moves.succeed(job, one, f"found by {one}")
    seen = await answered(moves, job)
    assert {one: item.result.text for one, item in seen.items() if item.result} == {
        "a": "found by a",
        "b": "found by b",
    }
    assert {one: item.status for one, item in seen.items() if item.result is None} == {
        "joined": StepStatus.SKIPPED,
        **dict.fromkeys(("c", "d", "e"), StepStatus.FAILED),
    }


@pytest.mark.parametrize("late", SUBSETS, ids=lambda one: "".join(one) or "none")
async def test_by_its_deadline_a_join_takes_what_there_is(moves: Moves, late: tuple[str, ...]) -> None:
    job = await fanned(moves, Join.ALL, join_ms=60_000)
    good = [one for one in WAYS if one not in late]
    for one in good:
        await moves.succeed(job, one, f"found by {one}")
    if late:
        assert await moves.status(job, "joined") is StepStatus.BLOCKED
        await moves.make_due(job, "joined")
        await moves.jobs.sweep(0)
    assert await moves.status(job, "joined") is (StepStatus.READY if good else StepStatus.BLOCKED)
    for one in late:  # and those that come later are kept
        await moves.succeed(job, one, f"found by {one}")
    assert await moves.status(job, "joined") is StepStatus.READY
    record = await moves.snapshots.job(job)
    assert {one.step.id for one in record.steps if one.result is not None} == set(WAYS)


async def test_a_join_whose_time_has_passed_is_skipped_when_nothing_came_at_all(moves: Moves) -> None:
    job = await fanned(moves, Join.ALL, join_ms=60_000)
    await moves.make_due(job, "joined")
    await moves.jobs.sweep(0)
    for one in WAYS:
        await moves.fail(job, one)
    assert await moves.status(job, "joined") is StepStatus.SKIPPED
    assert (await moves.snapshots.job(job)).status is TaskStatus.FAILED


async def test_after_its_time_a_join_runs_with_the_first_result_whatever_failed_before(moves: Moves) -> None:
    job = await fanned(moves, Join.QUORUM, join_ms=60_000)
    await moves.fail(job, "a")
    await moves.make_due(job, "joined")
    await moves.jobs.sweep(0)
    assert await moves.status(job, "joined") is StepStatus.BLOCKED
    await moves.succeed(job, "b")
    assert await moves.status(job, "joined") is StepStatus.READY
