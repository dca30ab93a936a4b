"""Functions over the graph of a plan, against references that are slow and plain."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning import graph

NAMES = [f"s{at}" for at in range(7)]
GRAPHS = st.lists(st.sampled_from(NAMES), max_size=7, unique=True).flatmap(
    lambda names: st.fixed_dictionaries(
        {one: st.lists(st.sampled_from(names), max_size=3) for one in names}
    )
)  # fmt: skip
COSTS = st.fixed_dictionaries({one: st.floats(0, 100) for one in NAMES})


def reach(needs: dict[str, list[str]], step: str) -> set[str]:
    """All that a step rests on, directly or not."""
    found: set[str] = set()
    rest = list(needs[step])
    while rest:
        one = rest.pop()
        if one not in found:
            found.add(one)
            rest += needs[one]
    return found


def acyclic(needs: dict[str, list[str]]) -> bool:
    return all(step not in reach(needs, step) for step in needs)


def longest(needs: dict[str, list[str]], step: str) -> int:
    return 1 + max((longest(needs, before) for before in needs[step]), default=0)


def latest(needs: dict[str, list[str]], cost: dict[str, float], step: str) -> float:
    return cost[step] + max((latest(needs, cost, before) for before in needs[step]), default=0.0)


@settings(max_examples=150)
@given(GRAPHS)
def test_a_cycle_is_found_exactly_when_there_is_one_and_it_is_one(needs: dict[str, list[str]]) -> None:
    loop = graph.cycle(needs)
    assert (loop is None) == acyclic(needs)
    if loop is not None:
        assert loop[0] == loop[-1]
        assert len(set(loop)) == len(loop) - 1
        assert all(before in needs[after] for before, after in pairwise(loop))


@settings(max_examples=150)
@given(GRAPHS)
def test_layers_hold_what_no_cycle_holds_back(needs: dict[str, list[str]]) -> None:
    free = {step for step in needs if all(one not in reach(needs, one) for one in {step, *reach(needs, step)})}
    layers = graph.layers(needs)
    assert [len(set(layer)) for layer in layers] == [len(layer) for layer in layers]
    assert {step for layer in layers for step in layer} == free
    for number, layer in enumerate(layers, start=1):
        assert {longest(needs, step) for step in layer} == {number}


@settings(max_examples=150)
@given(GRAPHS)
def test_dependents_and_sinks_match_the_needs(needs: dict[str, list[str]]) -> None:
    assert graph.dependents(needs) == {step: [one for one in needs if step in needs[one]] for step in needs}
    assert graph.sinks(needs) == [step for step in needs if all(step not in before for before in needs.values())]


@settings(max_examples=150)
@given(GRAPHS.filter(acyclic), COSTS)
def test_depth_and_critical_path_are_those_of_the_longest_path(
    needs: dict[str, list[str]], cost: dict[str, float]
) -> None:
    assert graph.depth(needs) == max((longest(needs, step) for step in needs), default=0)
    assert graph.critical_path(needs, cost) == max((latest(needs, cost, step) for step in needs), default=0.0)


def test_a_diamond() -> None:
    needs = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    assert graph.layers(needs) == [["a"], ["b", "c"], ["d"]]
    assert (graph.depth(needs), graph.sinks(needs), graph.cycle(needs)) == (3, ["d"], None)
    assert graph.critical_path(needs, {"a": 1, "b": 5, "c": 2, "d": 1}) == 7


def test_a_step_behind_a_cycle_is_not_part_of_it() -> None:
    assert graph.cycle({"a": ["b"], "b": ["a"], "c": ["b"]}) in (["a", "b", "a"], ["b", "a", "b"])
