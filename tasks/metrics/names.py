"""Values of labels, kept to a number: models make up names of tools, and each value is a series for ever."""

from typing import Final

MAX_NAMES: Final = 200
OTHER: Final = "(other)"


class Names:
    """Values of a label: the first ones by name, all others as one."""

    def __init__(self, most: int = MAX_NAMES) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, name: str) -> str:
        """The value that stands for a name."""
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(name)
        return name
