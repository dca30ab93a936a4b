"""Own agents of the acceptance ring. Stages copy this file into their working folder and name it in TROUPE_AGENTS."""

import asyncio
import os
from pathlib import Path

from workers import Agent, StepContext


async def nap(context: StepContext) -> str:
    """Note who runs which attempt, then sleep: `nap 60 0.1` sleeps for 60 s at first, later for 0.1 s."""
    claim = context.claim
    lengths = [float(word) for word in claim.step.description.split()[1:]]
    seconds = lengths[min(claim.attempt, len(lengths)) - 1]
    await asyncio.to_thread(_note, f"{os.getpid()} {claim.job.id} {claim.step.id} {claim.attempt}\n")
    await asyncio.sleep(seconds)
    return f"Slept for {seconds:g} s."


def _note(line: str) -> None:
    with Path(os.environ["NAPS"]).open("a") as log:
        log.write(line)


napper = Agent(
    name=os.environ.get("NAPPER", "napper"),
    description="Sleeps as long as it is told to.",
    version=os.environ.get("NAPPER_VERSION", "1"),
    run=nap,
)
