"""Sessions in a producer's hands, and what agents are shown of them, on a real store."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from orchestrator import AsyncTroupe, Policy, SessionBusy, StateConflict, Troupe
from tasks.errors import ContractError, InvalidId, JobFailed, ResultTimeout, UnknownJob, UnknownSession
from tasks.ids import PLAN_STEP, SYNTHESIS_STEP, JobId, new_job_id, partition_of, session_partition
from tasks.models import StepResult
from tasks.sessions import Message
from tasks.settings import StoreSettings
from tasks.states import StepStatus, TaskStatus
from tasks.store import SessionStore
from tests.support.builders import COST, OUT_OF_LUCK, WORKER, a_graph, a_plan
from tests.support.doing import ScriptedAnswering, code_agent
from tests.support.moves import Moves
from tests.support.waiting import wait_until
from workers.agents.base import Agent
from workers.agents.registry import AgentRegistry
from workers.context import StepContext
from workers.lease import Leases
from workers.llm.scripted import Call, ScriptedModel
from workers.runner import Runner
from workers.tools.base import tool


@pytest.fixture
def store_settings(store_settings: StoreSettings) -> StoreSettings:
    """One partition: the moves of the tests are made there."""
    return store_settings.model_copy(update={"partitions": 1})


@pytest.fixture
async def troupe(store_settings: StoreSettings) -> AsyncIterator[AsyncTroupe]:
    async with AsyncTroupe(settings=store_settings) as troupe:
        yield troupe


@pytest.fixture
def blocking(store_settings: StoreSettings) -> Iterator[Troupe]:
    with Troupe(settings=store_settings) as troupe:
        yield troupe


async def to_synthesis(moves: Moves, job: JobId) -> None:
    """Bring a job whose turn it is to its last step."""
    ref = await moves.running(job, PLAN_STEP)
    assert await moves.attempts.succeed(ref, StepResult(text="plan"), COST) is None
    assert await moves.extend(job, a_graph({"one": ()}))
    await moves.succeed(job, "one")


async def answer(moves: Moves, job: JobId, text: str) -> None:
    await to_synthesis(moves, job)
    ref = await moves.running(job, SYNTHESIS_STEP)
    said = Message.model_validate({"role": "assistant", "content": text})
    assert await moves.attempts.succeed(ref, StepResult(text=text), COST, said=said) is None


async def test_a_message_is_a_job_of_the_session(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("customer-17")
    job = await talk.send("  What is it?\n", tenant="shop", max_steps=3)
    assert repr(talk) == "<session customer-17.0>"
    spec = (await moves.snapshots.job(job.id)).spec
    assert (spec.task, spec.session, spec.tenant, spec.max_steps) == ("What is it?", talk.id, "shop", 3)
    assert partition_of(job.id) == session_partition(talk.id)
    assert [(one.role, one.text, one.job) async for one in talk.messages()] == [("user", "What is it?", job.id)]
    state = await talk.state()
    assert (state.status, state.running) == (TaskStatus.IN_PROGRESS, job.id)


async def test_a_key_holds_for_the_message_too(troupe: AsyncTroupe) -> None:
    talk = troupe.session()
    jobs = await asyncio.gather(*(talk.send("Once.", idempotency_key="k") for _ in range(10)))
    assert len({job.id for job in jobs}) == 1
    assert len([one async for one in talk.messages()]) == 1


async def test_a_policy_is_given_by_name(troupe: AsyncTroupe) -> None:
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


async def test_an_interaction_gives_the_answers_text(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("talk")
    asking = asyncio.create_task(talk.interact("What is it?", wait=20))

    async def accepted() -> bool:
        return bool(await troupe.jobs())

    await wait_until(accepted)
    await answer(moves, (await troupe.jobs())[0].job_id, "It is so.")
    assert await asking == "It is so."
    job = await talk.send("And why?")
    await moves.jobs.end_job(job.id, TaskStatus.FAILED, OUT_OF_LUCK)
    with pytest.raises(JobFailed):
        await job.result(1)
    assert [one.role async for one in talk.messages(after=2)] == ["user", "system"]


async def test_many_messages_are_read_in_pages(troupe: AsyncTroupe) -> None:
    talk = troupe.session("talk")
    for at in range(0, 1_100, 100):
        await asyncio.gather(*(talk.append("user", str(number)) for number in range(at, at + 100)))
    assert [one.seq async for one in talk.messages(after=20)] == list(range(21, 1_101))


async def test_a_state_is_changed_saved_and_forgotten(troupe: AsyncTroupe) -> None:
    talk = troupe.session("talk")
    with pytest.raises(UnknownSession, match=r"no session 'talk\.0'"):
        await talk.state()
    assert await talk.append("user", "Hello.", {"from": "web"}) == 1
    mine, theirs = await talk.state(), await talk.state()
    mine.metadata["customer"] = 17
    assert (await talk.save(mine)).metadata == {"customer": 17}
    with pytest.raises(StateConflict):
        await talk.save(theirs)
    await talk.update_task_state({"a": 1})
    assert (await talk.state(newest=0)).task_state == {"a": 1}
    assert [one.session_id for one in await troupe.sessions()] == [talk.id]
    assert [await talk.delete(), await talk.delete()] == [True, False]
    assert await troupe.sessions() == []


async def test_a_name_that_is_none_is_refused_at_once(troupe: AsyncTroupe) -> None:
    with pytest.raises(InvalidId):
        troupe.session("no name")


async def test_a_job_is_advanced_and_looked_at_where_it_stands(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Do.", plan=a_plan({"a": (), "b": ("a",)}), max_steps=1)
    assert await moves.extend(job.id, a_graph({"a": (), "b": ("a",)}))
    with pytest.raises(ResultTimeout, match=r"still (pending|in_progress) after 0\.01 s"):
        await job.stand(0.01)
    standing = asyncio.create_task(job.stand(20))
    await moves.succeed(job.id, "a", "found a")
    assert (await standing).paused
    state = await job.task_state()
    assert (state.task_id, state.completed_steps, state.current_step, state.results) == (
        job.id,
        (0,),
        1,
        {0: "found a"},
    )
    with pytest.raises(ContractError, match="steps: 0"):
        await job.advance(0)
    assert await job.advance() is TaskStatus.IN_PROGRESS
    await moves.succeed(job.id, "b")
    await moves.succeed(job.id, SYNTHESIS_STEP)
    assert (await job.stand(20)).status is TaskStatus.COMPLETED
    assert await job.advance() is TaskStatus.COMPLETED
    with pytest.raises(UnknownJob):
        await troupe.job(new_job_id(0)).advance()


async def test_a_task_is_done_step_by_step_and_gone_on_with_elsewhere(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("talk")
    with pytest.raises(ResultTimeout):
        await talk.run_task_with_state("Do it.", wait=0.01)
    (job,) = [one.job_id for one in await troupe.jobs()]
    ref = await moves.running(job, PLAN_STEP)
    assert await moves.attempts.succeed(ref, StepResult(text="plan"), COST) is None
    assert await moves.extend(job, a_graph({"a": (), "b": ("a",)}))
    await moves.succeed(job, "a", "found a")
    state = await talk.run_task_with_state("Do it.", wait=20)
    assert (state.task_id, state.completed_steps, state.results, state.paused) == (job, (0,), {0: "found a"}, True)
    assert (await talk.state()).task_state["task"] == state.model_dump(mode="json")
    going = asyncio.create_task(talk.run_task_with_state(" Do it. ", wait=20))
    await moves.wait_for(job, "b", StepStatus.READY, attempt=0)
    await moves.succeed(job, "b", "found b")
    await moves.succeed(job, SYNTHESIS_STEP)
    state = await going
    assert (state.status, state.current_step) == (TaskStatus.COMPLETED, 2)
    assert await talk.run_task_with_state("Do it.") == state
    assert [one.job_id for one in await troupe.jobs()] == [job]
    with pytest.raises(ResultTimeout):
        await talk.run_task_with_state("Do something else.", wait=0.01)
    assert len(await troupe.jobs()) == 2


async def test_a_task_whose_state_was_not_written_is_not_begun_twice(troupe: AsyncTroupe) -> None:
    for _ in range(2):
        with pytest.raises(ResultTimeout):
            await troupe.session("talk").run_task_with_state("Do it.", wait=0.01)
    assert len(await troupe.jobs()) == 1


def test_ordinary_code_talks_too(blocking: Troupe) -> None:
    talk = blocking.session("talk")
    job = talk.send("What is it?", policy="reject")
    assert (talk.id, repr(talk)) == ("talk.0", "<session talk.0>")
    assert [one.job for one in talk.messages()] == [job.id]
    assert talk.append("system", "We close at six.") == 2
    state = talk.state()
    state.metadata["a"] = 1
    assert talk.save(state).metadata == {"a": 1}
    talk.update_task_state({"task": job.task_state()})
    assert talk.state().task_state["task"] == job.task_state().model_dump(mode="json")
    assert job.advance(1) is TaskStatus.PENDING
    assert [one.session_id for one in blocking.sessions()] == [talk.id]
    with pytest.raises(ResultTimeout):
        talk.interact("And?", wait=0.01)
    with pytest.raises(ResultTimeout):
        job.stand(0.01)
    with pytest.raises(ResultTimeout):
        talk.run_task_with_state("Do it.", wait=0.01)
    assert talk.delete() is True


class Looking(ScriptedAnswering):
    """Answers with a script, and sees the sessions of a store."""

    def __init__(self, moves: Moves, model: ScriptedModel | None) -> None:
        super().__init__(model)
        self._sessions = SessionStore(moves.store)


def runner(moves: Moves, agents: list[Agent], model: ScriptedModel | None = None) -> Runner:
    return Runner(
        worker=WORKER, attempts=moves.attempts, fleet=moves.fleet, leases=Leases(moves.attempts, 0.02),
        agents=AgentRegistry(agents), answering=Looking(moves, model), settle_within=timedelta(seconds=10),
    )  # fmt: skip


async def test_agents_are_shown_what_was_said_and_their_answer_is_added(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("talk")
    first = await talk.send("What is a refund?")
    await answer(moves, first.id, "Money back.")
    second, third = await talk.send("Who signs it?"), await talk.send("Why?")
    await to_synthesis(moves, second.id)
    model = ScriptedModel(["The manager."])
    agent = Agent(name="worker", description="Answers.")
    ref = await moves.dispatched(second.id, SYNTHESIS_STEP)
    assert await runner(moves, [agent], model).run(ref) == "succeeded"
    prompt = str(model.requests[0].messages)
    said = prompt[prompt.index("<conversation") : prompt.index("</conversation>")]
    assert "What is a refund?" in said
    assert "Money back." in said
    assert "Who signs it?" not in said
    assert "Why?" not in prompt
    assert [(one.role, one.job) async for one in talk.messages(after=3)] == [
        ("user", third.id),
        ("assistant", second.id),
    ]


async def test_own_code_and_the_planner_see_it_too(troupe: AsyncTroupe, moves: Moves) -> None:
    talk = troupe.session("talk")
    await talk.append("user", "I am Ann.")
    job = await talk.send("Who am I?")
    seen: list[tuple[str, ...]] = []

    async def look(context: StepContext) -> str:
        seen.append(tuple(one.text for one in context.conversation))
        return "Ann."

    ref = await moves.dispatched(job.id, PLAN_STEP)
    await runner(moves, [code_agent(look, "planner")]).run(ref)
    assert seen == [("I am Ann.",)]


async def test_a_job_without_a_session_is_shown_none(moves: Moves) -> None:
    job = await moves.planned({"one": ()})
    model = ScriptedModel(["So."])
    ref = await moves.dispatched(job, "one")
    assert await runner(moves, [Agent(name="worker", description="Answers.")], model).run(ref) == "succeeded"
    assert "<conversation" not in str(model.requests[0].messages)


async def test_tool_calls_are_remembered_with_the_session(troupe: AsyncTroupe, moves: Moves) -> None:
    @tool
    async def add(left: int, right: int) -> int:
        """Add two numbers."""
        return left + right

    talk = troupe.session("talk")
    job = await talk.send("What is 2 + 3?")
    await to_synthesis(moves, job.id)
    model = ScriptedModel([Call("add", {"left": 2, "right": 3}), "5."])
    ref = await moves.dispatched(job.id, SYNTHESIS_STEP)
    assert await runner(moves, [Agent(name="worker", description="Adds.", tools=[add])], model).run(ref) == "succeeded"
    (call,) = (await talk.state()).tool_calls
    assert (call.tool_name, call.input, call.output, call.success) == ("add", {"left": 2, "right": 3}, "5", True)
