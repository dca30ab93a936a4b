"""Binding a checked step to an agent: its queue, its limits, its retries, and who takes it over. Pure.

Of several limits the shortest holds: the settings', the plan's, the agent's. Agents and plans may only shorten.
"""

from collections.abc import Sequence

from orchestrator.settings import OrchestratorSettings
from tasks.ids import StepId
from tasks.models import AgentDefinition, Fallback, Join, PlannedStep, RetryPolicy, Step, StepKind

NOTHING = PlannedStep(id="nothing", description="nothing")
"""A plan that says nothing, for steps that no plan holds: planning and the synthesis."""


def bound(
    planned: PlannedStep,
    needs: Sequence[str],
    agent: AgentDefinition,
    agents: Sequence[AgentDefinition],
    limits: OrchestratorSettings,
) -> Step:
    """A planned step, bound to its agent.

    Args:
        needs: What it depends on, each once.
        agents: Those that are known, to find the ones that take over.
    """
    return Step(
        id=StepId(planned.id),
        description=planned.description,
        agent=agent.name,
        queue=agent.queue,
        version=agent.version,
        depends_on=tuple(StepId(before) for before in needs),
        join=planned.join or Join.ALL,
        timeout_ms=_attempt_ms(planned, agent, limits),
        retry=_retry(planned, agent, limits),
        total_ms=_shortest(_ms(limits.step_total_s), planned.total_ms, agent.total_ms),
        queue_ms=_queue_ms(planned, agent, limits),
        idle_ms=_idle_ms(planned, agent, limits),
        fallbacks=_fallbacks(planned, agent, agents, limits),
        input=planned.input,
        quorum=_quorum(planned, len(needs)),
        optional=planned.optional,
        requires_approval=planned.requires_approval,
        tools=planned.tools,
        join_ms=planned.join_ms if needs else 0,
    )


def unbound(step: Step) -> PlannedStep:
    """What a plan said of a bound step, as far as it can be told: for a plan that was given, and is not kept.

    Its limits are those that held, the settings' and the agent's among them. A step that was handed over is its first
    agent's again, with that one's limits; one that fell back stays with the agent that took it over.
    """
    own = PlannedStep(
        id=step.id,
        description=step.description,
        agent=step.agent,
        depends_on=list(step.depends_on),
        join=step.join,
        input=step.input,
        quorum=step.quorum,
        optional=step.optional,
        requires_approval=step.requires_approval,
        tools=step.tools,
        total_ms=step.total_ms,
        join_ms=step.join_ms,
    )
    if step.handed:
        return own.model_copy(update={"agent": step.handed[0]})
    limits = {
        "retry": step.retry,
        "fallbacks": [one.agent for one in step.fallbacks],
        "timeout_ms": step.timeout_ms,
        "queue_ms": step.queue_ms,
        "idle_ms": step.idle_ms,
    }
    return own.model_copy(update=limits)


def _quorum(planned: PlannedStep, needs: int) -> int:
    """How many must succeed: more than half, unless the plan says."""
    return (planned.quorum or needs // 2 + 1) if planned.join is Join.QUORUM else 0


def own_step(
    name: StepId,
    kind: StepKind,
    description: str,
    agent: str,
    agents: Sequence[AgentDefinition],
    limits: OrchestratorSettings,
) -> Step:
    """A step that no plan holds. It has no fallback: without a plan or an answer there is no job."""
    known = _known(agent, agents)
    step = bound(NOTHING, (), known, (), limits)
    return step.model_copy(update={"id": name, "kind": kind, "description": description, "fallbacks": ()})


def _known(name: str, agents: Sequence[AgentDefinition]) -> AgentDefinition:
    """The definition; of one that nobody has announced yet, what every agent has: a queue of its own name."""
    found = next((agent for agent in agents if agent.name == name), None)
    return found or AgentDefinition(name=name, description="", queue=name)


def _fallbacks(
    planned: PlannedStep, agent: AgentDefinition, agents: Sequence[AgentDefinition], limits: OrchestratorSettings
) -> tuple[Fallback, ...]:
    """The chain of agents behind this one, each once."""
    chain = [_known(name, agents) for name in heirs(planned, agent, agents)]
    return tuple(
        Fallback(
            agent=one.name,
            queue=one.queue,
            version=one.version,
            timeout_ms=_attempt_ms(planned, one, limits),
            queue_ms=_queue_ms(planned, one, limits),
            idle_ms=_idle_ms(planned, one, limits),
            retry=_retry(planned, one, limits),
        )
        for one in chain
    )


def heirs(planned: PlannedStep, agent: AgentDefinition, agents: Sequence[AgentDefinition]) -> list[str]:
    """Names of the agents that take a step over, each once: as the plan says, else as one agent names the next."""
    able = sorted(one.name for one in agents if one.plannable and planned.fallback_capability in one.capabilities)
    listed = [*planned.fallbacks, *able]
    if listed:
        first = [planned.fallback] if planned.fallback else []
        return [name for name in dict.fromkeys([*first, *listed]) if name != agent.name]
    names: list[str] = []
    following = planned.fallback or agent.fallback
    while following is not None and following not in (agent.name, *names):
        names.append(following)
        following = _known(following, agents).fallback
    return names


def _attempt_ms(planned: PlannedStep, agent: AgentDefinition, limits: OrchestratorSettings) -> int:
    return max(_shortest(_ms(limits.step_timeout_s), planned.timeout_ms, agent.timeout_ms), 1)


def _queue_ms(planned: PlannedStep, agent: AgentDefinition, limits: OrchestratorSettings) -> int:
    return _shortest(_ms(limits.queue_timeout_s), planned.queue_ms, agent.queue_ms)


def _idle_ms(planned: PlannedStep, agent: AgentDefinition, limits: OrchestratorSettings) -> int:
    return _shortest(_ms(limits.idle_timeout_s), planned.idle_ms, agent.idle_ms)


def _retry(planned: PlannedStep, agent: AgentDefinition, limits: OrchestratorSettings) -> RetryPolicy:
    policy = planned.retry or agent.retry
    if policy is None:
        return RetryPolicy(max_attempts=limits.step_attempts)
    return policy.model_copy(update={"max_attempts": min(policy.max_attempts, limits.step_attempts)})


def _shortest(*limits_ms: int) -> int:
    """The least of those that are set; 0 when none is."""
    return min((limit for limit in limits_ms if limit > 0), default=0)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
