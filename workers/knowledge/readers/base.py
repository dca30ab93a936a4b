"""What a reader gets out of a file: blocks of text, each with its section and its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tasks.errors import BadDocument

MAX_HEADING_CHARS: Final = 200
"""Longest title or heading that is kept; the rest of a runaway one is cut."""


class Unusable(BadDocument):
    """This file gives no passages; the message is the reason, without the path."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table or piece of code: what a passage keeps together where it can."""

    lines: tuple[str, ...]
    numbers: tuple[int, ...] | None
    """Line in the file, or page, of each of `lines`, from 1; None when the format has neither."""
    headings: tuple[str, ...] = ()
    """Section headings above it, outermost first."""
    section: int = 0
    """Blocks with different numbers never share a passage."""
    code: bool = False
    """Cut at line ends only, and only when it is longer than a passage may be."""


@dataclass(frozen=True, slots=True)
class Extract:
    """The usable content of one file."""

    kind: str
    """markdown, text, html, pdf, word, json or csv."""
    title: str
    blocks: Sequence[Block]
    paged: bool = False
    """Whether the blocks' numbers are pages, not lines."""
    lines: Sequence[str] = ()
    """All lines of the file where passages are pieces of it; empty where the text was taken out of markup."""
    faults: Sequence[str] = ()
    """Parts that could not be read, in words."""


@dataclass(slots=True)
class Collector:
    """Gathers blocks under the headings that were met so far."""

    blocks: list[Block] = field(default_factory=list[Block])
    first_heading: str | None = None
    _open: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    _section: int = 0
    _bare: Block | None = None
    _bare_level: int = 0

    def heading(self, level: int, title: str, line: str, number: int | None = None) -> None:
        """Enter a section. A heading without any text below it becomes a block itself, so that it can be found."""
        clean = shorten(title)
        if not clean:
            return
        if level <= self._bare_level:
            self._keep_bare()
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, clean))
        self.first_heading = self.first_heading or clean
        self._section += 1
        self._bare = self._block((line.rstrip(),), None if number is None else (number,))
        self._bare_level = level

    def add(self, lines: Sequence[str], numbers: Sequence[int] | None = None, *, code: bool = False) -> None:
        """Take one block. One without any letter or digit is kept only within a text, so that the text is verbatim."""
        if any(character.isalnum() for line in lines for character in line):
            self._bare, self._bare_level = None, 0
        elif self._bare is not None or not self.blocks:
            return
        self.blocks.append(self._block(tuple(lines), None if numbers is None else tuple(numbers), code=code))

    def gap(self) -> None:
        """Text was left out here: no passage may reach across."""
        self._section += 1

    def finish(self) -> list[Block]:
        """All blocks, in the order of the document."""
        self._keep_bare()
        return self.blocks

    def _keep_bare(self) -> None:
        if self._bare is not None:
            self.blocks.append(self._bare)
        self._bare, self._bare_level = None, 0

    def _block(self, lines: tuple[str, ...], numbers: tuple[int, ...] | None, *, code: bool = False) -> Block:
        return Block(lines, numbers, tuple(title for _, title in self._open), self._section, code)


def shorten(text: str) -> str:
    """One line of at most MAX_HEADING_CHARS characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_HEADING_CHARS else line[: MAX_HEADING_CHARS - 1].rstrip() + "…"
