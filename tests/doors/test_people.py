"""What steps ask people, and what people decide, whichever door they come by."""

import asyncio
from contextlib import suppress

import pytest

from orchestrator import AsyncTroupe
from tasks.decisions import Answer, Approve, Decision, Deny
from tasks.errors import ContractError, InvalidId, NotAsked, NotGenuine, UnknownJob
from tasks.ids import JobId, new_job_id
from tasks.results import Asked
from tasks.store.waits import WaitStore
from tests.doors.conftest import ask, planned
from tests.support.moves import Moves
from tests.support.waiting import wait_until

TEXT = "Wie viel? «€ 5» 🦊\u2028 \\u0000"


async def pays(troupe: AsyncTroupe, moves: Moves) -> JobId:
    """A job that waits for a payment to be approved."""
    job = await planned(troupe, moves)
    await ask(moves, job.id, {"agent": "payer", "tool": "pay", "input": {"iban": TEXT, "amount": 900}})
    return job.id


async def wonders(troupe: AsyncTroupe, moves: Moves) -> JobId:
    """A job that waits for an answer."""
    job = await planned(troupe, moves)
    await ask(moves, job.id, {"agent": "curious", "question": "Which year?", "options": ["2024", "2025"]})
    return job.id


async def said(moves: Moves, job: JobId) -> dict[str, object]:
    """What was decided about what the job waits for, without who decided, and the signature."""
    (wait,) = await WaitStore(moves.store).of_job(job)
    return {name: value for name, value in (wait.outcome or {}).items() if name in {"kind", "input", "reason", "text"}}


async def test_what_is_asked_is_listed_oldest_first(troupe: AsyncTroupe, moves: Moves) -> None:
    assert await troupe.people.list() == []
    pay, year = await pays(troupe, moves), await wonders(troupe, moves)
    first, second = await troupe.people.list()
    assert (first.job_id, first.step, first.key, first.kind, first.agent) == (pay, "one", "k1", "approval", "payer")
    assert (first.tool, first.input) == ("pay", {"iban": TEXT, "amount": 900})
    assert (second.job_id, second.question, second.options) == (year, "Which year?", ("2024", "2025"))
    assert [one.job_id for one in await troupe.people.list(1)] == [pay]


async def test_a_call_is_approved_as_it_is(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await pays(troupe, moves)
    assert (await troupe.people.approve(job, "one", by="anna")).key == "k1"
    assert await said(moves, job) == {"kind": "approved"}
    with pytest.raises(NotAsked, match="decided before"):
        await troupe.people.approve(job, "one")


async def test_a_call_is_approved_with_other_arguments(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await pays(troupe, moves)
    with pytest.raises(ContractError, match="arguments as an object"):
        await troupe.people.approve(job, "one", arguments=[1])
    await troupe.people.approve(job, "one", key="k1", arguments={"amount": 1, "iban": TEXT})
    assert await said(moves, job) == {"kind": "approved", "input": {"amount": 1, "iban": TEXT}}


async def test_a_call_is_denied_with_a_reason(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await pays(troupe, moves)
    await troupe.people.deny(job, "one", reason="x" * 20_001)
    assert await said(moves, job) == {"kind": "denied", "reason": "x" * 20_000}


async def test_a_question_is_answered(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await wonders(troupe, moves)
    with pytest.raises(NotAsked, match="nothing of that kind"):
        await troupe.people.approve(job, "one")
    with pytest.raises(NotAsked):
        await troupe.people.answer(job, "one", "2024", key="k2")
    await troupe.people.answer(job, "one", TEXT, key="k1")
    assert await said(moves, job) == {"kind": "answer", "text": TEXT}


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [
        (Approve(), {"kind": "approved"}),
        (Approve({"amount": 2}), {"kind": "approved", "input": {"amount": 2}}),
        (Deny("too dear"), {"kind": "denied", "reason": "too dear"}),
    ],
)
async def test_a_decision_is_recorded(
    troupe: AsyncTroupe, moves: Moves, decision: Decision, outcome: dict[str, object]
) -> None:
    job = await pays(troupe, moves)
    (one,) = await troupe.people.list()
    await troupe.people.decide(one, decision, by="anna")
    assert await said(moves, job) == outcome


async def test_each_thing_that_is_asked_comes_once(troupe: AsyncTroupe, moves: Moves) -> None:
    first = await pays(troupe, moves)
    asked = troupe.people.asked(every=0.01)
    assert (await asyncio.wait_for(anext(asked), 10)).job_id == first
    second = await wonders(troupe, moves)
    assert (await asyncio.wait_for(anext(asked), 10)).job_id == second


async def test_code_decides_what_it_is_asked(troupe: AsyncTroupe, moves: Moves) -> None:
    first, second = await pays(troupe, moves), await wonders(troupe, moves)
    done = asyncio.Event()
    looked: list[str] = []

    async def decide(one: Asked) -> Decision | None:
        looked.append(one.job_id)
        if one.job_id == first:
            raise RuntimeError("this one is for others")
        done.set()
        return Answer("2025")

    watching = asyncio.create_task(troupe.people.watch(decide, every=0.01))
    await asyncio.wait_for(done.wait(), 10)

    async def decided() -> bool:
        return await said(moves, second) != {}

    await wait_until(decided)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert looked == [first, second]
    assert await said(moves, second) == {"kind": "answer", "text": "2025"}
    assert await said(moves, first) == {}


async def test_what_nobody_asked_cannot_be_decided(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await pays(troupe, moves)
    for step in ("two", "no step", "../x"):
        with pytest.raises(NotAsked):
            await troupe.people.approve(job, step)
    for call in (troupe.people.approve(new_job_id(0), "one"), troupe.people.deny(new_job_id(0), "one")):
        with pytest.raises(UnknownJob):
            await call
    with pytest.raises(UnknownJob):
        await troupe.people.answer(new_job_id(0), "one", "so")
    with pytest.raises(InvalidId):
        await troupe.people.deny("../../keys", "one")


async def test_what_was_changed_in_the_store_is_not_approved(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await pays(troupe, moves)
    await moves.redis.hset(f"{moves.store.keys.job(job)}:waits", "w one k1", '{"tool": "pay", "input": {"amount": 1}}')
    with pytest.raises(NotGenuine):
        await troupe.people.approve(job, "one")
