"""An own agent that says much while it works. Stages copy this file into their working folder."""

import asyncio
import os
from pathlib import Path
from typing import Final

from workers import Agent, StepContext

AT_ONCE: Final = 5
PAUSE_S: Final = 0.02


async def talk(context: StepContext) -> str:
    """Report progress, some 250 lines a second, until the file ENOUGH is there."""
    enough, said = Path(os.environ["ENOUGH"]), 0
    while not await asyncio.to_thread(enough.exists):
        for _ in range(AT_ONCE):
            said += 1
            context.progress(f"line {said} {'x' * (said % 200)}")
        await asyncio.sleep(PAUSE_S)
    return f"Said {said} lines."


talker = Agent(name="talker", description="Talks until it is told to stop.", run=talk)
