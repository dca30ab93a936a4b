"""Troupe: agents that do nothing, or wait. What is left is the engine. A step's description says what it does."""

import asyncio
from typing import Final

from tasks.models import Plan, PlannedStep
from workers import Agent, AgentReply, StepContext

NOTHING: Final = "nothing"


def fan(width: int) -> Plan:
    """Steps side by side."""
    return Plan(steps=[PlannedStep(id=f"s{at}", description=NOTHING, agent="search") for at in range(width)])


def line(length: int) -> Plan:
    """Steps one after the other."""
    return Plan(
        steps=[
            PlannedStep(id=f"s{at}", description=NOTHING, agent="search", depends_on=[f"s{at - 1}"] if at else [])
            for at in range(length)
        ]
    )


async def propose(context: StepContext) -> AgentReply:
    """Plan as the task says: `fan 3`, `line 5`."""
    shape, count = context.claim.job.task.split()[:2]
    plan = fan(int(count)) if shape == "fan" else line(int(count))
    return AgentReply(text="planned", data=plan.model_dump(mode="json"))


async def work(context: StepContext) -> AgentReply:
    """Do nothing, or wait as long as the description says: `wait 5.0`."""
    word, _, seconds = context.claim.step.description.partition(" ")
    if word == "wait":
        await asyncio.sleep(float(seconds))
    return AgentReply(text="done")


planner = Agent(name="planner", description="Plans as the task says.", run=propose, plannable=False)
search = Agent(name="search", description="Does nothing.", run=work)
analysis = Agent(name="analysis", description="Does nothing.", run=work)
summary = Agent(name="summary", description="Does nothing.", run=work)
