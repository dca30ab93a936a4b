"""Ends an attempt whose agent gives no sign of life."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from workers.context import StepContext


@asynccontextmanager
async def watched(context: StepContext, seconds: float) -> AsyncGenerator[asyncio.Timeout]:
    """Cancel what is inside once the agent has given no sign of life for so long; `expired()` says whether it was.

    One timer, set anew only when it ends: signs cost nothing. 0 seconds: no limit.

    Raises:
        TimeoutError: it was idle.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            left = seconds - (time.monotonic() - context.last_sign)
            if context.unseen > 0:
                timer = loop.call_later(seconds, look)
            elif left > 0:
                timer = loop.call_later(left, look)
            else:
                limit.reschedule(loop.time())

        if seconds > 0:
            context.sign()
            look()
        try:
            yield limit
        finally:
            if timer is not None:
                timer.cancel()
