"""Whether agents can work on the model that they would get: asked when they are loaded, before any step is."""

from collections.abc import Iterable

from tasks.errors import ContractError, UnknownModel
from workers.agents.base import Agent
from workers.agents.conversation import Limits
from workers.llm.capabilities import Wants, lacks
from workers.llm.pricing import ModelFacts, Pricing
from workers.llm.retirement import warn_of_retirement
from workers.llm.settings import OFFLINE, ModelSettings


class Fitness:
    """Knows the models. Reads the table once."""

    def __init__(self, settings: ModelSettings) -> None:
        """Read the table.

        Raises:
            BadSetting: the file that TROUPE_PRICING names cannot be used.
        """
        self._settings = settings
        self.pricing = Pricing.read(settings.pricing)

    def check(self, agent: Agent, model: str) -> None:
        """Refuse an agent that asks for something its model cannot do.

        Models that are no language models (offline, scripted) leave out what they cannot do.

        Raises:
            ContractError: says what, and what there is instead.
        """
        facts = self._facts(model)
        if facts is None or agent.run is not None:
            return
        wants = Wants(
            max_tokens=self._settings.max_tokens,
            output=agent.output,
            server_tools=[str(one["name"]) for one in agent.server_toolbox],
            tool_choice=agent.tool_choice,
            thinking=agent.thinking,
            effort=agent.effort,
        )
        faults = lacks(model, facts, wants)
        if faults:
            raise ContractError(f"agent {agent.name!r} cannot work on {model}: {'; '.join(faults)}")

    def check_all(self, agents: Iterable[Agent], model: str | None = None) -> None:
        """Check each agent with its own model, else with the one given, else with that of the settings.

        A model that retires is worth a warning, with the day.

        Raises:
            ContractError: for the first that does not fit.
        """
        agents = list(agents)
        chosen = {agent.name: agent.model or model or self._settings.chosen_model for agent in agents}
        for agent in agents:
            self.check(agent, chosen[agent.name])
        for name in sorted(set(chosen.values())):
            facts = self._facts(name)
            if facts is not None:
                warn_of_retirement(name, facts)

    def limits(self, model: str) -> Limits:
        """What the loop must know of a model; generous for one that is not in the table."""
        facts = self._facts(model)
        if facts is None:
            return Limits()
        return Limits(max_output=facts.max_output, bound_thinking=facts.bound_thinking)

    def _facts(self, model: str) -> ModelFacts | None:
        if model == OFFLINE:
            return None
        try:
            return self.pricing.facts(model)
        except UnknownModel:
            return None
