"""The coordinator: the agent that does what stands in its step's input, one of the forms of patterns."""

from typing import assert_never

from pydantic import TypeAdapter, ValidationError

from tasks.errors import ContractError
from tasks.patterns.compile import COORDINATOR, PATTERN
from tasks.patterns.forms import Coordinated, Gather, Orchestrate, Refine, Replan, Route, Supervise, Tally
from tasks.queues import BUILT_IN
from workers.agents.base import Agent, AgentReply
from workers.context import StepContext
from workers.coordinating.choosing import route, tally
from workers.coordinating.crew import Crew, gathered
from workers.coordinating.rounds import orchestrate, refine, replan, supervise

_FORM: TypeAdapter[Coordinated] = TypeAdapter(Coordinated)


async def coordinate(context: StepContext) -> AgentReply:
    """Do it. Waits for others without holding a worker.

    Raises:
        ContractError: the step's input holds no pattern.
        PatternFailed: it came to no result.
    """
    told = context.claim.step.input
    try:
        what = _FORM.validate_python(told.get(PATTERN) if isinstance(told, dict) else None)
    except ValidationError as error:
        raise ContractError(f"the coordinator's step {context.claim.step.id!r} holds no pattern") from error
    crew = Crew(context)
    match what:
        case Gather():
            return AgentReply(gathered(crew.before), {"steps": [one.step for one in crew.before]})
        case Tally():
            return await tally(crew, what)
        case Route():
            return await route(crew, what)
        case Refine():
            return await refine(crew, what)
        case Supervise():
            return await supervise(crew, what)
        case Orchestrate():
            return await orchestrate(crew, what)
        case Replan():
            return await replan(crew, what)
        case _:
            assert_never(what)


_KNOWN = next(one for one in BUILT_IN if one.name == COORDINATOR)
coordinator = Agent(
    name=COORDINATOR,
    description=_KNOWN.description,
    queue=_KNOWN.queue,
    plannable=False,
    sub_agents=_KNOWN.sub_agents,
    run=coordinate,
)
