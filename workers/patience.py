"""Calling the store again while it is away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from tasks.errors import StoreUnavailable

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]], within: timedelta) -> T:
    """Call again while the store is away. Fenced moves may be made twice: the second changes nothing.

    A settle whose answer was lost is refused as `over` the second time, which is harmless.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within.total_seconds()
    pause = 0.1
    while True:
        try:
            return await call()
        except StoreUnavailable:
            if loop.time() + pause > end:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)
