"""An agent that gives no sign of life is ended; one that gives any is not."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tasks.models import Claim, Failure
from tests.unit.attempts import make_claim, make_context
from tests.unit.test_runner import Scene
from workers.context import StepContext, enter_step, running_step
from workers.idle import watched
from workers.llm.base import Block
from workers.tools.base import Tool, tool
from workers.tools.executor import ToolExecutor

SHORT_S = 0.05


def with_idle(milliseconds: int) -> Claim:
    claim = make_claim()
    return claim.model_copy(update={"step": claim.step.model_copy(update={"idle_ms": milliseconds})})


async def hangs(_: StepContext) -> str:
    await asyncio.Event().wait()
    return "never"


async def test_a_silent_agent_is_ended_and_may_be_tried_again() -> None:
    failure = await Scene(hangs, with_idle(20)).failure()
    assert failure == Failure(code="idle_timeout", message="no sign of life for 0.02 s", retryable=True)


async def test_an_agent_without_the_limit_may_be_silent() -> None:
    context = make_context()
    async with watched(context, 0) as limit:
        await asyncio.sleep(SHORT_S)
    assert not limit.expired()


async def test_a_silent_wait_that_is_known_of_is_not_idle() -> None:
    """A model's whole answer, for one: until it is there, nothing is heard of it."""
    context = make_context()
    async with watched(context, SHORT_S) as limit:
        with context.waiting():
            await asyncio.sleep(SHORT_S * 3)
        await asyncio.sleep(0)
    assert not limit.expired()


async def test_a_stream_that_goes_silent_is_idle_though_its_answer_is_waited_for() -> None:
    context = make_context()

    async def streams() -> None:
        async with watched(context, SHORT_S):
            with context.waiting(), context.waiting(seen=True):
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await streams()
    assert context.unseen == 0


SIGNS: dict[str, Callable[[StepContext], object]] = {
    "sign": lambda context: context.sign(),
    "progress": lambda context: context.progress("half way"),
    "spend": lambda context: context.spend(context.usage),
}


@pytest.mark.parametrize("sign", SIGNS)
async def test_every_sign_of_life_is_seen(sign: str) -> None:
    context = make_context()
    before = context.last_sign = context.last_sign - 100
    SIGNS[sign](context)
    assert context.last_sign > before + 99


async def test_the_step_that_runs_is_known_inside_it_and_nowhere_else() -> None:
    assert running_step() is None
    context = make_context()

    async def inside() -> StepContext | None:
        enter_step(context)
        return running_step()

    assert await asyncio.create_task(inside()) is context


async def test_an_agents_own_timeout_is_not_taken_for_silence() -> None:
    async def impatient(_: StepContext) -> str:
        raise TimeoutError("mine")

    failure = await Scene(impatient, with_idle(60_000)).failure()
    assert failure.code == "agent_raised"


async def test_events_of_an_agent_are_signs_of_life() -> None:
    """It is heard of more often than it has to be, for longer than it could be silent."""
    seen: list[float] = []

    async def tells(context: StepContext) -> str:
        before = context.last_sign = context.last_sign - 100
        context.emit("step_progress", {"message": "x"})
        seen.append(context.last_sign - before)
        return "done"

    scene = Scene(tells, with_idle(60_000))
    assert await scene.run() == "succeeded"
    assert seen[0] >= 99


@tool(timeout=0.3)
async def dwell(seconds: float) -> str:
    """Take a while.

    Args:
        seconds: How long.
    """
    await asyncio.sleep(seconds)
    return "done"


@tool(timeout=0.3)
def dwell_in_a_thread(seconds: float) -> str:
    """Take a while.

    Args:
        seconds: How long.
    """
    time.sleep(seconds)
    return "done"


@tool(timeout=10, concurrency=1)
async def queue(seconds: float) -> str:
    """Take a while, one at a time.

    Args:
        seconds: How long.
    """
    await asyncio.sleep(seconds)
    return "done"


@pytest.mark.parametrize("slow", [dwell, dwell_in_a_thread])
async def test_a_tool_that_runs_is_no_silence(slow: Tool) -> None:
    context = make_context()
    enter_step(context)
    async with watched(context, SHORT_S) as limit:
        call = await ToolExecutor([slow]).execute("1", slow.name, {"seconds": SHORT_S * 3})
    assert (call.output, limit.expired(), context.unseen) == ("done", False, 0)


@pytest.mark.parametrize("slow", [dwell, dwell_in_a_thread])
async def test_a_tool_that_runs_longer_than_it_may_is_ended_by_its_own_limit(slow: Tool) -> None:
    context = make_context()
    enter_step(context)
    async with watched(context, SHORT_S) as limit:
        call = await ToolExecutor([slow]).execute("1", slow.name, {"seconds": 2})
    assert (call.code, limit.expired(), context.unseen) == ("timeout", False, 0)


async def test_tools_that_wait_for_each_other_are_no_silence() -> None:
    context = make_context()
    enter_step(context)
    blocks: list[Block] = [
        {"type": "tool_use", "id": str(at), "name": "queue", "input": {"seconds": SHORT_S * 1.5 + at / 1000}}
        for at in range(3)
    ]
    async with watched(context, SHORT_S) as limit:
        calls = await ToolExecutor([queue]).execute_all(blocks)
    assert ([call.success for call in calls], limit.expired()) == ([True] * 3, False)


async def test_after_its_tools_an_agent_may_be_idle() -> None:
    async def idles(context: StepContext) -> str:
        await ToolExecutor([dwell]).execute("1", "dwell", {"seconds": 0.01})
        return await hangs(context)

    assert (await Scene(idles, with_idle(20)).failure()).code == "idle_timeout"
