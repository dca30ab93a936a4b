"""docs/mcp.md has every tool of the server, and says of each whether it changes something."""

import re

from mcp_types import ToolAnnotations

from orchestrator.client import AsyncTroupe
from orchestrator.mcp_door.server import make_server
from orchestrator.mcp_door.ways import OneWay
from tasks.settings import StoreSettings
from tests.unit.pages import ROOT

ROW = re.compile(r"^\| `(\w+)` \| .+ \| (.+) \|$", re.MULTILINE)
SAID = {
    "no": (True, None),
    "begins work": (False, False),
    "ends it": (False, True),
    "yes, for good": (False, True),
}


async def tools() -> dict[str, ToolAnnotations]:
    """What the server's tools say of themselves."""
    async with AsyncTroupe(settings=StoreSettings()) as troupe:
        found = await make_server(OneWay(troupe)).list_tools()
    return {one.name: one.annotations or ToolAnnotations() for one in found}


async def test_the_page_has_the_tools_that_the_server_has() -> None:
    rows = dict(ROW.findall((ROOT / "docs" / "mcp.md").read_text()))
    found = await tools()
    assert sorted(rows) == sorted(found)
    hints = {name: (one.read_only_hint, one.destructive_hint) for name, one in found.items()}
    assert {name: SAID[said] for name, said in rows.items()} == hints


async def test_every_tool_is_described_and_has_a_schema_of_its_answer() -> None:
    async with AsyncTroupe(settings=StoreSettings()) as troupe:
        found = await make_server(OneWay(troupe)).list_tools()
    assert [one.name for one in found if not one.description or not one.output_schema] == []
