"""The agents of `tests.chaos.loops` (TROUPE_AGENTS): one that counts with a tool, and one that writes the answer."""

import asyncio
import json
import os
from typing import Final

from workers import Agent, RetryPolicy, tool
from workers.context import current_step
from workers.tools.current import current_call

CALLS_VARIABLE: Final = "LOOP_CALLS"
"""File of the tool calls that have ended, a JSON line each."""
WORK_S: Final = 0.04


@tool(idempotent=True)
async def count(number: int) -> str:
    """Count one further.

    Args:
        number: What comes next.
    """
    await asyncio.sleep(WORK_S)
    call, claim = current_call(), current_step().claim
    line = {"job": claim.job.id, "step": claim.step.id, "attempt": claim.attempt, "number": number, "key": call.key}
    log = os.open(os.environ[CALLS_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(log, (json.dumps(line) + "\n").encode())  # whole, whoever else writes and whenever this process dies
    finally:
        os.close(log)
    return f"counted {number}"


BOLD = RetryPolicy(max_losses=50)
"""A worker that is killed may have several loops under way, each of which has lost a worker then."""
counter = Agent(name="counter", description="Counts.", tools=[count], instructions="Count with the tool.", retry=BOLD)
summary = Agent(name="summary", description="Writes the answer.")
