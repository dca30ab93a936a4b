"""Binding a step to its agent: whose limits hold, how often it is tried, and who takes it over."""

from typing import Any

import pytest

from orchestrator.planning.bind import bound
from orchestrator.planning.check import check, first_step
from orchestrator.settings import OrchestratorSettings
from tasks.models import AgentDefinition, Plan, PlannedStep, RetryPolicy, Step, StepKind
from tasks.queues import BUILT_IN

LIMITS = {"timeout_ms": "step_timeout_s", "total_ms": "step_total_s", "queue_ms": "queue_timeout_s"} | {
    "idle_ms": "idle_timeout_s"
}


def an_agent(name: str = "search", **fields: Any) -> AgentDefinition:
    return AgentDefinition(name=name, description="x", queue=fields.pop("queue", name), **fields)


def a_planned(**fields: Any) -> PlannedStep:
    return PlannedStep.model_validate({"id": "a", "description": "x", "agent": "search", **fields})


def bind(planned: PlannedStep, *agents: AgentDefinition, **settings: Any) -> Step:
    return bound(planned, (), agents[0], agents, OrchestratorSettings(**settings))


@pytest.mark.parametrize(("field", "setting"), LIMITS.items())
@pytest.mark.parametrize(
    ("seconds", "planned", "agent", "expected"),
    [
        (10, 0, 0, 10_000),
        (10, 4_000, 0, 4_000),
        (10, 0, 3_000, 3_000),
        (10, 4_000, 3_000, 3_000),
        (2, 4_000, 3_000, 2_000),
    ],
)
def test_the_shortest_limit_holds(
    field: str, setting: str, seconds: int, planned: int, agent: int, expected: int
) -> None:
    able = an_agent().model_copy(update={field: agent})
    step = bind(a_planned(**{field: planned}), able, **{setting: seconds})
    assert getattr(step, field) == expected


def test_without_limits_there_are_none_but_that_of_an_attempt() -> None:
    step = bind(a_planned(), an_agent())
    assert (step.timeout_ms, step.total_ms, step.queue_ms, step.idle_ms) == (300_000, 0, 0, 0)


def test_the_plans_policy_goes_before_the_agents_and_neither_above_the_settings() -> None:
    agents, plans = RetryPolicy(max_attempts=9, base_ms=1), RetryPolicy(max_attempts=2, base_ms=2)
    assert bind(a_planned(), an_agent()).retry == RetryPolicy()
    assert bind(a_planned(), an_agent(retry=agents), step_attempts=4).retry == RetryPolicy(max_attempts=4, base_ms=1)
    assert bind(a_planned(retry=plans), an_agent(retry=agents), step_attempts=4).retry == plans


def test_a_chain_of_fallbacks_has_each_agent_once() -> None:
    agents = (
        an_agent(fallback="b"),
        an_agent("b", fallback="c", queue="slow", idle_ms=5, retry=RetryPolicy(max_attempts=2)),
        an_agent("c", fallback="search"),
    )
    step = bind(a_planned(timeout_ms=7), *agents)
    assert [(one.agent, one.queue, one.idle_ms) for one in step.fallbacks] == [("b", "slow", 5), ("c", "c", 0)]
    assert [one.retry.max_attempts for one in step.fallbacks] == [2, 3]
    assert {one.timeout_ms for one in step.fallbacks} == {7}


def test_the_plans_fallback_goes_before_the_agents() -> None:
    step = bind(a_planned(fallback="c"), an_agent(fallback="b"), an_agent("b"), an_agent("c"))
    assert [one.agent for one in step.fallbacks] == ["c"]


def test_an_agents_fallback_that_nobody_has_announced_waits_in_the_queue_of_its_name() -> None:
    (one,) = bind(a_planned(), an_agent(fallback="later")).fallbacks
    assert (one.agent, one.queue) == ("later", "later")


@pytest.mark.parametrize(
    ("fallback", "fault"),
    [("nobody", "'nobody' is unknown; there are: planner, search"), ("search", "is the step's own agent")],
)
def test_a_fallback_that_cannot_be_is_a_fault_of_the_plan(fallback: str, fault: str) -> None:
    checked = check(Plan(steps=[a_planned(fallback=fallback)]), BUILT_IN, OrchestratorSettings())
    assert checked.faults[0].startswith("steps[0].fallback: ")
    assert fault in checked.faults[0]


def test_planning_and_the_answer_have_the_limits_of_their_agents_and_no_fallback() -> None:
    agents = [an_agent("planner", fallback="search", queue_ms=7), an_agent(), an_agent("summary", idle_ms=8)]
    settings = OrchestratorSettings()
    first = first_step("Why?", agents, settings)
    assert (first.kind, first.queue_ms, first.fallbacks) == (StepKind.PLAN, 7, ())
    closing = check(Plan(steps=[a_planned()]), agents, settings).steps[-1].step
    assert (closing.kind, closing.idle_ms, closing.depends_on) == (StepKind.SYNTHESIS, 8, ("a",))
