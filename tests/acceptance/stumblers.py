"""Own agents that fail. A stage copies this file into its working folder and names it in TROUPE_AGENTS."""

from tasks.errors import StepFailed
from workers import Agent, StepContext


class Stumbled(StepFailed):
    """May pass."""

    code = "stumbled"
    retryable = True


async def stumble(context: StepContext) -> str:
    """Fail as often as the description's second word says, then succeed."""
    times = int(context.claim.step.description.split()[1])
    if context.claim.attempt <= times:
        raise Stumbled(f"stumbled over attempt {context.claim.attempt}")
    return "Got up again."


async def fall(context: StepContext) -> str:
    """Fail for good."""
    raise StepFailed("fell flat")


stumbler = Agent(name="stumbler", description="Fails at first.", run=stumble)
faller = Agent(name="faller", description="Fails.", run=fall)
