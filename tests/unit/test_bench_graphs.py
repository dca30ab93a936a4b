"""The graphs of the benchmarks: bounds that can be worked out by hand, and files that are no workflows."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.graphs import Graph, generated, read_file, read_folder
from orchestrator.planning.graph import cycle

FORK = Graph("fork", {"a": 1.0, "b": 2.0, "c": 4.0, "d": 1.0}, {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]})
FILE: Final[dict[str, Any]] = {
    "workflow": {
        "specification": {"tasks": [{"id": "a", "parents": []}, {"id": "b", "parents": ["a"]}]},
        "execution": {"tasks": [{"id": "a", "runtimeInSeconds": 2.5}]},
    }
}


@pytest.mark.parametrize(("workers", "bound", "schedule"), [(1, 8.0, 8.0), (2, 6.0, 6.0), (9, 6.0, 6.0)])
def test_bound_and_list_schedule_of_a_fork(workers: int, bound: float, schedule: float) -> None:
    assert FORK.bound_s(workers) == bound
    assert FORK.list_schedule_s(workers) == schedule


def test_a_graph_is_scaled_to_a_bound() -> None:
    assert FORK.scaled(3.0, 2).bound_s(2) == pytest.approx(3.0)


def test_a_plan_has_the_graph_and_its_times() -> None:
    steps = FORK.plan().steps
    assert [step.depends_on for step in steps] == [[], ["t0"], ["t0"], ["t1", "t2"]]
    assert steps[2].description == "wait 4.0000"


def test_generated_graphs_are_the_same_each_time_and_have_no_cycle() -> None:
    assert generated() == generated()
    assert all(cycle(graph.needs) is None and set(graph.seconds) == set(graph.needs) for graph in generated())


def test_a_workflow_file_is_read_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(FILE))
    (tmp_path / "two.json.gz").write_bytes(gzip.compress(json.dumps(FILE).encode()))
    found = read_folder(tmp_path)
    assert [graph.name for graph in found] == ["one", "two"]
    assert found[0].seconds == found[1].seconds == {"a": 2.5, "b": 1.0}
    assert found[0].needs == {"a": [], "b": ["a"]}


def test_what_is_no_workflow_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.json"):
        read_folder(tmp_path)
    path = tmp_path / "bad.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="not a workflow"):
        read_file(path)
