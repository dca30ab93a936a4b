"""AgentRegistry: the agents of a process, built-in and own."""

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

from tasks.errors import BadSetting, ContractError, UnknownAgent
from tasks.models import AgentDefinition
from workers.agents.base import Agent


class AgentRegistry:
    """Agents by name. A name is given once; an own agent may take the place of a built-in one."""

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        self._agents: dict[str, Agent] = {}
        for agent in agents:
            self.register(agent)

    def register(self, agent: Agent, *, replace: bool = False) -> None:
        """Add an agent.

        Raises:
            ContractError: another agent has the name, and `replace` was not said; or agents would delegate in a circle.
        """
        known = self._agents.get(agent.name)
        if known is not None and known is not agent and not replace:
            raise ContractError(f"there are two agents named {agent.name!r}")
        agents = {**self._agents, agent.name: agent}
        try:
            TopologicalSorter({name: one.sub_agents for name, one in agents.items()}).prepare()
        except CycleError as error:
            circle = " → ".join(reversed(error.args[1]))
            raise ContractError(f"agents would delegate in a circle: {circle}") from None
        self._agents[agent.name] = agent

    def get(self, name: str) -> Agent:
        """The agent of that name.

        Raises:
            UnknownAgent: there is none.
        """
        try:
            return self._agents[name]
        except KeyError:
            raise UnknownAgent(f"no agent {name!r}; there are: {', '.join(sorted(self._agents))}") from None

    def find_by_capability(self, capability: str) -> list[Agent]:
        """Agents that have the capability, by name."""
        return [agent for agent in self if capability in agent.capabilities]

    def on_queues(self, queues: Iterable[str]) -> list[Agent]:
        """Agents that one of the queues feeds, by name."""
        wanted = set(queues)
        return [agent for agent in self if agent.definition().queue in wanted]

    @property
    def queues(self) -> list[str]:
        """All queues of the agents, sorted."""
        return sorted({agent.definition().queue for agent in self})

    def definitions(self) -> list[AgentDefinition]:
        """What the agents are, by name."""
        return [agent.definition() for agent in self]

    def __iter__(self) -> Iterator[Agent]:
        return iter([self._agents[name] for name in sorted(self._agents)])

    def __contains__(self, name: str) -> bool:
        return name in self._agents

    def __len__(self) -> int:
        return len(self._agents)


def load_agents(modules: Sequence[str]) -> AgentRegistry:
    """The built-in agents and those that the modules hold at their top level.

    Raises:
        BadSetting: a module cannot be imported or holds no agent.
    """
    from workers.agents.built_in import built_in

    registry = AgentRegistry(built_in())
    own = AgentRegistry()
    for name in modules:
        found = [value for value in vars(_import(name)).values() if isinstance(value, Agent)]
        if not found:
            raise BadSetting(f"TROUPE_AGENTS: module {name!r} holds no Agent")
        for agent in found:
            own.register(agent)
    for agent in own:
        registry.register(agent, replace=True)
    return registry


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:  # the console script does not put it there, `python -m` and celery do
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise BadSetting(f"TROUPE_AGENTS: {name!r} cannot be imported: {type(error).__name__}: {error}") from error
