"""Lua and `tasks.states` agree on every (status, move) pair."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import pytest

from tasks.errors import NotDead
from tasks.ids import AttemptRef, StepId
from tasks.models import StepKind
from tasks.states import MOVES, Move, StepStatus, TaskStatus, legal
from tasks.store import NewStep
from tasks.store.waits import WaitKind, WaitStore, Wanted
from tests.support.builders import BAD, COST, OUT_OF_LUCK, RESULT, a_job, a_step
from tests.support.moves import Moves

SUBJECT: Final = StepId("subject")
BEFORE: Final = StepId("before")

HEIR: Final = '{"agent":"worker","fallback":"heir","failure":{"code":"bad","message":"x"}}'

QUESTION: Final = Wanted("k", WaitKind.QUESTION, '{"question":"Which year?"}')

Act = Callable[[Moves, AttemptRef], Awaitable[object]]


async def a_step_in(moves: Moves, status: StepStatus) -> AttemptRef:
    """The first attempt of a step that depends on one which runs; its own status is written past all moves."""
    job = await moves.jobs.submit(a_job(), None)
    steps = [
        NewStep(a_step(BEFORE), (SUBJECT,)),
        NewStep(a_step(SUBJECT, [BEFORE]), (StepId("synthesis"),)),
        NewStep(a_step("synthesis", [SUBJECT], kind=StepKind.SYNTHESIS)),
    ]
    assert await moves.extend(job, steps)
    await moves.running(job, BEFORE)
    fields = {
        f"s:{SUBJECT}": status.value,
        f"a:{SUBJECT}": 1,
        f"w:{SUBJECT}": "w",
        f"t:{SUBJECT}": 1,
        f"q:{SUBJECT}": 1,
    }
    await moves.redis.hset(f"{moves.store.keys.job(job)}:steps", mapping=fields)
    return AttemptRef(job, SUBJECT, 1)


async def due(moves: Moves, ref: AttemptRef) -> None:
    await moves.redis.zadd(moves.store.keys.timers(0), {f"{ref.job}:{ref.step}": 1})
    await moves.jobs.sweep(0)


async def unblock(moves: Moves, ref: AttemptRef) -> None:
    await moves.attempts.succeed(AttemptRef(ref.job, BEFORE, 1), RESULT, COST)


async def skip(moves: Moves, ref: AttemptRef) -> None:
    before = AttemptRef(ref.job, BEFORE, 1)
    await moves.attempts.fail(before, BAD, COST)
    await moves.jobs.give_up(before, OUT_OF_LUCK)


async def dispatch(moves: Moves, ref: AttemptRef) -> None:
    await moves.redis.hdel(f"{moves.store.keys.job(ref.job)}:steps", f"a:{ref.step}")
    await moves.jobs.dispatch(0, [ref])


async def fall_back(moves: Moves, ref: AttemptRef) -> None:
    await moves.jobs.fall_back(ref, a_step(SUBJECT, [BEFORE], agent="heir", queue="heir"), HEIR)


async def reopen(moves: Moves, ref: AttemptRef) -> None:
    with suppress(NotDead):
        await moves.reopen(ref.job, ref.step)


async def wake(moves: Moves, ref: AttemptRef) -> None:
    waits = f"{moves.store.keys.job(ref.job)}:waits"
    await moves.redis.hset(waits, mapping={f"# {SUBJECT}": "k", f"w {SUBJECT} k": "{}"})
    await moves.redis.expire(waits, 60)
    await WaitStore(moves.store).outcome(ref.job, SUBJECT, "k", {"kind": "answer"})


async def restore(moves: Moves, ref: AttemptRef) -> None:
    """The subject as the job's answer; what it rests on was given up, and is tried again."""
    steps = f"{moves.store.keys.job(ref.job)}:steps"
    await moves.redis.hset(steps, mapping={f"k:{SUBJECT}": StepKind.SYNTHESIS.value})
    await moves.redis.hset(moves.store.keys.job(ref.job), mapping={"order": f"{BEFORE} {SUBJECT}"})
    await moves.attempts.fail(AttemptRef(ref.job, BEFORE, 1), BAD, COST)
    await moves.redis.hset(steps, mapping={f"s:{BEFORE}": StepStatus.FAILED.value})
    with suppress(NotDead):
        await moves.reopen(ref.job, BEFORE)


ACTS: Final[list[tuple[str, Move, Act]]] = [
    ("succeed before", Move.UNBLOCK, unblock),
    ("give up before", Move.SKIP, skip),
    ("dispatch", Move.DISPATCH, dispatch),
    ("claim", Move.CLAIM, lambda moves, ref: moves.claim(ref)),
    ("succeed", Move.SUCCEED, lambda moves, ref: moves.attempts.succeed(ref, RESULT, COST)),
    ("fail", Move.FALTER, lambda moves, ref: moves.attempts.fail(ref, BAD, COST)),
    ("hand back", Move.LOSE, lambda moves, ref: moves.attempts.hand_back(ref, "stopping", COST)),
    ("park", Move.PARK, lambda moves, ref: moves.attempts.park(ref, [QUESTION], COST)),
    ("wake", Move.WAKE, wake),
    ("pause", Move.HOLD, lambda moves, ref: moves.jobs.pause(ref.job)),
    ("give up", Move.GIVE_UP, lambda moves, ref: moves.jobs.give_up(ref, OUT_OF_LUCK)),
    ("fall back", Move.FALL_BACK, fall_back),
    ("reopen", Move.REOPEN, reopen),
    ("restore", Move.RESTORE, restore),
    ("cancel", Move.CANCEL, lambda moves, ref: moves.jobs.end_job(ref.job, TaskStatus.CANCELLED, OUT_OF_LUCK)),
]
"""One way to try each move that changes the status."""


@pytest.mark.parametrize("status", StepStatus)
@pytest.mark.parametrize(("move", "act"), [act[1:] for act in ACTS], ids=[act[0] for act in ACTS])
async def test_a_move_is_made_when_it_is_legal_and_only_then(
    moves: Moves, status: StepStatus, move: Move, act: Act
) -> None:
    ref = await a_step_in(moves, status)
    await act(moves, ref)
    made = await moves.status(ref.job, ref.step)
    assert made is (MOVES[move][1] if legal(move, status) else status)


@pytest.mark.parametrize("status", StepStatus)
async def test_a_message_is_published_again_when_that_is_legal_and_only_then(moves: Moves, status: StepStatus) -> None:
    ref = await a_step_in(moves, status)
    (step,) = await moves.jobs.dispatch(0, [ref])
    assert (step is not None) is legal(Move.REPUBLISH, status)
    assert await moves.status(ref.job, ref.step) is status


@pytest.mark.parametrize("status", StepStatus)
@pytest.mark.parametrize("delay_ms", [0, 60_000])
async def test_a_retry_is_set_when_that_is_legal_and_only_then(moves: Moves, status: StepStatus, delay_ms: int) -> None:
    ref = await a_step_in(moves, status)
    assert bool(await moves.jobs.postpone(ref, delay_ms)) is legal(Move.POSTPONE, status)
    at_once = legal(Move.POSTPONE, status) and delay_ms == 0
    assert await moves.status(ref.job, ref.step) is (StepStatus.READY if at_once else status)
    assert (f"{ref.job}:{ref.step}" in await moves.timers()) is (legal(Move.POSTPONE, status) and not at_once)


@pytest.mark.parametrize("status", StepStatus)
async def test_a_due_timer_moves_a_step_as_its_status_allows(moves: Moves, status: StepStatus) -> None:
    ref = await a_step_in(moves, status)
    await moves.entries()
    await due(moves, ref)
    expected = next((MOVES[move][1] for move in (Move.LOSE, Move.RESUME) if legal(move, status)), status)
    assert await moves.status(ref.job, ref.step) is expected
    told = [entry.notice.value for entry in await moves.entries()]
    assert told == {
        StepStatus.RUNNING: ["attempt_ended"],
        StepStatus.DELAYED: ["step_ready"],
        StepStatus.DISPATCHED: ["step_unclaimed"],
    }.get(status, [])
    assert (f"{ref.job}:{ref.step}" in await moves.timers()) is legal(Move.REPUBLISH, status)


def test_every_move_is_tried() -> None:
    elsewhere = {Move.REPUBLISH, Move.POSTPONE, Move.RESUME}
    assert {move for _, move, _ in ACTS} | elsewhere == set(Move)
