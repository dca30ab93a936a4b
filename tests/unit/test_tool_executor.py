"""Executing tools: whatever happens inside, a record comes back."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from pydantic import BaseModel, JsonValue, field_validator

from tests.unit.attempts import make_context
from workers.context import current_step, enter_step
from workers.llm.base import Block
from workers.outcomes import failure_of
from workers.tools.base import Tool, ToolCall, ToolError, tool
from workers.tools.executor import ToolExecutor, result_block
from workers.tools.registry import ToolRegistry

place: ContextVar[str] = ContextVar("place", default="nowhere")


class Pair(BaseModel):
    left: int
    right: int

    @field_validator("right")
    @classmethod
    def no_thirteen(cls, value: int) -> int:
        if value == 13:
            raise ValueError("is unlucky")
        if value == 14:
            raise RuntimeError("a validator that breaks")
        return value


@dataclass
class Reading:
    name: str
    at: datetime


@tool
async def add(left: int, right: int = 1) -> int:
    """Adds."""
    return left + right


@tool
def shout(text: str) -> str:
    """Shouts."""
    return text.upper()


@tool
async def pair(value: Pair) -> Pair:
    """Gives back."""
    return value


async def run(target: Tool, raw: JsonValue = None) -> ToolCall:
    return await ToolExecutor([target]).execute("toolu_1", target.name, raw, attempt=2)


def returning(value: object) -> Tool:
    async def give() -> object:
        """Gives."""
        return value

    return tool(give)


def raising(error: BaseException, *, plain: bool) -> Tool:
    def fail() -> str:
        """Fails."""
        raise error

    async def fail_async() -> str:
        """Fails."""
        raise error

    return tool(fail) if plain else tool(fail_async)


async def test_a_call_is_recorded() -> None:
    begun = datetime.now(UTC)
    call = await run(add, {"left": 1, "right": 2})
    assert call.model_dump(include={"id", "tool", "input", "output", "success", "code", "error", "attempt"}) == {
        "id": "toolu_1",
        "tool": "add",
        "input": {"left": 1, "right": 2},
        "output": "3",
        "success": True,
        "code": None,
        "error": None,
        "attempt": 2,
    }
    assert begun <= call.timestamp <= datetime.now(UTC)
    assert call.duration_ms >= 0


async def test_an_unknown_tool_is_answered_with_those_there_are() -> None:
    call = await ToolExecutor(ToolRegistry([add, shout])).execute("c", "multiply", {})
    assert (call.success, call.code) == (False, "unknown_tool")
    assert "add, shout" in str(call.error)


@pytest.mark.parametrize(
    ("target", "raw", "words"),
    [
        (add, {}, "left: required, but missing"),
        (add, {"left": "x"}, "left: Input should be a valid integer"),
        (add, {"left": "x"}, "not 'x'"),
        (add, {"left": 1, "wrong": 2}, "wrong: there is no such argument"),
        (add, {"left": "x" * 500}, "xxx…"),
        (add, [1, 2], "must be an object"),
        (add, "left=1", "must be an object"),
        (add, None, "left: required, but missing"),
        (pair, {"left": 1}, "right: required, but missing"),
        (pair, {"left": 1, "right": 13}, "right: is unlucky, not 13"),
        (pair, {"left": 1, "right": 14}, "RuntimeError: a validator that breaks"),
    ],
)
async def test_input_that_does_not_fit_is_put_into_words(target: Tool, raw: JsonValue, words: str) -> None:
    call = await run(target, raw)
    assert (call.success, call.code, call.output) == (False, "invalid_input", None)
    assert words in str(call.error)


async def test_names_that_a_model_made_up_are_told_in_short() -> None:
    for name, raw in (("x" * 50_000, {}), ("add", {"left": 1, "right": 2, "x" * 50_000: 1})):
        call = await ToolExecutor([add]).execute("c", name, cast("JsonValue", raw))
        assert call.code in ("unknown_tool", "invalid_input")
        assert 80 < len(str(call.error)) < 200


async def test_no_more_than_ten_faults_are_told() -> None:
    wrong: dict[str, JsonValue] = {f"wrong{number:02}": number for number in range(12)}
    call = await run(add, {"left": 1, **wrong})
    assert str(call.error).count("there is no such argument") == 10
    assert str(call.error).endswith("and 2 more")


async def test_a_function_is_not_called_with_input_that_does_not_fit() -> None:
    called: list[str] = []

    @tool
    def note(text: str) -> str:
        """Notes."""
        called.append(text)
        return text

    await run(note, {"text": 5})
    assert called == []


async def test_a_validation_error_inside_the_tool_is_the_tools_own() -> None:
    @tool
    async def broken() -> str:
        """Breaks."""
        return str(Pair.model_validate({}))

    assert (await run(broken)).code == "raised"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is ü", "as it is ü"),
        (Pair(left=1, right=2), '{"left":1,"right":2}'),
        ([Pair(left=1, right=2)], '[{"left": 1, "right": 2}]'),
        ({"ü": [1, None, True]}, '{"ü": [1, null, true]}'),
        (None, "null"),
        ("half \ud800", "half ?"),
        ([date(2026, 11, 21), Decimal("1.50"), timedelta(hours=1)], '["2026-11-21", "1.50", "PT1H"]'),
        (Reading("ü", datetime(2026, 11, 21, tzinfo=UTC)), '{"name": "ü", "at": "2026-11-21T00:00:00Z"}'),
    ],
)
async def test_outputs_become_text(value: object, text: str) -> None:
    call = await run(returning(value))
    assert (call.success, call.output) == (True, text)


def endless() -> list[object]:
    loop: list[object] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"x", endless(), {"a": object()}])
async def test_an_output_that_is_no_json_is_an_error_that_says_so(value: object) -> None:
    call = await run(returning(value))
    assert (call.success, call.code) == (False, "raised")
    assert "no text, model or JSON" in str(call.error)


async def test_an_output_that_is_too_large_is_cut_and_still_a_success() -> None:
    @tool(max_output_chars=200)
    async def much() -> str:
        """Says much."""
        return "x" * 100_000

    call = await run(much)
    assert (call.success, call.code, call.error) == (True, "output_too_large", None)
    assert len(str(call.output)) == 200
    assert "beginning of 100000 characters" in str(call.output)


class Mute(Exception):
    """One whose own text fails."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ToolError("bad_sql", "write it out"), "bad_sql", "write it out"),
        (ValueError("a bad day"), "raised", "ValueError: a bad day"),
        (KeyError(), "raised", "KeyError"),
        (TimeoutError("of its own"), "raised", "TimeoutError: of its own"),
        (StopIteration("over"), "raised", "StopIteration"),
        (SystemExit(3), "raised", "SystemExit: 3"),
        (KeyboardInterrupt(), "raised", "KeyboardInterrupt"),
        (asyncio.CancelledError(), "cancelled", "cancelled itself"),
        (GeneratorExit(), "raised", "GeneratorExit"),
        (ValueError("half \ud800"), "raised", "half \\?"),
        (Mute(), "raised", "Mute: (its message cannot be shown)"),
        (ToolError("odd", cast("str", Mute())), "odd", "(its message cannot be shown)"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else "",
)
async def test_whatever_a_tool_raises_becomes_a_record(
    plain: bool, error: BaseException, code: str, message: str
) -> None:
    call = await run(raising(error, plain=plain))
    assert (call.success, call.code, call.output) == (False, code, None)
    assert any(part.replace("\\?", "?") in str(call.error) for part in message.split("|"))


@pytest.mark.parametrize("plain", [True, False])
async def test_a_long_error_message_is_cut(plain: bool) -> None:
    call = await run(raising(ValueError("x" * 100_000), plain=plain))
    assert len(str(call.error)) <= 20_000


async def test_a_plain_function_runs_in_a_thread_of_its_own_and_sees_the_context() -> None:
    @tool
    def where() -> list[object]:
        """Tells."""
        thread = threading.current_thread()
        return [place.get(), thread is threading.main_thread(), thread.daemon, thread.name]

    place.set("here")
    assert (await run(where)).output == '["here", false, true, "tool-where"]'


async def test_an_async_function_sees_the_context() -> None:
    @tool
    async def where() -> str:
        """Tells."""
        return place.get()

    place.set("there")
    assert (await run(where)).output == "there"


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    """Holds hung threads; lets them go when the test is over."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_hung_function_does_not_hold_the_step(hold: threading.Event) -> None:
    @tool(timeout=0.05)
    def hang() -> str:
        """Hangs."""
        hold.wait()
        return "late"

    call = await run(hang)
    assert (call.success, call.code) == (False, "timeout")
    assert call.duration_ms < 1000
    assert "0.05 s" in str(call.error)


async def test_many_hung_functions_leave_room_for_others(hold: threading.Event) -> None:
    @tool(timeout=0.05)
    def hang(number: int) -> str:
        """Hangs."""
        hold.wait()
        return f"late {number}"

    executor = ToolExecutor([hang, shout])
    blocks: list[dict[str, JsonValue]] = [{"id": str(n), "name": "hang", "input": {"number": n}} for n in range(40)]
    assert {call.code for call in await executor.execute_all(blocks, cap=40)} == {"timeout"}
    assert (await executor.execute("c", "shout", {"text": "a"})).output == "A"
    assert await asyncio.to_thread(lambda: "pool is free") == "pool is free"


async def test_a_late_result_of_a_hung_function_goes_nowhere() -> None:
    release, threads = threading.Event(), list[threading.Thread]()

    @tool(timeout=0.05)
    def hang() -> str:
        """Hangs."""
        threads.append(threading.current_thread())
        release.wait()
        return "late"

    assert (await run(hang)).code == "timeout"
    release.set()
    await asyncio.to_thread(threads[0].join, 5)
    await asyncio.sleep(0)  # The late result is delivered, to nobody.
    assert not threads[0].is_alive()


def test_a_result_after_the_loops_end_is_dropped(hold: threading.Event) -> None:
    threads: list[threading.Thread] = []

    @tool(timeout=0.05)
    def hang() -> str:
        """Hangs."""
        threads.append(threading.current_thread())
        hold.wait()
        return "late"

    assert asyncio.run(run(hang)).code == "timeout"
    hold.set()
    threads[0].join(5)
    assert not threads[0].is_alive()


async def test_an_async_tool_is_cancelled_at_its_timeout() -> None:
    ended: list[str] = []

    @tool(timeout=0.05)
    async def wait() -> str:
        """Waits."""
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")
        return "never"

    assert (await run(wait)).code == "timeout"
    assert ended == ["cleaned up"]


async def test_an_async_tool_that_goes_on_after_cancellation_does_not_hold_the_step() -> None:
    release = asyncio.Event()

    @tool(timeout=0.05)
    async def stubborn() -> str:
        """Goes on."""
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("nobody hears this")

    call = await run(stubborn)
    assert call.code == "timeout"
    assert call.duration_ms < 1050
    release.set()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("plain", [True, False])
async def test_cancelling_the_step_cancels_the_call_at_once(plain: bool, hold: threading.Event) -> None:
    begun, ended = threading.Event(), asyncio.Event()

    def hang() -> str:
        """Hangs."""
        begun.set()
        hold.wait()
        return "late"

    async def wait() -> str:
        """Waits."""
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "never"

    task = asyncio.create_task(run(tool(hang) if plain else tool(wait)))
    assert await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if not plain:
        await asyncio.wait_for(ended.wait(), 5)


async def test_results_come_in_the_order_of_the_blocks() -> None:
    first_may_end = asyncio.Event()

    @tool
    async def turn(number: int) -> int:
        """Takes turns."""
        if number == 0:
            await first_may_end.wait()
        first_may_end.set()
        return number

    blocks: list[dict[str, JsonValue]] = [
        {"type": "tool_use", "id": f"c{n}", "name": "turn", "input": {"number": n}} for n in range(5)
    ]
    calls = await ToolExecutor([turn]).execute_all(blocks, attempt=3)
    assert [(call.id, call.output, call.attempt) for call in calls] == [(f"c{n}", str(n), 3) for n in range(5)]


async def test_no_more_calls_than_the_cap_run_at_once() -> None:
    running, most = 0, 0

    @tool
    async def count() -> str:
        """Counts."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return ""

    blocks: list[dict[str, JsonValue]] = [{"id": str(n), "name": "count", "input": {}} for n in range(12)]
    await ToolExecutor([count]).execute_all(blocks, cap=3)
    assert most == 3


@pytest.mark.parametrize(
    "block",
    [{}, {"id": None, "name": None, "input": 5}, {"id": "\ud800", "name": "\ud800", "input": {"\ud800": "\ud800"}}],
)
async def test_a_block_of_nonsense_gets_an_answer_that_can_be_stored(block: dict[str, JsonValue]) -> None:
    (call,) = await ToolExecutor([add]).execute_all([block])
    assert call.success is False
    assert ToolCall.model_validate_json(call.model_dump_json()) == call


async def test_an_input_nested_too_deep_is_recorded_in_part() -> None:
    deep: JsonValue = 1
    for _ in range(500):
        deep = [deep]
    call = await run(shout, {"text": deep})
    assert call.code == "invalid_input"
    assert len(json.dumps(call.input)) < 300


async def test_an_input_that_is_no_json_is_recorded_as_text() -> None:
    strange: Any = {"text": ("a", object)}
    call = await run(shout, strange)
    assert call.input == {"text": ["a", "<class 'object'>"]}


@pytest.mark.parametrize("make", [lambda: add, lambda: shout])
async def test_a_result_block_answers_its_call(make: Callable[[], Tool]) -> None:
    good = await run(make(), {"left": 1} if make() is add else {"text": "2"})
    bad = await run(make(), {})
    assert result_block(good) == {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": f'<result tool="{good.tool}" status="ok">\n2\n</result>',
        "is_error": False,
    }
    assert result_block(bad)["is_error"] is True
    assert "required" in str(result_block(bad)["content"])


async def test_a_call_costs_little() -> None:
    executor = ToolExecutor([shout])
    await executor.execute("c", "shout", {"text": "a"})
    begun = time.perf_counter()
    for _ in range(100):
        await executor.execute("c", "shout", {"text": "a"})
    assert time.perf_counter() - begun < 2 or sys.gettrace() is not None


@tool(redact=["iban", "receipt"])
async def transfer(iban: str) -> str:
    """Transfer money.

    Args:
        iban: Account.
    """
    current_step().progress(f"to {iban}")
    return '{"receipt": "curlew-77", "api_key": "whimbrel-1", "note": "fine"}'


async def test_what_stands_in_secret_fields_of_inputs_and_outputs_is_known_to_the_step() -> None:
    context = make_context()
    events: list[JsonValue] = []
    context.emit = lambda _kind, data: events.append(data)
    enter_step(context)
    call = await ToolExecutor([transfer]).execute("1", "transfer", {"iban": "GB33X"})
    assert call.success
    assert '"whimbrel-1"' in (call.output or "")
    assert context.secrets.texts == {"GB33X", "curlew-77", "whimbrel-1"}
    assert events == [{"message": "to ***"}]
    assert failure_of(ValueError("GB33X and curlew-77, api_key: other")).message == (
        "ValueError: *** and ***, api_key: ***"
    )


async def test_what_was_secret_in_calls_of_an_earlier_attempt_is_known_to_the_next_one() -> None:
    block: Block = {"type": "tool_use", "id": "1", "name": "transfer", "input": {"iban": "GB33X"}}
    enter_step(make_context())
    [before] = await ToolExecutor([transfer]).execute_all([block])
    context = make_context()  # of the next attempt, in another process
    enter_step(context)
    kept = ToolCall.model_validate_json(before.model_dump_json())
    await ToolExecutor([transfer]).execute_all([block], 2, known={"1": kept})
    assert context.secrets.texts == {"GB33X", "curlew-77", "whimbrel-1"}
