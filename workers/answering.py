"""Lets an agent answer: by its own code, or by a model in conversation with the agent's tools."""

from tasks.errors import ContractError
from tasks.models import Plan, StepKind
from tasks.settings import read_settings
from workers.agents.base import Agent, AgentReply
from workers.agents.built_in import prompt
from workers.agents.conversation import Conversation
from workers.agents.prompt import opening
from workers.context import StepContext
from workers.knowledge import shelf
from workers.knowledge.settings import KnowledgeSettings
from workers.llm.base import Model
from workers.llm.catalog import make_model
from workers.llm.settings import ModelSettings
from workers.tools.executor import ToolExecutor


class Answering:
    """The models of a process, and how agents use them. Lives in one event loop."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self._models: dict[str, Model] = {}

    def model(self, name: str | None) -> Model:
        """The model of that name, or the one of the settings; one client for all agents.

        Raises:
            UnknownModel: there is no such model.
        """
        chosen = name or self.settings.chosen_model
        if chosen not in self._models:
            self._models[chosen] = make_model(chosen, self.settings)
        return self._models[chosen]

    async def answer(self, agent: Agent, context: StepContext) -> AgentReply:
        """Let the agent do its step.

        Raises:
            Exception: whatever the agent's own code raises, and what a conversation does.
        """
        if agent.run is not None:
            reply = await agent.run(context)
            return _reply(agent, reply)
        conversation = Conversation(
            agent=agent,
            context=context,
            model=self.model(agent.model or context.claim.job.model),
            executor=ToolExecutor(agent.toolbox),
            system=system_prompt(agent, context.claim.step.kind),
            max_tokens=self.settings.max_tokens,
        )
        bases = shelf.in_use(context.knowledge, read_settings(KnowledgeSettings).home)
        return await conversation.run(opening(context.claim, context.agents, bases))

    async def close(self) -> None:
        """Release the models' connections."""
        for model in self._models.values():
            await model.close()


def _reply(agent: Agent, reply: object) -> AgentReply:
    if isinstance(reply, AgentReply):
        return reply
    if not isinstance(reply, str):
        raise ContractError(f"agent {agent.name!r} returned a {type(reply).__name__}; return text or an AgentReply")
    return AgentReply(text=reply)


def system_prompt(agent: Agent, kind: StepKind) -> str:
    """The system prompt of an agent: the same bytes in every process, so that the provider can cache it."""
    if kind is StepKind.SYNTHESIS:
        own = prompt("synthesis")
    else:
        own = agent.instructions or f"You are the agent {agent.name!r}. {agent.description}\n\n{prompt('own')}"
    return own if agent.output is Plan else f"{prompt('rules')}\n\n{own}"
