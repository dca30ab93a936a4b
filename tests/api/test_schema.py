"""The API does what its OpenAPI document says, and nothing else. For long runs: `python -m tests.api.schema`."""

from collections.abc import Iterator

import pytest

from tests.api.schema import Served, explore, served

SEED = 7
EXAMPLES = 4
"""Of each operation."""


@pytest.fixture
def scene() -> Iterator[Served]:
    """Of each test its own: an operator revokes the other's key sooner or later."""
    with served() as found:
        yield found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("who", ["operator", "acme"])
def test_answers_are_what_the_document_says(scene: Served, who: str) -> None:
    found = explore(scene, who, SEED, most=10_000, examples=EXAMPLES)
    assert found.failures == {}
    assert found.requests > 150
    assert {status for status in found.statuses if status >= 500} == set()
    assert found.statuses[200] > 80, "most of what is there is reached"
