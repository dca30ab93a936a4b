"""Going round in circles: noticed, said, given up."""

from datetime import UTC, datetime

import pytest

from workers.agents.stalls import CHANGING, GIVE_UP_AFTER, WARN_AFTER, Circle, Stalls
from workers.llm.base import Block
from workers.tools.base import ToolCall
from workers.tools.codes import Code


def turn(stalls: Stalls, *made: str, outcome: str = "seen", code: str | None = None) -> Circle | None:
    blocks: list[Block] = [
        {"type": "tool_use", "id": f"t{at}", "name": one, "input": {"q": 1}} for at, one in enumerate(made)
    ]
    records = [
        ToolCall(
            id=f"t{at}", tool=one, input=None, output=outcome, duration_ms=1, success=code is None, code=code,
            error=outcome if code else None, timestamp=datetime.now(UTC),
        )
        for at, one in enumerate(made)
    ]  # fmt: skip
    return stalls.add(blocks, records)


def test_the_third_same_turn_is_a_circle_and_the_sixth_hopeless() -> None:
    stalls = Stalls()
    found = [turn(stalls, "a") for _ in range(GIVE_UP_AFTER)]
    assert [one is not None for one in found] == [False] * (WARN_AFTER - 1) + [True] * (GIVE_UP_AFTER - WARN_AFTER + 1)
    assert [one.hopeless for one in found if one] == [False] * (GIVE_UP_AFTER - WARN_AFTER) + [True]
    assert found[2] is not None
    assert "3 times over" in found[2].warning


@pytest.mark.parametrize("circle", [["a", "b"], ["a", "b", "c"], ["a", "a", "b"]])
def test_alternating_calls_are_a_circle_too(circle: list[str]) -> None:
    stalls = Stalls()
    found = [turn(stalls, one) for _ in range(WARN_AFTER) for one in circle]
    assert found[-1] == Circle(WARN_AFTER, hopeless=False)
    assert found[:-1] == [None] * (len(found) - 1)


def test_different_calls_are_no_circle() -> None:
    stalls = Stalls()
    assert all(turn(stalls, f"tool{at}") is None for at in range(20))
    assert all(turn(stalls, "a", *"bcd"[: at % 4]) is None for at in range(8))


def test_a_state_that_is_polled_may_be_asked_for_longer() -> None:
    stalls = Stalls()
    found = [turn(stalls, "state", outcome=f"{at} %") for at in range(GIVE_UP_AFTER * CHANGING)]
    assert [at for at, one in enumerate(found, start=1) if one] == list(
        range(WARN_AFTER * CHANGING, GIVE_UP_AFTER * CHANGING + 1)
    )
    assert [one.hopeless for one in found if one][-2:] == [False, True]


def test_a_call_that_the_executor_refused_as_repeated_counts_as_the_same() -> None:
    stalls = Stalls()
    for _ in range(3):
        turn(stalls, "a")
    assert turn(stalls, "a", outcome="it was not made again", code=Code.REPEATED_CALL) == Circle(4, hopeless=False)
    turn(stalls, "a")
    assert turn(stalls, "a") == Circle(6, hopeless=True)


def test_a_circle_that_was_left_is_forgotten() -> None:
    stalls = Stalls()
    for _ in range(3):
        turn(stalls, "a")
    assert turn(stalls, "b") is None
    assert turn(stalls, "a") is None
