"""A conversation in a producer's hands, whichever door it came by."""

import asyncio
from collections.abc import Sequence

import pytest

from orchestrator import AsyncTroupe
from tasks.errors import (
    ContractError,
    IdempotencyConflict,
    InvalidId,
    InvalidTask,
    ResultTimeout,
    SessionBusy,
    StateConflict,
    UnknownSession,
)
from tasks.ids import PLAN_STEP, SYNTHESIS_STEP, JobId
from tasks.models import StepResult
from tasks.sessions import TASK, Message, Policy, TaskState
from tasks.states import TaskStatus
from tests.support.builders import COST, OUT_OF_LUCK, a_graph
from tests.support.moves import Moves
from tests.support.waiting import wait_until

TEXT = "Wie viel? «€ 5» 🦊\u2028 \\u0000"


async def answer(moves: Moves, job: JobId, text: str, steps: Sequence[str] = ("one",)) -> None:
    """Play the fleet until the job has its answer."""
    ref = await moves.running(job, PLAN_STEP)
    assert await moves.attempts.succeed(ref, StepResult(text="plan"), COST) is None
    assert await moves.extend(job, a_graph(dict.fromkeys(steps, ())))
    for step in steps:
        await moves.succeed(job, step)
    ref = await moves.running(job, SYNTHESIS_STEP)
    said = Message.model_validate({"role": "assistant", "content": text})
    assert await moves.attempts.succeed(ref, StepResult(text=text), COST, said=said) is None


async def newest(troupe: AsyncTroupe) -> JobId:
    """The job that was submitted just now."""

    async def accepted() -> bool:
        return bool(await troupe.jobs())

    await wait_until(accepted)
    return (await troupe.jobs())[0].job_id


async def test_a_message_is_a_job_of_the_session(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("customer-17")
    job = await talk.send(f"  {TEXT}\n", max_steps=3, model="offline")
    spec = (await moves.snapshots.job(job.id)).spec
    assert (spec.task, spec.session, spec.max_steps, spec.model) == (TEXT.strip(), "customer-17.0", 3, "offline")
    assert [(one.role, one.text, one.job) async for one in talk.messages()] == [("user", TEXT.strip(), job.id)]
    state = await talk.state()
    assert (state.session_id, state.status, state.running) == ("customer-17.0", TaskStatus.IN_PROGRESS, job.id)
    assert [one.session_id for one in await troupe.sessions()] == ["customer-17.0"]


async def test_a_session_of_another_tenant_is_its_own(troupe: AsyncTroupe, moves: Moves) -> None:
    with pytest.raises(ContractError, match="tenant"):
        await troupe.session("talk").send("Hello?", tenant="No Tenant")
    job = await troupe.session("talk").send("Hello?")
    assert (await moves.snapshots.job(job.id)).spec.tenant == "default"


async def test_a_session_without_a_name_is_a_new_one(troupe: AsyncTroupe) -> None:
    one, other = troupe.session(), troupe.session()
    await asyncio.gather(one.append("user", "Hello."), other.append("user", "Hello."))
    assert (await one.state()).session_id != (await other.state()).session_id
    again = troupe.session((await one.state()).session_id)
    assert [message.text async for message in again.messages()] == ["Hello."]


async def test_a_key_holds_for_the_message_too(troupe: AsyncTroupe) -> None:
    talk = troupe.session("talk")
    jobs = await asyncio.gather(*(talk.send("Once.", idempotency_key="k") for _ in range(5)))
    assert len({job.id for job in jobs}) == 1
    assert len([one async for one in talk.messages()]) == 1
    with pytest.raises(IdempotencyConflict):
        await talk.send("Something else.", idempotency_key="k")


async def test_what_happens_to_a_second_message_is_chosen(troupe: AsyncTroupe) -> None:
    talk = troupe.session("talk")
    first = await talk.send("One?")
    with pytest.raises(SessionBusy) as refused:
        await talk.send("Two?", policy="reject")
    assert refused.value.job == first.id
    second = await talk.send("Two?", policy=Policy.QUEUE)
    assert (await talk.state()).waiting == (second.id,)
    third = await talk.send("Three!", policy="rollback")
    assert [one.job async for one in talk.messages()] == [third.id]
    with pytest.raises(ContractError, match="policy: 'shout' is none; there are: reject, queue"):
        await talk.send("Four?", policy="shout")


@pytest.mark.parametrize("text", ["", " \n ", "x" * 100_001])
async def test_a_message_that_says_nothing_is_refused(troupe: AsyncTroupe, text: str) -> None:
    with pytest.raises(InvalidTask, match=r"the task (is empty|has 100,001)"):
        await troupe.session("talk").send(text)
    assert await troupe.sessions() == []


async def test_an_interaction_gives_the_answers_text(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("talk")
    asking = asyncio.create_task(talk.interact("What is it?", wait=20))
    await answer(moves, await newest(troupe), TEXT)
    assert await asking == TEXT
    assert [(one.role, one.text) async for one in talk.messages()] == [("user", "What is it?"), ("assistant", TEXT)]
    with pytest.raises(ResultTimeout):
        await talk.interact("And why?", wait=0.05)
    job = (await talk.state()).running
    assert job is not None
    await moves.jobs.end_job(job, TaskStatus.FAILED, OUT_OF_LUCK)
    assert [one.role async for one in talk.messages(after=2)] == ["user", "system"]


async def test_a_task_is_done_a_step_a_call(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("talk")
    with pytest.raises(ResultTimeout):
        await talk.run_task_with_state("Do it all.", wait=0.05)
    job = (await talk.state()).running
    assert job is not None
    assert (await talk.state()).task_state == {}
    calling = asyncio.create_task(talk.run_task_with_state("Do it all.", wait=20))
    await answer(moves, job, "All is done.")
    state = await calling
    assert (state.task_id, state.status, state.description) == (job, TaskStatus.COMPLETED, "Do it all.")
    assert (await talk.state()).task_state[TASK] == state.model_dump(mode="json")
    assert await talk.run_task_with_state("Do it all.") == state
    assert len(await troupe.jobs()) == 1


async def test_messages_that_nobody_answers_are_added(troupe: AsyncTroupe) -> None:
    talk = troupe.session("talk")
    assert [one async for one in talk.messages()] == []
    assert await talk.append("user", TEXT, {"from": "web"}) == 1
    assert await talk.append("assistant", [{"type": "text", "text": "A block."}]) == 2
    found = [one async for one in talk.messages()]
    assert [(one.seq, one.role, one.text) for one in found] == [(1, "user", TEXT), (2, "assistant", "A block.")]
    assert found[0].metadata == {"from": "web"}


async def test_many_messages_are_read_in_pages(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("talk")
    await talk.append("user", "1")
    name = (await talk.state()).session_id
    other = AsyncTroupe(settings=moves.store.settings)
    for at in range(2, 1_102, 100):
        await asyncio.gather(*(other.states.append_message(name, "user", "x") for _ in range(at, at + 100)))
    await other.close()
    assert [one.seq async for one in talk.messages(after=20)] == list(range(21, 1_102))


async def test_a_state_is_changed_saved_and_forgotten(troupe: AsyncTroupe) -> None:
    talk = troupe.session("talk")
    with pytest.raises(UnknownSession, match="there is no session 'talk"):
        await talk.state()
    assert await talk.delete() is False
    await talk.append("user", "Hello.")
    mine, theirs = await talk.state(), await talk.state()
    mine.metadata["customer"] = 17
    mine.task_state["note"] = TEXT
    mine.messages.append(Message.model_validate({"role": "assistant", "content": "Good day."}))
    saved = await talk.save(mine)
    assert (saved.metadata, saved.task_state) == ({"customer": 17}, {"note": TEXT})
    assert saved == await talk.state()
    assert [one.text async for one in talk.messages()] == ["Hello.", "Good day."]
    with pytest.raises(StateConflict):
        await talk.save(theirs)
    assert [await talk.delete(), await talk.delete()] == [True, False]
    assert await troupe.sessions() == []


async def test_only_as_many_messages_as_are_wanted_come_with_a_state(troupe: AsyncTroupe) -> None:
    talk = troupe.session("talk")
    for text in "abc":
        await talk.append("user", text)
    assert [one.text for one in (await talk.state(newest=2)).messages] == ["b", "c"]
    assert (await talk.state(newest=0)).messages == []
    assert len((await talk.state(newest=5_000)).messages) == 3


async def test_names_of_the_task_state_are_set_alone(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("talk")
    with pytest.raises(UnknownSession):
        await talk.update_task_state({"a": 1})
    job = await talk.send("Find out.")
    step = TaskState.of(await job.snapshot())
    await talk.update_task_state({"a": 1, "gone": 2, "step": step})
    await talk.update_task_state({"gone": None, "b": [TEXT]})
    assert (await talk.state(newest=0)).task_state == {"a": 1, "b": [TEXT], "step": step.model_dump(mode="json")}
    await talk.update_task_state({})


@pytest.mark.parametrize("name", ["no name", "../jobs", "", "a/b", "talk.99999"])
async def test_a_name_that_is_none_is_refused_at_once(troupe: AsyncTroupe, name: str) -> None:
    with pytest.raises(InvalidId):
        troupe.session(name)
