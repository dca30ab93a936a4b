"""Waiting for what other tasks, threads and processes do, instead of sleeping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Final

PAUSE_S: Final = 0.005
WITHIN_S: Final = 10.0


async def wait_until(condition: Callable[[], bool | Awaitable[bool]], within: float = WITHIN_S) -> None:
    """Return when the condition holds; it may be a coroutine function.

    Raises:
        AssertionError: it does not hold within so many seconds.
    """
    end = time.monotonic() + within
    while True:
        held = condition()
        if await held if isawaitable(held) else held:
            return
        assert time.monotonic() < end, f"not so within {within:g} s: {_name(condition)}"
        await asyncio.sleep(PAUSE_S)


def wait_until_sync(condition: Callable[[], bool], within: float = WITHIN_S) -> None:
    """Return when the condition holds, from ordinary code.

    Raises:
        AssertionError: it does not hold within so many seconds.
    """
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not so within {within:g} s: {_name(condition)}"
        time.sleep(PAUSE_S)


def _name(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    return f"{condition} ({code.co_filename}:{code.co_firstlineno})" if code is not None else repr(condition)
