"""Of one agent in several versions the highest counts."""

import pytest

from tasks.models import AgentDefinition
from tasks.store.fleet import agents_of
from tests.support.builders import a_worker


@pytest.mark.parametrize(("older", "newer"), [("9", "10"), ("1.9", "1.10"), ("1.0", "1.0.1"), ("1", "2")])
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    workers = [
        a_worker(f"w{version}").model_copy(
            update={"agents": (AgentDefinition(name="a", description="x", queue="a", version=version),)}
        )
        for version in (newer, older)
    ]
    assert [agent.version for agent in agents_of(workers)] == [newer]
    assert [agent.version for agent in agents_of(workers[::-1])] == [newer]
