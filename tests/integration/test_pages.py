"""The tests that docs/testing-your-agents.md shows pass."""

import sys
from types import ModuleType

import pytest

from tests.unit.pages import AGENT_MODULES, Snippet, loaded, others


@pytest.mark.parametrize("block", others("docs/testing-your-agents.md"), ids=lambda one: one.text.splitlines()[0])
async def test_what_the_page_on_testing_shows_passes(block: Snippet, monkeypatch: pytest.MonkeyPatch) -> None:
    (finance,) = [one for one in AGENT_MODULES if one.place == "README.md"]
    module = ModuleType("finance")
    vars(module).update(loaded(finance))
    monkeypatch.setitem(sys.modules, "finance", module)
    for name, value in loaded(block).items():
        if name.startswith("test_"):
            await value()
