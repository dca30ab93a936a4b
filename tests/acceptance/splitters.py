"""Agents of the acceptance ring that have others do their work. Copied into a stage and named in TROUPE_AGENTS."""

import asyncio
import os
from pathlib import Path

from tasks.errors import StepFailed
from tasks.models import PlannedStep, StepInput
from workers import Agent, AgentReply, StepContext
from workers.agents.base import Run

DEEPEST = 6


def split(below: str, parts: int) -> list[PlannedStep]:
    """So many steps of one agent."""
    return [PlannedStep(id=f"part{at}", description=f"Part {at}.", agent=below) for at in range(parts)]


def said(items: list[StepInput]) -> str:
    """What came of steps, in a line."""
    return " + ".join(
        one.result.text if one.result else f"({one.failure.message if one.failure else '?'})" for one in items
    )


def splitter(name: str, below: str, parts: int, total_timeout: float | None = None) -> Agent:
    """An agent that has so many steps done by another one."""

    async def run(context: StepContext) -> AgentReply:
        return AgentReply(text=said(await context.delegate_all(split(below, parts))))

    return Agent(
        name=name, description="Splits.", queue="levels", run=run, sub_agents=[below], total_timeout=total_timeout
    )


async def leaf(context: StepContext) -> str:
    """Do it."""
    return f"leaf {context.claim.step.id}"


async def fall_asleep(context: StepContext) -> str:
    """Say who runs it and sleep for a minute, the first time."""
    if context.claim.attempt == 1:
        await asyncio.to_thread(Path(os.environ["NAPS"]).write_text, str(os.getpid()))
        await asyncio.sleep(60)
    return "awake"


async def fail(_: StepContext) -> str:
    """Come to nothing."""
    raise StepFailed("there is no such year")


async def care(context: StepContext) -> str:
    """Have two things done, one of which fails."""
    return said(
        await context.delegate_all(
            [*split("failing", 1), *[one.model_copy(update={"id": "b"}) for one in split("chain0", 1)]]
        )
    )


def code(name: str, run: Run, *below: str) -> Agent:
    """An agent that is a function."""
    return Agent(name=name, description="Works.", queue="levels", run=run, sub_agents=below)


agents = [
    code("chain0", leaf),
    code("tree0", leaf),
    code("sleeping", fall_asleep),
    code("failing", fail),
    code("caring", care, "failing", "chain0"),
    splitter("restless0", "sleeping", 1),
    splitter("restless1", "restless0", 1),
    splitter("hasty", "sleeping", 1, total_timeout=4.0),
    *(splitter(f"chain{depth}", f"chain{depth - 1}", 1) for depth in range(1, DEEPEST + 1)),
    *(splitter(f"tree{depth}", f"tree{depth - 1}", 2) for depth in range(1, 5)),
    Agent(name="model0", description="Answers.", queue="levels"),
    *(
        Agent(name=f"model{depth}", description="Leads.", queue="levels", sub_agents=[f"model{depth - 1}"])
        for depth in range(1, 5)
    ),
]
globals().update({agent.name: agent for agent in agents})
