"""The connection to the store: what becomes of a cancellation during a call."""

import asyncio
from contextlib import suppress

import pytest

from tasks.settings import StoreSettings
from tasks.store.failures import translated


async def _call_that_loses_a_cancellation(begun: asyncio.Event) -> str:
    async with translated(StoreSettings()):
        begun.set()
        with suppress(asyncio.CancelledError):  # as `asyncio.wait_for` of Python 3.11 does when the answer is there
            await asyncio.sleep(60)
    return "ran on"


async def test_a_cancellation_that_redis_py_loses_is_raised_after_the_call() -> None:
    begun = asyncio.Event()
    task = asyncio.create_task(_call_that_loses_a_cancellation(begun))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_in_the_clean_up_of_a_cancelled_task_is_let_through() -> None:
    calls: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            async with translated(StoreSettings()):
                await asyncio.sleep(0)
            calls.append("left the fleet")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert calls == ["left the fleet"]
