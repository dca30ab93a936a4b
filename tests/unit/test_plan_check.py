"""Is this plan allowed to run? Every good one is, no bad one is, and the fault says where."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning.check import MAX_FAULT_CHARS, MAX_FAULTS, check, first_step, planning_step
from orchestrator.settings import OrchestratorSettings
from tasks.ids import PLAN_STEP, REPAIR_STEP, SYNTHESIS_STEP
from tasks.models import AgentDefinition, Join, Plan, PlannedStep, StepKind
from tasks.queues import BUILT_IN
from tests.unit.plans import GOOD_PLANS, LIMITS, ONE_STEP, WHOLE, Spoil, chain, change

SEARCH = BUILT_IN[1]


def steps_of(*steps: PlannedStep) -> Plan:
    return Plan(steps=list(steps))


def one(**values: object) -> PlannedStep:
    return PlannedStep.model_validate({"id": "a", "description": "x", "agent": "search", **values})


@settings(max_examples=1000, deadline=None)
@given(GOOD_PLANS)
def test_every_good_plan_runs_in_a_topological_order_to_a_synthesis_of_its_sinks(plan: Plan) -> None:
    checked = check(plan, BUILT_IN, LIMITS)
    assert checked.faults == ()
    steps = [new.step for new in checked.steps]
    *work, synthesis = steps
    assert sorted(step.id for step in work) == sorted(step.id for step in plan.steps)
    place = {step.id: at for at, step in enumerate(steps)}
    assert all(place[before] < place[step.id] for step in steps for before in step.depends_on)
    needed = {before for step in plan.steps for before in step.depends_on}
    assert list(synthesis.depends_on) == [step.id for step in plan.steps if step.id not in needed]
    assert (synthesis.id, synthesis.kind, synthesis.join) == (SYNTHESIS_STEP, StepKind.SYNTHESIS, Join.BEST_EFFORT)


@settings(max_examples=200, deadline=None)
@given(GOOD_PLANS)
def test_dependents_are_the_dependencies_the_other_way_round(plan: Plan) -> None:
    new = check(plan, BUILT_IN, LIMITS).steps
    forward = {(before, one.step.id) for one in new for before in one.step.depends_on}
    assert {(one.step.id, after) for one in new for after in one.dependents} == forward
    assert all(len(set(one.dependents)) == len(one.dependents) for one in new)
    assert all(len(set(one.step.depends_on)) == len(one.step.depends_on) for one in new)


@settings(max_examples=200, deadline=None)
@given(GOOD_PLANS)
def test_every_step_keeps_what_was_planned_and_gets_an_able_agent_with_its_queue(plan: Plan) -> None:
    planned = {step.id: step for step in plan.steps}
    agents = {agent.name: agent for agent in BUILT_IN}
    for step in [new.step for new in check(plan, BUILT_IN, LIMITS).steps[:-1]]:
        wish = planned[step.id]
        agent = agents[step.agent]
        assert agent.plannable
        assert step.agent == wish.agent or wish.capability in agent.capabilities
        assert (step.queue, step.kind, step.description) == (agent.queue, StepKind.WORK, wish.description)
        assert (step.join, set(step.depends_on)) == (wish.join or Join.ALL, set(wish.depends_on))


@pytest.mark.parametrize("spoil", WHOLE, ids=lambda one: one.__name__)
@settings(max_examples=50, deadline=None)
@given(plan=GOOD_PLANS)
def test_a_plan_that_is_bad_as_a_whole_is_refused(spoil: Spoil, plan: Plan) -> None:
    steps, path = spoil(plan.steps)
    checked = check(Plan(steps=steps), BUILT_IN, LIMITS)
    assert checked.steps == ()
    assert any(fault.startswith(path) for fault in checked.faults), (path, checked.faults)


@pytest.mark.parametrize("kind", sorted(ONE_STEP))
@settings(max_examples=30, deadline=None)
@given(plan=GOOD_PLANS, place=st.integers(0, 100))
def test_a_plan_with_one_bad_step_is_refused_with_the_path_to_it(kind: str, plan: Plan, place: int) -> None:
    steps, path = ONE_STEP[kind](place)(plan.steps)
    checked = check(Plan(steps=steps), BUILT_IN, LIMITS)
    assert checked.steps == ()
    assert any(fault.startswith(path) for fault in checked.faults), (path, checked.faults)


def test_all_faults_are_named_at_once() -> None:
    plan = steps_of(one(id="A"), one(agent="nobody"), one(depends_on=["x", "a"]))
    assert [fault.partition(":")[0] for fault in check(plan, BUILT_IN, LIMITS).faults] == [
        "steps[2].id",
        "steps[2].depends_on[0]",
        "steps[2].depends_on[1]",
        "steps[0].id",
        "steps[1].agent",
    ]


def apart(count: int) -> list[PlannedStep]:
    return [one(id=f"s{at}") for at in range(count)]


def star(count: int) -> list[PlannedStep]:
    return [one(), *(one(id=f"s{at}", depends_on=["a"]) for at in range(count))]


@pytest.mark.parametrize(("limit", "make"), [("max_steps", apart), ("max_depth", chain), ("max_fan_out", star)])
def test_a_limit_itself_is_allowed_and_one_more_is_not(limit: str, make: Callable[[int], list[PlannedStep]]) -> None:
    limits = OrchestratorSettings().model_copy(update={limit: 3})
    assert check(Plan(steps=make(3)), BUILT_IN, limits).faults == ()
    assert len(check(Plan(steps=make(4)), BUILT_IN, limits).faults) == 1


def test_a_dependency_that_is_named_twice_counts_once() -> None:
    checked = check(steps_of(one(), one(id="b", depends_on=["a", "a"])), BUILT_IN, LIMITS)
    assert checked.steps[1].step.depends_on == ("a",)
    assert checked.steps[0].dependents == ("b",)


def test_a_cycle_is_named_in_its_order() -> None:
    steps = change(chain(3), 0, depends_on=["chain-2"])
    (fault,) = check(Plan(steps=steps), BUILT_IN, LIMITS).faults
    names = fault.removeprefix("steps: a cycle, ").split(" → ")
    assert names[0] == names[-1]
    assert all(f"chain-{(int(one[-1]) + 1) % 3}" == after for one, after in pairwise(names))


def test_an_agent_goes_before_a_capability() -> None:
    checked = check(steps_of(one(agent="summary", capability="search")), BUILT_IN, LIMITS)
    assert checked.steps[0].step.agent == "summary"


def test_the_first_agent_with_the_capability_gets_the_step() -> None:
    own = AgentDefinition(name="own", description="x", capabilities=("search",), queue="slow")
    step = one(agent=None, capability="search")
    assert check(steps_of(step), [own, SEARCH], LIMITS).steps[0].step.queue == "slow"
    assert check(steps_of(step), [SEARCH, own], LIMITS).steps[0].step.queue == "search"


def test_without_agents_the_fault_says_so() -> None:
    plan = steps_of(one(), one(id="b", agent=None, capability="x"), one(id="c", agent=None))
    assert check(plan, [], LIMITS).faults == (
        "steps[2]: give an agent (none is alive) or a capability",
        "steps[0].agent: 'search' is unknown; there are: none is alive",
        "steps[1].capability: no agent has 'x'; there are: none",
    )


@pytest.mark.parametrize("missing", [{}, {"agent": None, "capability": "x"}, {"fallback": "nobody"}])
def test_agents_that_are_absent_are_told_from_faults_of_the_plan(missing: dict[str, Any]) -> None:
    agents = BUILT_IN if "fallback" in missing else ()
    assert check(steps_of(one(**missing)), agents, LIMITS).only_absent
    assert not check(steps_of(one(**missing), one(**missing)), agents, LIMITS).only_absent, "one id twice"
    assert not check(steps_of(one()), BUILT_IN, LIMITS).only_absent


def test_the_synthesis_goes_to_the_queue_of_its_agent() -> None:
    closing = AgentDefinition(name="editor", description="x", queue="press", plannable=False)
    limits = OrchestratorSettings(synthesis_agent="editor")
    assert check(steps_of(one()), [SEARCH, closing], limits).steps[-1].step.queue == "press"
    assert check(steps_of(one()), [SEARCH], limits).steps[-1].step.queue == "editor"


def test_time_and_tries_come_from_the_settings() -> None:
    limits = OrchestratorSettings(step_timeout_s=1.5, step_attempts=7)
    for new in check(steps_of(one()), BUILT_IN, limits).steps:
        assert (new.step.timeout_ms, new.step.retry.max_attempts) == (1500, 7)


def test_the_first_step_of_a_job_plans_it() -> None:
    step = first_step("Why\n is  it? " + "x" * 500, BUILT_IN, LIMITS)
    assert (step.id, step.kind, step.agent, step.queue) == (PLAN_STEP, StepKind.PLAN, "planner", "planner")
    assert step.description.startswith("Plan: Why is it? x")
    assert len(step.description) == len("Plan: ") + 200


def test_planning_waits_in_the_planners_queue_also_when_no_planner_is_known() -> None:
    planner = AgentDefinition(name="planner", description="x", queue="thinkers", plannable=False)
    assert planning_step(REPAIR_STEP, "Again.", [planner], LIMITS).queue == "thinkers"
    assert planning_step(REPAIR_STEP, "Again.", [], LIMITS).queue == "planner"


def test_a_plan_of_ten_thousand_steps_is_checked_in_a_moment() -> None:
    limits = OrchestratorSettings(max_steps=10_000, max_depth=1000, max_fan_out=10_000)
    steps = [step for at in range(10) for step in chain(1000, f"c{at}-")]
    assert len(check(Plan(steps=steps), BUILT_IN, limits).steps) == 10_001


def test_of_many_faults_the_first_are_named_and_the_rest_counted() -> None:
    steps = [PlannedStep(id=f"s{at}", description="x", agent="nobody") for at in range(30)]
    faults = check(Plan(steps=steps), BUILT_IN, OrchestratorSettings()).faults
    assert len(faults) == MAX_FAULTS + 1
    assert faults[-1] == "and 10 more faults"


def test_a_fault_is_cut_when_a_planner_wrote_a_book_into_it() -> None:
    (fault,) = check(Plan(steps=[PlannedStep(id="s", description="x", agent="n" * 10_000)]), BUILT_IN, LIMITS).faults
    assert len(fault) == MAX_FAULT_CHARS
    assert fault.endswith("…")
