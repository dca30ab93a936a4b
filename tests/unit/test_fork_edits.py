"""Changes of a fork, as they are read, and what becomes of a step with them."""

import pytest

from orchestrator.planning.bind import bound, unbound
from orchestrator.settings import OrchestratorSettings
from orchestrator.travel.edit import MAX_EDIT_CHARS, NO_EDIT, Edit, added, as_edit, changed, read_edit
from tasks.errors import ContractError
from tasks.models import AgentDefinition, Join, PlannedStep
from tasks.retries import RetryPolicy

STEP = PlannedStep(id="find", description="Find it.", agent="search", depends_on=["a"])
LIMITS = OrchestratorSettings()
AGENTS = [AgentDefinition(name=name, description="", queue=name) for name in ("search", "heir", "other")]


@pytest.mark.parametrize("toml", [None, False])
def test_changes_are_read_from_json(toml: bool | None) -> None:
    edit = read_edit(' {"task": "Why?", "steps": {"a": {"agent": "x"}, "b": null}}', name="f", toml=toml)
    assert edit == Edit(task="Why?", steps={"a": {"agent": "x"}, "b": None})


@pytest.mark.parametrize("toml", [None, True])
def test_changes_are_read_from_toml(toml: bool | None) -> None:
    edit = read_edit('task = "Why?"\n[steps.a]\ndepends_on = ["b"]\n', name="f", toml=toml)
    assert edit == Edit(task="Why?", steps={"a": {"depends_on": ["b"]}})


@pytest.mark.parametrize(
    ("text", "toml", "fault"),
    [
        ("{", None, "edit.x is not JSON: "),
        ("[[", True, "edit.x is not TOML: "),
        ("[" * 100_000, False, "edit.x is not JSON: "),
        ("[]", False, "edit.x: Input should be"),
        ('{"step": {}}', None, "edit.x: step: Extra inputs are not permitted"),
        ('{"steps": {"a": 1}}', None, "edit.x: steps.a: Input should be"),
        ("[steps]\na = 2026-01-02", True, "edit.x: steps.a: "),
        (" " * (MAX_EDIT_CHARS + 1), None, "edit.x: more than 5,000,000 characters"),
    ],
    ids=lambda one: str(one)[:20],
)
def test_what_is_no_change_is_refused_with_its_place(text: str, toml: bool | None, fault: str) -> None:
    with pytest.raises(ContractError) as refused:
        read_edit(text, name="edit.x", toml=toml)
    assert str(refused.value).startswith(fault)


def test_changes_may_be_given_as_they_are() -> None:
    assert as_edit(None) is NO_EDIT
    assert as_edit(edit := Edit(task="x")) is edit
    assert as_edit({"task": "x"}) == edit
    with pytest.raises(ContractError, match="edit: tasks: Extra inputs"):
        as_edit({"tasks": "x"})


def test_a_step_gets_the_fields_that_are_named_and_keeps_the_others() -> None:
    assert changed(STEP, {"description": "Look.", "tools": []}) == STEP.model_copy(
        update={"description": "Look.", "tools": ()}
    )


def test_a_capability_takes_the_place_of_the_agent() -> None:
    assert changed(STEP, {"capability": "search"}).agent is None
    assert changed(STEP, {"capability": "search", "agent": "x"}).agent == "x"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"nothing": 1}, "steps.find.nothing: Extra inputs are not permitted"),
        ({"depends_on": "a"}, "steps.find.depends_on: "),
        ({"id": "found"}, "steps.find.id: a step keeps its id"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, str], fault: str) -> None:
    with pytest.raises(ContractError) as refused:
        changed(STEP, dict(changes))
    assert str(refused.value).startswith(fault)


def test_a_new_step_has_the_id_that_it_stands_under() -> None:
    assert added("x", {"description": "X.", "agent": "search"}) == PlannedStep(id="x", description="X.", agent="search")
    with pytest.raises(ContractError, match=r"steps\.x\.agnet: Extra"):
        added("x", {"description": "X.", "agnet": "search"})


def test_a_bound_step_binds_to_the_same_again() -> None:
    planned = PlannedStep(
        id="find", description="Find it.", agent="search", depends_on=["a", "b", "c"], join=Join.QUORUM, quorum=2,
        retry=RetryPolicy(max_attempts=2), fallbacks=["heir"], timeout_ms=5, total_ms=6, queue_ms=7, idle_ms=8,
        input={"n": 1}, requires_approval=True, tools=("t",), optional=True, join_ms=9,
    )  # fmt: skip
    step = bound(planned, planned.depends_on, AGENTS[0], AGENTS, LIMITS)
    assert bound(unbound(step), step.depends_on, AGENTS[0], AGENTS, LIMITS) == step


def test_a_step_that_was_handed_over_is_its_first_agents_again() -> None:
    step = bound(STEP, ["a"], AGENTS[2], AGENTS, LIMITS).model_copy(update={"handed": ("search", "heir")})
    planned = unbound(step)
    assert (planned.agent, planned.timeout_ms, planned.retry, planned.fallbacks) == ("search", 0, None, [])
