"""The tools of one agent, or of a whole worker, by name."""

from collections.abc import Iterable, Iterator

from tasks.errors import InvalidTool, UnknownTool
from workers.llm.base import JsonSchema
from workers.tools.base import Tool
from workers.tools.names import API_NAME
from workers.tools.wording import echo


class ToolRegistry:
    """Tools by name, always in alphabetical order: a prompt cache is lost when the order changes."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for one in tools:
            self.register(one)

    def register(self, tool: Tool) -> None:
        """Add a tool; the same one a second time changes nothing.

        Raises:
            InvalidTool: another function has that name, or the API does not take it.
        """
        if API_NAME.fullmatch(tool.name) is None:
            raise InvalidTool(f"{tool.name!r} cannot name a tool: the API takes letters, digits, - and _, at most 128")
        known = self._tools.get(tool.name)
        if known is not None and known.function is not tool.function:
            places = " and ".join(_place(one) for one in (known, tool))
            raise InvalidTool(f"two tools are called {tool.name!r}: {places}; give one another name")
        self._tools.setdefault(tool.name, tool)

    def get(self, name: str) -> Tool:
        """The tool of that name, as the API knows it.

        Raises:
            UnknownTool: there is none; the message lists those there are.
        """
        try:
            return self._tools[name]
        except KeyError:
            there = ", ".join(self.names) or "none"
            raise UnknownTool(f"there is no tool {echo(name)}; the tools are: {there}") from None

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._tools))

    def tagged(self, *tags: str) -> tuple[Tool, ...]:
        """The tools that have all these tags, in order."""
        return tuple(one for one in self if one.tags.issuperset(tags))

    def own_name(self, name: str) -> str:
        """What a tool is called where it comes from.

        Raises:
            UnknownTool: no tool has that name.
        """
        tool = self.get(name)
        return tool.own_name or tool.name

    def schemas(self) -> dict[str, JsonSchema]:
        """JSON Schema of each tool's arguments, by name, sorted. The first call loads the model SDK.

        Raises:
            InvalidTool: a tool's parameters have no schema.
        """
        return {one.name: one.input_schema for one in self}

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return (self._tools[name] for name in self.names)

    def __len__(self) -> int:
        return len(self._tools)


def _place(tool: Tool) -> str:
    function = tool.function
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__name__)}"
