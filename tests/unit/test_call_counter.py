"""A worker's counts of tool calls, and how they are brought to the fleet's."""

import asyncio
from collections.abc import Mapping
from typing import cast

import pytest
from structlog.testing import capture_logs

from tasks.errors import StoreUnavailable
from tasks.store.tool_stats import MAX_PAIRS, Pair, ToolStats
from tasks.tool_counts import MAX_CODES, OTHER, UNKNOWN, ToolCounts
from tests.support.waiting import wait_until
from tests.unit.attempts import make_context
from workers.context import enter_step
from workers.tools.base import Tool, ToolCall, ToolError, tool
from workers.tools.controls import Controls
from workers.tools.counting import NOBODY, CallCounter
from workers.tools.executor import ToolExecutor


class FakeStats:
    """Keeps what it is brought; fails when it is told to."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int, dict[Pair, ToolCounts]]] = []
        self.errors: list[Exception] = []

    async def add(self, counter: str, number: int, counts: Mapping[Pair, ToolCounts]) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append((counter, number, dict(counts)))
        return True

    @property
    def last(self) -> dict[Pair, ToolCounts]:
        return self.batches[-1][2]


@pytest.fixture
def stats() -> FakeStats:
    return FakeStats()


@pytest.fixture
def counter(stats: FakeStats) -> CallCounter:
    return CallCounter(cast(ToolStats, stats), every_s=0.001)


@tool
async def look(word: str) -> str:
    """Look a word up."""
    if word == "bad":
        raise ToolError("no_such_word", "there is none")
    return word


async def run(counter: CallCounter, name: str, argument: object, tools: tuple[Tool, ...] = (look,)) -> ToolCall:
    enter_step(make_context())
    return await ToolExecutor(tools, Controls(count=counter.note)).execute("1", name, cast("str", argument))


async def test_calls_are_counted_by_agent_and_tool_with_their_codes(counter: CallCounter, stats: FakeStats) -> None:
    for word in ("a", "b", "bad"):
        await run(counter, "look", {"word": word})
    await run(counter, "look", {})
    await counter.flush()
    assert list(stats.last) == [("search", "look")]
    counts = stats.last["search", "look"]
    assert (counts.calls, counts.succeeded) == (4, 2)
    assert counts.errors == {"no_such_word": 1, "invalid_input": 1}


async def test_durations_are_those_of_calls_that_were_run(counter: CallCounter, stats: FakeStats) -> None:
    await run(counter, "look", {"word": "a"})
    await run(counter, "look", {})
    await counter.flush()
    counts = stats.last["search", "look"]
    assert (counts.ran, counts.buckets.total()) == (1, 1)
    assert counts.total_us > 0


async def test_an_output_that_was_cut_is_a_success_and_counted(counter: CallCounter, stats: FakeStats) -> None:
    @tool(max_output_chars=100)
    async def talk() -> str:
        """Talk."""
        return "x" * 1000

    await run(counter, "talk", {}, (talk,))
    await counter.flush()
    counts = stats.last["search", "talk"]
    assert (counts.succeeded, counts.cut, dict(counts.errors)) == (1, 1, {})


async def test_names_that_a_model_makes_up_are_counted_as_one(counter: CallCounter, stats: FakeStats) -> None:
    for number in range(50):
        await run(counter, f"invented_{number}", {})
    await counter.flush()
    assert {pair: one.calls for pair, one in stats.last.items()} == {("search", UNKNOWN): 50}


async def test_a_call_outside_a_step_is_counted_as_nobodys(counter: CallCounter, stats: FakeStats) -> None:
    executor = ToolExecutor([look], Controls(count=counter.note))
    await executor.execute("1", "look", {"word": "a"})
    await counter.flush()
    assert list(stats.last) == [(NOBODY, "look")]


async def test_codes_without_end_are_told_apart_up_to_a_number(counter: CallCounter, stats: FakeStats) -> None:
    @tool
    async def moan(number: int) -> str:
        """Moan."""
        raise ToolError(f"code {number}: odd", "no")

    for number in range(MAX_CODES + 5):
        await run(counter, "moan", {"number": number}, (moan,))
    await counter.flush()
    errors = stats.last["search", "moan"].errors
    assert len(errors) == MAX_CODES + 1
    assert errors[OTHER] == 5
    assert "code_0__odd" in errors


async def test_pairs_without_end_are_told_apart_up_to_a_number(counter: CallCounter, stats: FakeStats) -> None:
    call = await ToolExecutor([look]).execute("1", "look", {"word": "a"})
    for number in range(MAX_PAIRS + 5):
        counter.note(call.model_copy(update={"tool": f"tool_{number}"}))
    await counter.flush()
    assert len(stats.last) == MAX_PAIRS + 1
    assert stats.last[OTHER, OTHER].calls == 5


async def test_a_secret_in_a_code_is_not_counted_under_its_text(counter: CallCounter, stats: FakeStats) -> None:
    @tool
    async def leak() -> str:
        """Leak."""
        raise ToolError("sk-ant-api03-abcdefghijkl", "no")

    await run(counter, "leak", {}, (leak,))
    await counter.flush()
    assert "abcdefghijkl" not in str(stats.last)


async def test_nothing_is_brought_when_nothing_was_called(counter: CallCounter, stats: FakeStats) -> None:
    await counter.flush()
    assert stats.batches == []


async def test_a_batch_that_may_have_been_lost_is_sent_again_as_it_was(counter: CallCounter, stats: FakeStats) -> None:
    stats.errors.append(StoreUnavailable("away"))
    await run(counter, "look", {"word": "a"})
    await counter.flush()
    await run(counter, "look", {"word": "b"})
    await counter.flush()
    await counter.flush()
    assert [(number, counts["search", "look"].calls) for _, number, counts in stats.batches] == [(1, 1), (2, 1)]
    assert len({name for name, _, _ in stats.batches}) == 1


async def test_a_store_that_is_away_is_logged_once(counter: CallCounter, stats: FakeStats) -> None:
    stats.errors += [StoreUnavailable("away")] * 3
    await run(counter, "look", {"word": "a"})
    with capture_logs() as logs:
        for _ in range(4):
            await counter.flush()
    assert [one["event"] for one in logs] == ["statistics_wait"]
    assert len(stats.batches) == 1


async def test_counts_are_brought_again_and_again_whatever_happens(counter: CallCounter, stats: FakeStats) -> None:
    stats.errors.append(RuntimeError("a defect"))
    await run(counter, "look", {"word": "a"})
    keeping = asyncio.create_task(counter.keep())
    with capture_logs() as logs:

        async def brought() -> bool:
            return len(stats.batches) == 1

        await wait_until(brought)
    keeping.cancel()
    assert [one["event"] for one in logs] == ["statistics_failed"]
