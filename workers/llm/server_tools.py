"""Tools that the provider runs itself: switched on per agent, billed by the provider, never executed by us.

The versions here are those that every listed model has; a mapping names a newer one, or sets options.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from tasks.errors import InvalidTool
from workers.llm.base import JsonSchema

VERSIONS: Final = {
    "code_execution": "code_execution_20250825",
    "web_fetch": "web_fetch_20250910",
    "web_search": "web_search_20250305",
}
"""See https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview."""


def server_tool(given: str | Mapping[str, JsonValue]) -> JsonSchema:
    """The definition as the API takes it.

    Args:
        given: One of the names above, or options beside it (`{"name": "web_search", "max_uses": 3}`), or a whole
            definition with a `type` of the provider's.

    Raises:
        InvalidTool: neither is it.
    """
    definition: JsonSchema = {"name": given} if isinstance(given, str) else dict(given)
    name = definition.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidTool(f"a server tool needs a name: {given!r}; known ones are {', '.join(VERSIONS)}")
    if "type" not in definition:
        if name not in VERSIONS:
            raise InvalidTool(f"no server tool {name!r}; there are: {', '.join(VERSIONS)}, or give its type")
        definition["type"] = VERSIONS[name]
    return dict(sorted(definition.items()))
