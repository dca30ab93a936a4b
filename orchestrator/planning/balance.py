"""Who does a step: the agent that is named, or the least busy one of those that are able. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from tasks.models import AgentDefinition, PlannedStep

Loads = Mapping[str, int]
"""Messages that wait in each queue; of others it is taken that none does."""
NO_LOADS: Final[Loads] = {}


def able_for(planned: PlannedStep, agents: Sequence[AgentDefinition]) -> list[AgentDefinition]:
    """Who may do it: the named agent, or all that have the capability; in the order of the agents."""
    if planned.agent is not None:
        return [one for one in agents if one.name == planned.agent]
    return [one for one in agents if planned.capability in one.capabilities]


class Balance:
    """Gives steps to agents, and counts those that it gave: a plan of many does not go to one queue that was short."""

    def __init__(self, loads: Loads) -> None:
        self._loads = dict(loads)

    def take(self, planned: PlannedStep, agents: Sequence[AgentDefinition]) -> AgentDefinition | None:
        """Who does it; of equals the first. None: nobody is able."""
        able = able_for(planned, agents)
        chosen = min(able, key=lambda one: self._loads.get(one.queue, 0), default=None)
        if chosen is not None:
            self._loads[chosen.queue] = self._loads.get(chosen.queue, 0) + 1
        return chosen
