"""Every way in which a tool call can go wrong has its own code, and the conversation goes on."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from tasks.errors import ContractError, StoreUnavailable
from tests.unit.attempts import make_context
from workers.agents.base import Agent
from workers.agents.conversation import Conversation
from workers.context import enter_step
from workers.llm.base import Block
from workers.llm.scripted import Call, ScriptedModel
from workers.tools.base import Tool, ToolCall, ToolError, tool
from workers.tools.codes import Code
from workers.tools.controls import Approval, Controls, LocalGate, Verdict
from workers.tools.current import current_call
from workers.tools.executor import ToolExecutor, result_block, stopped_block
from workers.tools.names import API_NAME, MAX_CHARS, api_names
from workers.tools.registry import ToolRegistry
from workers.tools.tally import MAX_IDENTICAL

QUICK = timedelta(milliseconds=1)
SECRET = "sk-ant-api03-abcdefghijkl"


class Card(BaseModel):
    number: str
    amount: int


@tool
async def same(text: str = "x") -> str:
    """Always the same."""
    return text


@tool(max_uses=1)
async def scarce(number: int) -> int:
    """May be used once."""
    return number


@tool(rate_limit=1)
async def limited(number: int) -> int:
    """May be called once a minute."""
    return number


@tool(requires_approval=True)
async def pay(amount: int) -> str:
    """Pays."""
    return f"paid {amount}"


@tool(timeout=0.02)
async def slow() -> str:
    """Takes too long."""
    await asyncio.Event().wait()
    return ""


@tool
async def stopped() -> str:
    """Cancels itself."""
    raise asyncio.CancelledError


@tool
def broken() -> str:
    """Breaks."""
    raise ValueError("on purpose")


@tool
def picky() -> str:
    """Refuses."""
    raise ToolError("bad_moon", "the moon is wrong; wait for a better one")


@tool(max_output_chars=100)
def wordy() -> str:
    """Says much."""
    return "x" * 1000


TOOLS: list[Tool] = [same, scarce, limited, pay, slow, stopped, broken, picky, wordy]


def blocks(name: str, *inputs: dict[str, JsonValue]) -> list[Block]:
    return [
        {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": given}
        for n, given in enumerate(inputs, start=1)
    ]


async def run(tools: Sequence[Tool], name: str, *inputs: dict[str, JsonValue], controls: Controls | None = None) -> Any:
    """The last call, after the others in turn."""
    executor = ToolExecutor(tools, controls)
    calls = [await executor.execute(f"toolu_{n}", name, given) for n, given in enumerate(inputs)]
    return calls[-1]


MATRIX: list[tuple[str, list[dict[str, JsonValue]], str]] = [
    ("nowhere", [{}], Code.UNKNOWN_TOOL),
    ("pay", [{"amount": "much"}], Code.INVALID_INPUT),
    ("slow", [{}], Code.TIMEOUT),
    ("limited", [{"number": 1}, {"number": 2}], Code.RATE_LIMITED),
    ("pay", [{"amount": 1}], Code.DENIED),
    ("stopped", [{}], Code.CANCELLED),
    ("broken", [{}], Code.RAISED),
    ("picky", [{}], "bad_moon"),
    ("wordy", [{}], Code.OUTPUT_TOO_LARGE),
    ("same", [{}] * (MAX_IDENTICAL + 1), Code.REPEATED_CALL),
    ("scarce", [{"number": 1}, {"number": 2}], Code.MAX_USES),
]


def test_the_matrix_has_every_code() -> None:
    assert {code for _, _, code in MATRIX} - {"bad_moon"} == set(Code)


@pytest.mark.parametrize(("name", "inputs", "code"), MATRIX)
async def test_every_code_comes_up_and_the_loop_goes_on(
    name: str, inputs: list[dict[str, JsonValue]], code: str
) -> None:
    told: list[ToolCall] = []
    agent = Agent(name="tester", description="Tests.", tools=TOOLS)
    model = ScriptedModel([*([Call(name, given)] for given in inputs), "Done all the same."])
    conversation = Conversation(
        agent=agent,
        context=make_context(),
        model=model,
        executor=ToolExecutor(agent.toolbox, Controls(on_call=told.append)),
        system="Test.",
    )
    assert (await conversation.run("Go.")).text == "Done all the same."
    model.assert_consumed()
    assert told[-1].code == code
    result = model.requests[-1].messages[-1]["content"][0]
    assert isinstance(result, dict)
    assert result["is_error"] is (code != Code.OUTPUT_TOO_LARGE)
    assert result["content"]


async def test_three_tools_take_as_long_as_the_slowest() -> None:
    """Told by what overlaps, not by a stop-watch: each waits until all three run."""
    together = asyncio.Barrier(3)

    @tool
    async def meet(number: int) -> int:
        """Meets the others."""
        await together.wait()
        return number

    calls = await ToolExecutor([meet]).execute_all(blocks("meet", {"number": 1}, {"number": 2}, {"number": 3}))
    assert [call.output for call in calls] == ["1", "2", "3"]


async def test_three_tools_take_less_than_two_of_them() -> None:
    """3 of 200 ms take 205 ms on a machine that does nothing else."""

    @tool
    def rest(number: int) -> int:
        """Rests."""
        time.sleep(0.8)
        return number

    begun = time.perf_counter()
    await ToolExecutor([rest]).execute_all(blocks("rest", {"number": 1}, {"number": 2}, {"number": 3}))
    assert 0.8 <= time.perf_counter() - begun < 1.6


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_a_hung_function_frees_the_step_a_second_after_its_timeout(hold: threading.Event) -> None:
    @tool(timeout=0.1)
    def hang() -> str:
        """Hangs."""
        hold.wait()
        return ""

    call = await run([hang], "hang", {})
    assert (call.code, call.tries) == ("timeout", 1)
    assert call.duration_ms < 1100


def failing(times: int, error: Exception, *, retries: int = 2) -> tuple[Tool, list[str]]:
    keys: list[str] = []

    @tool(retries=retries)
    async def shaky() -> str:
        """Fails at first."""
        keys.append(current_call().key)
        if len(keys) <= times:
            raise error
        return f"try {current_call().number}"

    return shaky, keys


async def test_a_tool_with_retries_is_tried_again_with_the_same_key() -> None:
    shaky, keys = failing(2, ValueError("not yet"))
    call = await run([shaky], "shaky", {}, controls=Controls(first_pause=QUICK))
    assert (call.output, call.tries, call.success) == ("try 3", 3, True)
    assert len(keys) == 3
    assert len(set(keys)) == 1


@pytest.mark.parametrize(
    ("error", "retries", "tries"),
    [(ValueError("never"), 2, 3), (ValueError("never"), 0, 1), (ToolError("bad", "your own fault"), 2, 1)],
)
async def test_tries_end(error: Exception, retries: int, tries: int) -> None:
    shaky, _ = failing(99, error, retries=retries)
    call = await run([shaky], "shaky", {}, controls=Controls(first_pause=QUICK))
    assert (call.success, call.tries) == (False, tries)


async def test_no_try_begins_that_does_not_fit_into_the_steps_time() -> None:
    shaky, keys = failing(99, ValueError("never"))
    executor = ToolExecutor([shaky], Controls(first_pause=timedelta(hours=1)), within=timedelta(minutes=1))
    assert (await executor.execute("c", "shaky", {})).code == "raised"
    assert len(keys) == 1


async def test_a_call_over_the_rate_limit_waits_when_the_wait_is_short() -> None:
    waits = [QUICK, QUICK, None]

    class Gate:
        async def admit(self, tool: Tool) -> timedelta | None:
            return waits.pop(0)

    call = await run([limited], "limited", {"number": 1}, controls=Controls(gate=Gate()))
    assert (call.success, waits) == (True, [])


async def test_a_wait_that_is_too_long_for_the_step_is_not_begun() -> None:
    executor = ToolExecutor([limited], Controls(longest_wait=timedelta(hours=1)), within=timedelta(seconds=1))
    first, second = await executor.execute_all(blocks("limited", {"number": 1}, {"number": 2}))
    assert first.success
    assert (second.code, second.tries) == ("rate_limited", 0)
    assert "once" not in str(second.error)
    assert "1 times a minute; there is room in 60 s" in str(second.error)


async def test_a_gate_or_desk_that_is_away_refuses_the_call() -> None:
    class Away:
        async def admit(self, tool: Tool) -> timedelta | None:
            raise StoreUnavailable("no answer")

        async def decide(self, request: Approval) -> Verdict:
            raise StoreUnavailable("no answer")

    controls = Controls(gate=Away(), desk=Away())
    assert (await run([limited], "limited", {"number": 1}, controls=controls)).code == "rate_limited"
    assert (await run([pay], "pay", {"amount": 1}, controls=controls)).code == "denied"


async def test_the_local_gate_admits_as_many_as_the_limit_in_any_minute() -> None:
    now = [100.0]
    gate = LocalGate(lambda: now[0])
    twice = tool(rate_limit=2, name="twice")(same.function)
    assert [await gate.admit(twice) for _ in range(3)] == [None, None, timedelta(seconds=60)]
    now[0] += 45
    assert await gate.admit(twice) == timedelta(seconds=15)
    now[0] += 15
    assert await gate.admit(twice) is None
    assert await gate.admit(same) is None


async def test_no_more_runs_of_a_tool_at_once_than_its_concurrency_over_all_steps() -> None:
    running, most = 0, 0

    @tool(concurrency=2)
    async def count(number: int) -> int:
        """Counts."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    controls = Controls()
    steps = [ToolExecutor([count], controls) for _ in range(3)]
    inputs: list[dict[str, JsonValue]] = [{"number": n} for n in range(4)]
    await asyncio.gather(*(one.execute_all(blocks("count", *inputs)) for one in steps))
    assert most == 2


async def test_uses_are_counted_also_when_all_wait_for_a_yes_at_once() -> None:
    class Yes:
        async def decide(self, request: Approval) -> Verdict:
            await asyncio.sleep(0)
            return Verdict(approved=True)

    once = tool(max_uses=1, requires_approval=True, name="once")(scarce.function)
    calls = await ToolExecutor([once], Controls(desk=Yes())).execute_all(blocks("once", {"number": 1}, {"number": 2}))
    assert [call.code for call in calls] == [None, "max_uses"]


async def test_input_that_does_not_fit_is_no_use() -> None:
    assert (await run([scarce], "scarce", {"number": "x"}, {"number": 1})).success


async def test_an_outcome_that_changes_is_no_repetition() -> None:
    answers = iter("abababaaaa")

    @tool
    async def status() -> str:
        """Tells."""
        return next(answers)

    executor = ToolExecutor([status])
    codes = [(await executor.execute("c", "status", {})).code for _ in range(11)]
    assert codes == [None] * 9 + ["repeated_call", None]  # told once, then free to go on


async def test_a_person_sees_what_is_asked_without_secrets_and_may_say_yes_or_no() -> None:
    asked: list[Approval] = []

    class Person:
        async def decide(self, request: Approval) -> Verdict:
            asked.append(request)
            return Verdict(approved=isinstance(request.input, dict) and request.input["amount"] == 1)

    charge_card = tool(requires_approval=True, redact=["number"], name="charge")(charge)
    controls = Controls(desk=Person())
    call = await run([charge_card], "charge", {"number": "4111222233334444", "amount": 1}, controls=controls)
    assert call.success
    assert asked[0].input == {"number": "***", "amount": 1}
    refused = await run([charge_card], "charge", {"number": "4111222233334444", "amount": 2}, controls=controls)
    assert (refused.code, refused.error) == ("denied", "a person did not approve this call of charge")
    assert asked[0].key != asked[1].key


async def test_waiting_for_a_person_is_not_idle_and_calls_are_signs_of_life() -> None:
    context = make_context()
    enter_step(context)
    context.last_sign = 0.0

    class Slow:
        async def decide(self, request: Approval) -> Verdict:
            assert context.unseen == 1
            return Verdict(approved=True)

    assert (await run([pay], "pay", {"amount": 1}, controls=Controls(desk=Slow()))).success
    assert context.unseen == 0
    assert context.last_sign > 0


def charge(card: Card) -> str:
    """Charges a card."""
    return json.dumps({"number": card.number, "key": current_call().key, "note": f"card {card.number}"})


async def keys_of(executor: ToolExecutor, *inputs: dict[str, JsonValue]) -> list[str]:
    calls = await executor.execute_all(blocks("charge", *inputs), cap=1)
    return [json.loads(str(call.output))["key"] for call in calls]


ONE: dict[str, JsonValue] = {"number": "4111222233334444", "amount": 1}
SAME: dict[str, JsonValue] = {"amount": 1, "number": "4111222233334444"}
TWO: dict[str, JsonValue] = {"number": "4111222233334444", "amount": 2}


async def test_keys_are_the_same_in_every_attempt_and_different_for_every_call() -> None:
    charging = tool(idempotent=True)(charge)
    first = await keys_of(ToolExecutor([charging]), ONE, TWO, SAME)
    assert len(set(first)) == 3
    assert await keys_of(ToolExecutor([charging]), ONE, TWO, SAME) == first


async def test_a_resumed_step_goes_on_with_keys_and_uses_where_it_stopped() -> None:
    charging = tool(idempotent=True, max_uses=3)(charge)
    turn, kept = blocks("charge", ONE, ONE, TWO), list[ToolCall]()

    async def keep(call: ToolCall) -> None:
        kept.append(call)

    whole = await ToolExecutor([charging]).execute_all(turn, cap=1)
    resumed = ToolExecutor([charging])
    again = await resumed.execute_all(turn, 2, known={whole[0].id: whole[0]}, keep=keep)
    assert [call.output for call in again] == [call.output for call in whole]
    assert [call.attempt for call in again] == [1, 2, 2]
    assert sorted(call.id for call in kept) == sorted(call.id for call in whole[1:])
    assert (await resumed.execute("c", "charge", TWO)).code == "max_uses"


async def test_calls_of_an_earlier_attempt_count_as_repetitions_and_uses_as_they_did() -> None:
    async def look_at(place: str) -> str:
        """Look at a place."""
        return place

    steady = tool(max_uses=4)(look_at)
    outcomes = [(await ToolExecutor([steady]).execute(f"c{at}", "look_at", {"place": "here"})) for at in range(3)]
    resumed = ToolExecutor([steady])
    for call in outcomes:
        block: Block = {"type": "tool_use", "id": call.id, "name": "look_at", "input": {"place": "here"}}
        assert await resumed.execute_all([block], 2, known={call.id: call}) == [call]
    refused = await resumed.execute("c4", "look_at", {"place": "here"})
    assert refused.code == "repeated_call"
    assert (await resumed.execute("c5", "look_at", {"place": "there"})).success
    assert (await resumed.execute("c6", "look_at", {"place": "elsewhere"})).code == "max_uses"


async def test_a_call_that_cannot_be_kept_stops_the_others_of_its_turn() -> None:
    ended: list[str] = []

    async def look_at(place: str) -> str:
        """Look at a place."""
        return place

    async def slow(place: str) -> str:
        """Look for long."""
        await asyncio.sleep(30)
        ended.append(place)
        return place

    async def refuse(_call: ToolCall) -> None:
        raise StoreUnavailable("gone")

    last: Block = {"type": "tool_use", "id": "z", "name": "slow", "input": {"place": "b"}}
    turn = [*blocks("look_at", {"place": "a"}), last]
    with pytest.raises(StoreUnavailable):
        await ToolExecutor([tool(look_at), tool(slow)]).execute_all(turn, keep=refuse)
    assert ended == []


async def test_a_key_belongs_to_its_job_and_step() -> None:
    charging = tool(charge)
    outside = await keys_of(ToolExecutor([charging]), ONE)
    enter_step(make_context())
    assert await keys_of(ToolExecutor([charging]), ONE) != outside


def test_outside_a_tool_there_is_no_current_call() -> None:
    with pytest.raises(ContractError, match="inside tools"):
        current_call()


async def test_secrets_reach_neither_record_nor_observer_nor_repr_but_the_model_gets_its_answer() -> None:
    told: list[ToolCall] = []
    charging = tool(redact=["number"])(charge)
    executor = ToolExecutor([charging], Controls(on_call=told.append))
    call = await executor.execute("c", "charge", ONE)
    assert "4111222233334444" in str(result_block(call)["content"])
    assert call.input == {"number": "***", "amount": 1}
    for seen in (repr(call), str(call), repr(told), call.shown().model_dump_json(), told[0].model_dump_json()):
        assert "4111222233334444" not in seen


@pytest.mark.parametrize("given", [{"number": "4111222233334444", "amount": "x"}, {"number": [SECRET], "amount": 1}])
async def test_the_words_about_a_bad_input_do_not_repeat_hidden_fields(given: dict[str, JsonValue]) -> None:
    call = await run([tool(redact=["number"])(charge)], "charge", given)
    assert call.code == "invalid_input"
    assert "4111222233334444" not in repr(call.shown())
    assert SECRET not in str(call.error)


async def test_what_looks_like_a_secret_is_masked_without_being_told() -> None:
    call = await run([same], "same", {"text": f"my key is {SECRET}"})
    assert call.output == f"my key is {SECRET}"
    assert SECRET not in repr(call)


async def test_a_cut_output_is_masked_as_text() -> None:
    @tool(redact=["number"], max_output_chars=120)
    def dump(number: str) -> dict[str, str]:
        """Dumps."""
        return {"number": number, "rest": "x" * 500}

    call = await run([dump], "dump", {"number": "4111222233334444"})
    assert "4111222233334444" in str(call.output)
    assert "4111222233334444" not in repr(call)


async def test_what_an_observer_raises_costs_nothing() -> None:
    def raise_it(call: ToolCall) -> None:
        raise RuntimeError("statistics are down")

    assert (await run([same], "same", {}, controls=Controls(on_call=raise_it))).success


async def test_an_observer_learns_of_a_call_that_the_steps_end_cut_short() -> None:
    told: list[ToolCall] = []
    begun = asyncio.Event()

    @tool
    async def wait() -> str:
        """Waits."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    task = asyncio.create_task(run([wait], "wait", {}, controls=Controls(on_call=told.append)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [call.code for call in told] == ["cancelled"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a machine that is busy with other tests
@given(st.lists(st.dictionaries(st.sampled_from(["id", "name", "input", "type"]), ANYTHING), max_size=4))
async def test_whatever_a_model_says_each_block_gets_one_record_that_can_be_sent_and_stored(given: list[Any]) -> None:
    named = [{**block, "name": "same"} if at % 2 else block for at, block in enumerate(given)]
    calls = await ToolExecutor([same, pay, broken]).execute_all(named)
    assert len(calls) == len(named)
    for call in calls:
        json.dumps([result_block(call), call.shown().model_dump(mode="json")], ensure_ascii=False).encode()
        assert call.success is (call.error is None)


def test_a_call_that_never_ended_has_a_result_for_the_model() -> None:
    block = stopped_block({"type": "tool_use", "id": "toolu_9", "name": "pay", "input": {}})
    assert (block["tool_use_id"], block["is_error"]) == ("toolu_9", True)


def test_foreign_names_become_names_of_the_api_whatever_their_order() -> None:
    own = ["read.file", "read/file", "ok-name_1", "ünïcode", "x" * 200, ""]
    names = api_names(own, "fs_")
    assert names == api_names(reversed(own), "fs_")
    assert len(set(names.values())) == len(own)
    assert all(API_NAME.fullmatch(name) and len(name) <= MAX_CHARS for name in names.values())
    assert names["ok-name_1"] == "fs_ok-name_1"
    assert api_names(["read.file"]) == {"read.file": "read_file"}


def test_a_registry_knows_tags_and_own_names() -> None:
    foreign = Tool(name="read_file", description="Reads.", function=charge, given_schema={}, own_name="read.file")
    web = tool(tags=["web", "slow"])(charge)
    registry = ToolRegistry([foreign, web, same])
    assert registry.own_name("read_file") == "read.file"
    assert registry.own_name("charge") == "charge"
    assert registry.tagged("web") == registry.tagged("slow", "web") == (web,)
    assert registry.tagged("none") == ()
    with pytest.raises(ContractError, match="API takes"):
        registry.register(Tool(name="read.file", description="Reads.", function=charge))
