"""How late an event loop is: how much longer a nap took than it was to take."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

NAP_S: Final = 0.5


async def keep_pulse(note: Callable[[float], None], nap_s: float = NAP_S) -> None:
    """Tell the lateness of each nap, in seconds, for ever."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(nap_s)
        note(max(time.monotonic() - begun - nap_s, 0.0))
