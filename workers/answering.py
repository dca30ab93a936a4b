"""Lets an agent answer: by its own code, or by a model in conversation with the agent's tools."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from tasks.errors import BudgetSpent, ContractError
from tasks.ids import SessionId
from tasks.models import Plan, StepKind
from tasks.settings import read_settings
from tasks.store import AccountStore, SessionStore, Store
from tasks.store.limits import LimitStore
from tasks.store.prefixes import PrefixStore
from tasks.tenancy import tenant_home
from workers.agents.base import Agent, AgentReply
from workers.agents.built_in import prompt
from workers.agents.conversation import Conversation, Executor
from workers.agents.fitness import Fitness
from workers.agents.gathered import gathered
from workers.agents.prompt import opening, shared_chars
from workers.agents.remembered import NEWEST, before, talk
from workers.agents.session_calls import RememberingExecutor
from workers.context import StepContext
from workers.journal.account import Account
from workers.journal.governed import Counting
from workers.journal.purse import Purse
from workers.journal.replayed import RecordedModel, begin_as_recorded
from workers.knowledge import shelf
from workers.knowledge.settings import KnowledgeSettings
from workers.llm.base import Model
from workers.llm.catalog import make_model
from workers.llm.leading import LeadingModel
from workers.llm.settings import OFFLINE, ModelSettings
from workers.tools.base import Tool
from workers.tools.controls import Controls
from workers.tools.delegate import NAME as DELEGATE
from workers.tools.executor import ToolExecutor
from workers.tools.gate import StoreGate
from workers.tools.hand_off import NAME as HAND_OFF
from workers.tools.mcp import McpServers
from workers.tools.mcp_settings import McpSettings, read_servers
from workers.tools.messages import POST, READ
from workers.tools.people import ASK


class Answering:
    """The models of a process, and how agents use them. Lives in one event loop."""

    def __init__(self, settings: ModelSettings, store: Store | None = None) -> None:
        """Read the list of MCP servers and the table of models; connect to nothing.

        Args:
            store: What the calls of the whole fleet share, with budgets and journals; without it each process is alone,
                and models have no rate limits.

        Raises:
            BadSetting: TROUPE_MCP or TROUPE_PRICING cannot be used.
        """
        self.settings = settings
        self.accounts = None if store is None else AccountStore(store)
        self._limits = LimitStore(store) if store is not None else None
        self.controls = Controls() if self._limits is None else Controls(gate=StoreGate(self._limits))
        """Rate limits, approvals and observers of tool calls; set before the first step."""
        self.given: dict[str, tuple[Tool, ...]] = {}
        """Tools that MCP servers last gave to agents, by agent."""
        self._store = store
        self._sessions = None if store is None else SessionStore(store)
        self._models: dict[str, Model] = {}
        self._counters: dict[str, Counting] = {}
        self._fitness = Fitness(settings)
        self._servers = McpServers(read_servers(read_settings(McpSettings).mcp))

    def model(self, name: str | None) -> Model:
        """The model of that name, or the one of the settings; one client for all agents.

        Raises:
            UnknownModel: there is no such model.
        """
        chosen = name or self.settings.chosen_model
        if chosen not in self._models:
            model = make_model(chosen, self.settings, self._limits)
            if isinstance(model, Counting):
                self._counters[chosen] = model
            if self._store is not None and model.name != OFFLINE:
                model = LeadingModel(model, PrefixStore(self._store), self.settings)
            self._models[chosen] = model
        return self._models[chosen]

    async def answer(self, agent: Agent, context: StepContext) -> AgentReply:
        """Let the agent do its step; in a replay as it was recorded, without a call of a model or tool.

        Raises:
            Exception: whatever the agent's own code raises, and what a conversation does.
        """
        account = Account(context, allowed(agent, context.claim.step.tools), self._purse(), self.accounts)
        if account.replay:
            await account.open()
            await begin_as_recorded(account.recorded, context)
        else:
            await self._look_back(context)
        if agent.run is not None:
            return _reply(agent, await agent.run(context))
        model = self._recorded_model(account) if account.replay else await self._asked_model(account)
        home = tenant_home(read_settings(KnowledgeSettings).home, context.tenant)
        bases = shelf.in_use(context.knowledge, home)
        try:
            said = talk(context.conversation, self.settings.session_tokens)
            opened = await account.opening(opening(context.claim, context.agents, bases, said))
            reply = await self._conversation(account, model, opened).run(opened)
            account.check_end()
            return reply
        except BudgetSpent as error:
            if context.claim.step.kind is not StepKind.SYNTHESIS:
                raise
            await account.spent(str(error))
            return AgentReply(text=gathered(context.claim, str(error)))
        finally:
            account.close()

    def _recorded_model(self, account: Account) -> Model:
        """What stands in for the model that was recorded, whichever the workers of this fleet have."""
        named = account.agent.model or account.context.claim.job.model
        return RecordedModel(named or account.recorded_model or self.settings.chosen_model)

    async def _asked_model(self, account: Account) -> Model:
        """The model for a step, with all that asking it takes."""
        tools = account.context.claim.step.tools
        agent = account.agent = allowed(await self._with_servers(account.agent), tools)
        model = self.model(agent.model or account.context.claim.job.model)
        self._fitness.check(agent, model.name)
        account.counter = self._counters.get(model.name)
        await account.open()
        return model

    def _conversation(self, account: Account, model: Model, opened: str) -> Conversation:
        agent, claim = account.agent, account.context.claim
        if claim.job.session is not None and claim.step.kind is StepKind.SYNTHESIS:
            agent = replace(agent, stream=True)  # somebody is waiting to read it
        executor = ToolExecutor(agent.toolbox, self.controls, within=timedelta(milliseconds=claim.deadline_ms))
        return Conversation(
            agent=agent,
            context=account.context,
            model=account.model(model),
            executor=self._remembering(account.executor(executor, model.name), claim.job.session),
            system=system_prompt(agent, claim.step.kind),
            max_tokens=self.settings.max_tokens,
            limits=self._fitness.limits(model.name),
            shared_chars=shared_chars(opened, claim.step.kind),
        )

    async def _look_back(self, context: StepContext) -> None:
        """Read what was said before in the job's session.

        Raises:
            StoreUnavailable: the store is away.
        """
        job = context.claim.job
        if job.session is not None and self._sessions is not None:
            context.conversation = tuple(before(await self._sessions.newest(job.session, NEWEST), job.id))

    def _remembering(self, executor: Executor, session: SessionId | None) -> Executor:
        """The executor; of a session's job one that remembers its calls with the session."""
        if session is None or self._sessions is None:
            return executor
        return RememberingExecutor(executor, self._sessions, session)

    def _purse(self) -> Purse:
        return Purse(self._fitness.pricing, hour=self.settings.cache == "1h")

    async def close(self) -> None:
        """Release the connections of models and MCP servers."""
        for model in self._models.values():
            await model.close()
        await self._servers.close()

    async def _with_servers(self, agent: Agent) -> Agent:
        """The agent with the tools of its MCP servers.

        Raises:
            BadSetting: there is no such server.
        """
        if not agent.mcp:
            return agent
        tools = await self._servers.tools(agent.mcp, {one.name for one in agent.toolbox})
        self.given[agent.name] = tools
        return replace(agent, tools=(*agent.toolbox, *tools))


def allowed(agent: Agent, tools: Sequence[str] | None) -> Agent:
    """The agent with no other tools than these; None: with all that it has."""
    if tools is None:
        return agent
    return replace(
        agent,
        tools=tuple(one for one in agent.tools if isinstance(one, Tool) and one.name in tools),
        server_tools=tuple(one for one in agent.server_toolbox if one["name"] in tools),
        sub_agents=agent.sub_agents if DELEGATE in tools else (),
        hand_offs=agent.hand_offs if HAND_OFF in tools else (),
        asks=agent.asks and ASK in tools,
        messages=agent.messages and POST in tools and READ in tools,
        tool_choice=agent.tool_choice if agent.tool_choice in tools else None,
    )


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
