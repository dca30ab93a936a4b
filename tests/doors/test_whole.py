"""Nothing that the client can do is left out at either door."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import AsyncJobHandle, AsyncSessionHandle, AsyncTroupe
from orchestrator.dead import AsyncDeadList
from orchestrator.people import AsyncPeople

RECEIVERS = {
    AsyncTroupe: {"troupe"},
    AsyncJobHandle: {"job", "AsyncJobHandle"},
    AsyncSessionHandle: {"talk"},
    AsyncPeople: {"people"},
    AsyncDeadList: {"dead"},
}
"""What they are called in the tests of both doors."""
INNER = {"accept", "close", "event_batches", "partition", "share_events", "store"}
"""For the API itself; and `close`, which every fixture calls."""
BOTH_DOORS = {"troupe", "blocking", "door"}
"""Fixtures that are there once for each door."""


def functions_of_both() -> Iterator[ast.AST]:
    """All functions of the modules whose tests run at both doors."""
    for path in Path(__file__).parent.glob("test_*.py"):
        if "_over_http" not in path.name:
            for one in ast.parse(path.read_text()).body:
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                    if not one.name.startswith("test_") or BOTH_DOORS & {arg.arg for arg in one.args.args}:
                        yield one
                elif isinstance(one, ast.Assign | ast.AnnAssign):
                    yield one


def used() -> set[tuple[str, str]]:
    """What is named there: `troupe.submit`, `troupe.people.list` as `people.list`."""
    found: set[tuple[str, str]] = set()
    for test in functions_of_both():
        for node in ast.walk(test):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                found.add((owner, node.attr))
    return found


@pytest.mark.parametrize("kind", RECEIVERS, ids=lambda one: one.__name__)
def test_every_method_is_tried_at_both_doors(kind: type) -> None:
    methods = {name for name in vars(kind) if not name.startswith("_")} - INNER
    tried = {name for owner, name in used() if owner in RECEIVERS[kind]}
    assert methods - tried == set()
