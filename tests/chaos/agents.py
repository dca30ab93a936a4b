"""The agents of a run (TROUPE_AGENTS). Every attempt notes its start, and its end before that can be committed."""

import asyncio
import json
import os
import time
from secrets import token_hex
from typing import Final

from pydantic import JsonValue

from tasks.errors import StepFailed
from tasks.ids import PLAN_STEP
from tasks.models import StepKind
from tasks.usage import Usage
from tests.chaos import workload
from workers import Agent, AgentReply, StepContext

LOG_VARIABLE: Final = "CHAOS_LOG"
SEED_VARIABLE: Final = "CHAOS_SEED"


class Stumble(StepFailed):
    """A failure that another attempt may mend."""

    code = "stumble"
    retryable = True


class Fall(StepFailed):
    """A failure for good."""

    code = "fall"


async def work(context: StepContext) -> AgentReply:
    """Note the start and what was handed in, do as the seed says, note the end."""
    claim, seed = context.claim, int(os.environ[SEED_VARIABLE])
    mark = f"{claim.step.id} {claim.attempt} {os.getpid()} {token_hex(4)}"
    handed: dict[str, JsonValue] = {item.step: item.result.text for item in claim.inputs if item.result is not None}
    note("start", context, mark=mark, handed=handed)
    context.spend(Usage(requests=1, cost_microusd=1))
    deed = workload.deed(seed, claim.job.task, claim.step.id, claim.attempt)
    context.progress("half-way")
    await asyncio.sleep(deed.seconds)
    if deed.for_good:
        raise Fall("as the seed says")
    if deed.fails:
        raise Stumble("as the seed says")
    note("end", context, mark=mark)
    data: JsonValue = None
    if claim.step.kind is StepKind.PLAN:
        number = int(claim.job.task.split()[1])
        plan = workload.plan(seed, number)
        if number % 10 == 0 and claim.step.id == PLAN_STEP:  # has a fault: the repair round is taken
            plan = plan.model_copy(update={"steps": [*plan.steps, plan.steps[0]]})
        data = plan.model_dump(mode="json")
    return AgentReply(mark, data=data)


def note(what: str, context: StepContext, **facts: JsonValue) -> None:
    """Append one line in one write: whole, whoever else writes and whenever this process dies."""
    claim = context.claim
    line = {"what": what, "job": claim.job.id, "step": claim.step.id, "attempt": claim.attempt, "pid": os.getpid()}
    text = json.dumps({**line, "at": time.time(), **facts}) + "\n"
    log = os.open(os.environ[LOG_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(log, text.encode())
    finally:
        os.close(log)


planner = Agent(name="planner", description="Plans as the seed says.", run=work, plannable=False)
search = Agent(name="search", description="Works as the seed says.", run=work)
analysis = Agent(name="analysis", description="Works as the seed says.", run=work)
summary = Agent(name="summary", description="Writes the answer.", run=work)
