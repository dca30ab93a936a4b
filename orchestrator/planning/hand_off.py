"""May another agent go on with this step and its conversation? Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from orchestrator.planning.bind import NOTHING, bound
from orchestrator.planning.check import MAX_FAULT_CHARS
from orchestrator.planning.children import ANYBODY
from orchestrator.settings import OrchestratorSettings
from tasks.models import AgentDefinition, Step, StepKind, Wire

BINDING = frozenset({"agent", "queue", "timeout_ms", "queue_ms", "idle_ms", "retry", "fallbacks", "version"})
"""What of a step follows from its agent."""


class Wish(Wire):
    """What the agent that has the step wants."""

    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HandOver:
    """The step as its next agent gets it, or why it may not."""

    wish: Wish
    fault: str = ""
    heir: Step | None = None


def hand_over(
    wanted: JsonValue, step: Step, agents: Sequence[AgentDefinition], limits: OrchestratorSettings
) -> HandOver:
    """Check what a parked step's agent wants.

    Args:
        wanted: As the worker says it; so it is parsed.
    """
    try:
        wish = Wish.model_validate(wanted)
    except ValidationError as error:
        return HandOver(Wish(agent=""), f"it cannot be read: {error.errors()[0]['msg']}")
    chosen = _chosen(wish, step, agents, limits)
    if isinstance(chosen, str):
        return HandOver(wish, chosen[:MAX_FAULT_CHARS])
    own = bound(NOTHING, (), chosen, agents, limits)
    fields = {name: getattr(own, name) for name in BINDING}
    return HandOver(wish, heir=step.model_copy(update={**fields, "handed": (*step.handed, step.agent)}))


def _chosen(
    wish: Wish, step: Step, agents: Sequence[AgentDefinition], limits: OrchestratorSettings
) -> AgentDefinition | str:
    """The agent that is to go on with it; or why it may not."""
    if step.kind is not StepKind.WORK:
        return f"a step of kind {step.kind.value} is not handed over"
    chosen = next((one for one in agents if one.name == wish.agent), None)
    if chosen is None:
        return f"there is no living agent {wish.agent!r}"
    own = next((one for one in agents if one.name == step.agent), None)
    allowed = set(own.hand_offs) if own else set[str]()
    if wish.agent not in allowed and ANYBODY not in allowed:
        return f"{step.agent!r} may not hand over to {wish.agent!r}; it may to {', '.join(sorted(allowed)) or 'nobody'}"
    if wish.agent == step.agent:
        return f"{wish.agent!r} has it already"
    if wish.agent in step.lineage:
        return f"a circle, {' → '.join((*step.lineage, wish.agent))}"
    if len(step.handed) >= limits.max_hand_offs:
        line = " → ".join((*step.handed, step.agent))
        return f"{line}: it was handed over as often as a step may be ({limits.max_hand_offs})"
    return chosen
