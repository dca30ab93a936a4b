"""The one table of legal moves."""

import pytest

from tasks.states import FINAL_JOB, FINAL_STEP, MOVES, OPEN_STEP, Move, StepStatus, TaskStatus, legal, sources


def targets(source: StepStatus) -> set[StepStatus]:
    return {target for froms, target in MOVES.values() if source in froms}


def test_every_move_is_in_the_table() -> None:
    assert set(MOVES) == set(Move)


@pytest.mark.parametrize("status", sorted(FINAL_STEP))
def test_a_final_step_moves_only_when_it_is_retried_by_hand(status: StepStatus) -> None:
    moves = [move for move in Move if legal(move, status)]
    assert moves == ([Move.REOPEN, Move.RESTORE] if status is StepStatus.FAILED else [Move.RESTORE])


@pytest.mark.parametrize("status", sorted(OPEN_STEP))
def test_an_open_step_can_reach_a_result_and_can_be_cancelled(status: StepStatus) -> None:
    reached, rest = {status}, [status]
    while rest:
        new = targets(rest.pop()) - reached
        reached |= new
        rest += new
    assert {StepStatus.SUCCEEDED, StepStatus.CANCELLED} <= reached


def test_every_status_is_the_target_of_a_move() -> None:
    assert {target for _, target in MOVES.values()} == set(StepStatus)


def test_only_a_worker_that_holds_the_lease_moves_a_running_step_to_success() -> None:
    assert MOVES[Move.SUCCEED] == (frozenset({StepStatus.RUNNING}), StepStatus.SUCCEEDED)
    assert MOVES[Move.CLAIM] == (frozenset({StepStatus.DISPATCHED}), StepStatus.RUNNING)


def test_final_and_open_share_nothing_and_leave_nothing_out() -> None:
    assert set(StepStatus) == FINAL_STEP | OPEN_STEP
    assert not FINAL_STEP & OPEN_STEP
    assert set(TaskStatus) - FINAL_JOB == {TaskStatus.PENDING, TaskStatus.IN_PROGRESS}


@pytest.mark.parametrize("move", Move)
def test_lua_gets_exactly_the_legal_sources(move: Move) -> None:
    text = sources(move)
    assert {status for status in StepStatus if f"|{status}|" in text} == MOVES[move][0]
    assert text == "|" + "|".join(sorted(MOVES[move][0])) + "|"


def test_a_move_can_be_narrowed_to_the_status_that_was_seen() -> None:
    assert sources(Move.GIVE_UP, StepStatus.DELAYED) == "|delayed|"
    assert sources(Move.GIVE_UP, StepStatus.RUNNING) == "||"


def test_statuses_are_called_in_json_what_the_contract_calls_them() -> None:
    assert [status.value for status in TaskStatus] == ["pending", "in_progress", "completed", "failed", "cancelled"]
