"""One attempt with the real store: whatever happens meanwhile, it is settled once or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.local.redis_server import RedisServer, free_port
from tasks.errors import StepFailed, StoreUnavailable
from tasks.ids import SYNTHESIS_STEP, AttemptRef
from tasks.models import AgentDefinition, Claim, Failure, Plan
from tasks.settings import StoreSettings
from tasks.states import StepStatus, TaskStatus
from tasks.store import Notice, Store
from tasks.usage import Usage
from tests.support.builders import OUT_OF_LUCK, a_job, a_plan, a_planning_step, a_worker
from tests.support.doing import Doing, code_agent, ref_to
from tests.support.moves import Moves
from tests.support.waiting import wait_until
from workers import tool
from workers.agents.base import Agent, AgentReply
from workers.agents.built_in import built_in
from workers.context import StepContext
from workers.lease import DRAINING
from workers.llm.claude import ClaudeModel
from workers.llm.scripted import Call, ScriptedModel
from workers.llm.settings import DEFAULT_CLAUDE, ModelSettings
from workers.testing import FakeMessages, Hang

ONE = {"one": ()}


async def greet(_: StepContext) -> str:
    return "hello"


class Gate:
    """An agent that reports that it has begun, and answers when it may."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.was_cancelled = False

    async def __call__(self, context: StepContext) -> str:
        context.spend(Usage(output_tokens=3, cost_microusd=5))
        self.begun.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return "late answer"


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.fixture
async def doing(moves: Moves, gate: Gate) -> AsyncIterator[Doing]:
    """A worker whose agent stands at the gate, with a heartbeat."""
    doing = Doing(moves, [code_agent(gate)])
    renewing = asyncio.create_task(doing.renewing())
    yield doing
    renewing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await renewing


async def begun(doing: Doing, gate: Gate) -> "tuple[AttemptRef, asyncio.Task[str]]":
    """An attempt that stands at the gate."""
    job = await doing.moves.planned(ONE)
    ref = await doing.moves.dispatched(job, "one")
    task = doing.start(ref)
    await gate.begun.wait()
    return ref, task


async def settled_failure(moves: Moves, ref: AttemptRef) -> Failure:
    record = await moves.snapshots.step(ref.job, ref.step)
    assert record is not None
    assert record.status is StepStatus.DELAYED
    assert record.attempts[-1].failure is not None
    return record.attempts[-1].failure


async def test_an_agents_answer_becomes_the_steps_result(moves: Moves) -> None:
    async def count(context: StepContext) -> AgentReply:
        context.spend(Usage(tool_calls=1, cost_microusd=3))
        return AgentReply(text="two", data={"count": 2})

    job = await moves.planned(ONE)
    assert await Doing(moves, [code_agent(count)]).one(job) == "succeeded"
    record = await moves.snapshots.step(job, "one")
    assert record is not None
    assert record.status is StepStatus.SUCCEEDED
    assert record.result is not None
    assert (record.result.text, record.result.data) == ("two", {"count": 2})
    assert record.attempts[0].usage == Usage(tool_calls=1, cost_microusd=3)
    assert await moves.field(job, "cost") == "3"


async def test_an_agent_that_fails_leaves_the_decision_to_the_orchestrator(moves: Moves) -> None:
    async def refuse(_: StepContext) -> str:
        raise StepFailed("not today")

    job = await moves.planned(ONE)
    await moves.entries()
    assert await Doing(moves, [code_agent(refuse)]).one(job) == "failed: step_failed: not today"
    assert await settled_failure(moves, ref_to(job)) == Failure(code="step_failed", message="not today")
    assert await moves.asked_for(Notice.ATTEMPT_ENDED) == [ref_to(job)]


async def test_a_deadline_ends_the_attempt(moves: Moves, gate: Gate) -> None:
    job = await moves.planned(ONE, timeout_ms=50)
    outcome = await Doing(moves, [code_agent(gate)]).one(job)
    assert outcome.startswith("failed: deadline_passed")
    assert gate.was_cancelled
    assert (await settled_failure(moves, ref_to(job))).retryable


async def test_an_agent_sees_the_results_that_its_step_rests_on(moves: Moves) -> None:
    seen: list[Claim] = []

    async def look(context: StepContext) -> str:
        seen.append(context.claim)
        return context.claim.inputs[0].result.text + "!" if context.claim.inputs[0].result else ""

    job = await moves.planned(ONE)
    await moves.succeed(job, "one", "of one")
    assert await Doing(moves, [code_agent(look)]).one(job, SYNTHESIS_STEP) == "succeeded"
    assert [one.step for one in seen[0].inputs] == ["one"]
    record = await moves.snapshots.job(job)
    assert record.status is TaskStatus.COMPLETED
    assert record.steps[-1].result is not None
    assert record.steps[-1].result.text == "of one!"


async def test_a_model_works_with_tools_and_its_calls_are_told(moves: Moves) -> None:
    @tool
    async def add(left: int, right: int) -> int:
        """Add two numbers."""
        return left + right

    model = ScriptedModel([Call("add", {"left": 2, "right": 3}), Call("add", {"left": "x"}), "It is 5."])
    agent = Agent(name="worker", description="Adds.", tools=[add])
    job = await moves.planned(ONE)
    assert await Doing(moves, [agent], model=model).one(job) == "succeeded"
    model.assert_consumed()
    record = await moves.snapshots.step(job, "one")
    assert record is not None
    assert record.result is not None
    assert record.result.text == "It is 5."
    assert (record.attempts[0].usage.requests, record.attempts[0].usage.tool_calls) == (3, 2)
    told = [event.model_dump() for event in await moves.told(job) if event.type == "tool_called"]
    assert [(one["tool"], one["success"]) for one in told] == [("add", True), ("add", False)]


async def test_the_planner_is_shown_the_living_agents_and_its_plan_is_proposed(moves: Moves) -> None:
    model = ScriptedModel([a_plan().model_dump_json()])
    definition = AgentDefinition(name="finance", description="Looks up share prices.", queue="finance")
    await moves.fleet.announce(a_worker().model_copy(update={"agents": (definition,)}))
    job = await moves.jobs.submit(a_job(), a_planning_step())
    await moves.entries()
    assert await Doing(moves, built_in(), model=model).one(job, "plan") == "succeeded"
    assert "Looks up share prices." in str(model.requests[0].messages)
    assert await moves.asked_for(Notice.PLAN_PROPOSED) == [ref_to(job, "plan")]
    record = await moves.snapshots.step(job, "plan")
    assert record is not None
    assert record.result is not None
    assert Plan.model_validate(record.result.data) == a_plan()


async def test_a_message_that_is_delivered_twice_is_worked_on_once(doing: Doing, gate: Gate) -> None:
    ref, first = await begun(doing, gate)
    assert await doing.start(ref) == "dropped"
    gate.may_answer.set()
    assert await first == "succeeded"
    assert await doing.start(ref) == "dropped"


async def test_cancelling_a_job_closes_the_connection_of_its_model_call(
    moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    with FakeMessages(script=[Hang()]) as fake:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        model = ClaudeModel(DEFAULT_CLAUDE, ModelSettings())
        doing = Doing(moves, [Agent(name="worker", description="Asks a model.")], model=model)
        job = await moves.planned(ONE)
        renewing, task = asyncio.create_task(doing.renewing()), doing.start(await moves.dispatched(job, "one"))
        await wait_until(lambda: fake.calls == 1)
        await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
        assert await task == "stopped: cancelled"
        await wait_until(lambda: fake.record.aborted == 1)
        renewing.cancel()
        await model.close()


async def test_a_cancelled_job_stops_its_running_attempts(doing: Doing, gate: Gate) -> None:
    ref, task = await begun(doing, gate)
    await doing.moves.jobs.end_job(ref.job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert await task == "stopped: cancelled"
    assert gate.was_cancelled
    assert doing.leases.held == {}


async def test_an_attempt_that_was_given_to_another_worker_is_stopped(doing: Doing, gate: Gate) -> None:
    ref, task = await begun(doing, gate)
    moves = doing.moves
    doing.leases.period_s = 60  # it goes silent for a while
    await moves.make_due(ref.job, "one")
    await moves.jobs.sweep(0)
    await moves.jobs.postpone(ref, 0)
    await moves.running(ref.job, "one", 2)
    await doing.leases.renew()
    assert await task == "stopped: superseded"
    assert gate.was_cancelled


async def test_a_draining_worker_hands_its_attempts_back(doing: Doing, gate: Gate) -> None:
    ref, task = await begun(doing, gate)
    await doing.moves.entries()
    doing.leases.stop_all(DRAINING)
    assert await task == "stopped: draining"
    assert (await settled_failure(doing.moves, ref)).code == "handed_back"
    record = await doing.moves.snapshots.step(ref.job, "one")
    assert record is not None
    assert record.attempts[0].usage.cost_microusd == 5
    assert await doing.moves.asked_for(Notice.ATTEMPT_ENDED) == [ref]


async def test_a_result_whose_lease_was_lost_meanwhile_changes_nothing(moves: Moves, gate: Gate) -> None:
    doing = Doing(moves, [code_agent(gate)])  # without a heartbeat
    ref, task = await begun(doing, gate)
    await moves.make_due(ref.job, "one")
    await moves.jobs.sweep(0)
    before = await moves.everything(ref.job)
    gate.may_answer.set()
    assert await task == "refused: over"
    assert await moves.everything(ref.job) == before


async def test_a_heartbeat_keeps_a_long_attempt(moves_with: Callable[..., Moves], gate: Gate) -> None:
    moves = moves_with(lease_s=0.3, heartbeat_s=0.05)
    doing = Doing(moves, [code_agent(gate)])
    renewing = asyncio.create_task(doing.renewing())
    await moves.outbox.open(0)
    ref, task = await begun(doing, gate)
    end = asyncio.get_running_loop().time() + 0.5

    async def outlived() -> bool:
        assert (await moves.jobs.sweep(0)).due == 0
        return asyncio.get_running_loop().time() > end

    await wait_until(outlived)
    gate.may_answer.set()
    assert await task == "succeeded"
    renewing.cancel()
    assert await moves.status(ref.job, "one") is StepStatus.SUCCEEDED


async def test_progress_is_told_in_order_between_start_and_end(moves: Moves) -> None:
    async def talk(context: StepContext) -> str:
        for number in range(5):
            context.progress(f"line {number}")
            await asyncio.sleep(0)
        await asyncio.to_thread(context.progress, "from a thread")
        return "done"

    job = await moves.planned(ONE)
    seq = (await moves.snapshots.job(job)).seq
    await Doing(moves, [code_agent(talk)]).one(job)
    told = await moves.told(job, seq)
    assert [event.type for event in told] == [
        "step_dispatched",
        "step_started",
        *["step_progress"] * 6,
        "step_succeeded",
    ]
    messages = [event.model_dump()["message"] for event in told if event.type == "step_progress"]
    assert messages == [f"line {number}" for number in range(5)] + ["from a thread"]


async def test_a_step_of_a_later_release_is_left_to_others_and_counts_as_no_lost_worker(moves: Moves) -> None:
    job = await moves.planned(ONE)
    ref = await moves.dispatched(job, "one")
    spec = await moves.redis.hget(f"{moves.store.keys.job(job)}:specs", "one")
    await moves.redis.hset(f"{moves.store.keys.job(job)}:specs", "one", spec[:-1] + ',"mood":"new"}')
    outcome = await Doing(moves, [code_agent(greet)]).start(ref)
    assert outcome.startswith("failed: incompatible_version")
    assert await moves.field(job, "s:one", ":steps") == "delayed"
    assert (await moves.field(job, "n:one", ":steps"), await moves.field(job, "x:one", ":steps")) == ("1", "")


# A store that goes away


@pytest.fixture
def own_server(tmp_path: Path) -> "Callable[[], RedisServer]":
    """Starts a server of the test's own; again on the same port, with its data, after it was stopped."""
    port = free_port()
    return lambda: RedisServer.start(tmp_path / "redis", port=port)


async def test_a_result_is_stored_after_the_store_has_come_back(
    own_server: Callable[[], RedisServer], gate: Gate
) -> None:
    server = own_server()
    store = Store(StoreSettings(redis_url=SecretStr(server.url), store_timeout_s=1))
    moves = Moves(store)
    await moves.outbox.open(0)
    doing = Doing(moves, [code_agent(gate)])
    renewing = asyncio.create_task(doing.renewing())
    try:
        ref, task = await begun(doing, gate)
        await asyncio.to_thread(server.stop)
        gate.may_answer.set()
        done, _ = await asyncio.wait([task], timeout=0.3)
        assert not done, "it waits for the store"
        server = await asyncio.to_thread(own_server)
        assert await asyncio.wait_for(task, 10) == "succeeded"
        assert await moves.status(ref.job, "one") is StepStatus.SUCCEEDED
    finally:
        renewing.cancel()
        await store.close()
        await asyncio.to_thread(server.stop)


async def test_an_attempt_goes_on_while_the_store_is_away(own_server: Callable[[], RedisServer], gate: Gate) -> None:
    server = own_server()
    store = Store(StoreSettings(redis_url=SecretStr(server.url), store_timeout_s=1))
    moves = Moves(store)
    await moves.outbox.open(0)
    doing = Doing(moves, [code_agent(gate)])
    try:
        ref, task = await begun(doing, gate)
        await asyncio.to_thread(server.stop)
        await doing.leases.renew()
        assert not task.done()
        server = await asyncio.to_thread(own_server)
        await doing.leases.renew()
        gate.may_answer.set()
        assert await asyncio.wait_for(task, 10) == "succeeded"
        assert (await moves.snapshots.step(ref.job, "one")) is not None
    finally:
        await store.close()
        await asyncio.to_thread(server.stop)


async def test_a_result_that_nobody_takes_is_dropped_after_a_while(
    own_server: Callable[[], RedisServer], gate: Gate
) -> None:
    server = own_server()
    store = Store(StoreSettings(redis_url=SecretStr(server.url), store_timeout_s=0.5))
    moves = Moves(store)
    await moves.outbox.open(0)
    doing = Doing(moves, [code_agent(gate)], settle_within=0.2)
    try:
        _, task = await begun(doing, gate)
        await asyncio.to_thread(server.stop)
        gate.may_answer.set()
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(task, 5)
        assert doing.leases.held == {}
    finally:
        await store.close()
        await asyncio.to_thread(server.stop)
