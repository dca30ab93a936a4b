"""Patterns before they run: what they are compiled to, how votes are counted, and the pictures of the page."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from orchestrator.planning.balance import Balance
from orchestrator.planning.check import check
from orchestrator.settings import OrchestratorSettings
from tasks.errors import ContractError
from tasks.models import AgentDefinition, Plan, PlannedStep
from tasks.patterns.calls import parallel, route, vote, work
from tasks.patterns.compile import plan_of
from tasks.patterns.forms import How
from tasks.patterns.picture import mermaid
from tasks.queues import BUILT_IN
from workers.coordinating.counting import Ballot, count

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_shows_the_plan_that_an_example_makes(name: str) -> None:
    assert f"```mermaid\n{mermaid(plan_of(example(name).PATTERN))}\n```" in (ROOT / "docs" / "patterns.md").read_text()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_makes_a_plan_that_may_run(name: str) -> None:
    assert check(plan_of(example(name).PATTERN), BUILT_IN, OrchestratorSettings(), given=True).faults == ()


def test_every_pattern_has_an_example() -> None:
    assert EXAMPLES == ["chain", "debate", "orchestrate", "parallel", "refine", "route", "supervise", "vote"]


def test_a_planner_may_not_have_patterns_coordinated() -> None:
    assert check(plan_of(example("route").PATTERN), BUILT_IN, OrchestratorSettings()).faults != ()


def test_what_cannot_be_is_refused_when_it_is_made() -> None:
    one = work("x", "search")
    with pytest.raises(ContractError, match="agent or a capability"):
        work("x")
    with pytest.raises(ContractError, match="no such choice: b"):
        route({"a": one}, otherwise="b")
    with pytest.raises(ContractError, match="1 weights for 2"):
        vote(one, one, how="weighted", weights=[1])
    with pytest.raises(ContractError, match="quorum of 3"):
        vote(one, one, how="quorum", quorum=3)
    with pytest.raises(ContractError, match="parts"):
        parallel()


@pytest.mark.parametrize(
    ("how", "winner", "first"),
    [
        (How(choices=("yes", "no")), "no", "b"),
        (How(rule="quorum", quorum=2, choices=("yes", "no")), "no", "b"),
        (How(rule="quorum", quorum=3, choices=("yes", "no")), None, ""),
        (How(rule="weighted", choices=("yes", "no")), "yes", "a"),
    ],
)
def test_votes_are_counted_by_the_rule(how: How, winner: str | None, first: str) -> None:
    ballots = [Ballot("a", "Yes!", 3), Ballot("b", "I say no, not yes."), Ballot("c", "No."), Ballot("d", "Nothing.")]
    result = count(ballots, how)
    assert (result.winner, result.first) == (winner, first)


def test_of_equals_the_one_that_was_voted_for_first_wins() -> None:
    result = count([Ballot("a", "B"), Ballot("b", "A"), Ballot("c", " a."), Ballot("d", "b!")], How())
    assert (result.winner, result.tied) == ("b", ("b", "a"))


def test_nobody_wins_without_votes() -> None:
    assert count([Ballot("a", "?")], How(choices=("yes",))).winner is None


def test_steps_for_a_capability_go_to_the_shortest_queue_and_are_spread() -> None:
    agents = [AgentDefinition(name=one, description="", capabilities=("find",), queue=one) for one in ("a", "b", "c")]
    balance = Balance({"a": 5, "b": 1})
    step = PlannedStep(id="s", description="x", capability="find")
    chosen = [balance.take(step, agents) for _ in range(4)]
    assert [one.name for one in chosen if one] == ["c", "b", "c", "b"]


def test_steps_that_are_called_like_a_word_of_the_picture_have_nodes_of_their_own() -> None:
    plan = Plan(steps=[PlannedStep(id=name, description="x", agent="a") for name in ("end", "answer", "fine")])
    assert [line.split()[0] for line in mermaid(plan).splitlines()[1:5]] == [
        'end_["end<br/>a"]', 'answer_["answer<br/>a"]', 'fine["fine<br/>a"]', 'answer(["answer"])',
    ]  # fmt: skip
