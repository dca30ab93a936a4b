"""Markdown: ATX and underlined headings, fenced code, front matter (https://spec.commonmark.org)."""

import re
from typing import Final

from workers.knowledge.readers.base import Collector, Extract, shorten

_ATX: Final = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_ATX_END: Final = re.compile(r"(?:^|[ \t])#+$")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE: Final = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})")
_NO_TITLE: Final = re.compile(r"\s*([|>*+-]|\d+[.)]\s)")
"""Starts of lists, quotes and tables: a line of dashes below them does not make them a heading."""
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ANCHOR: Final = re.compile(r"\s*\{#[^}]*\}\s*$")
_YAML_KEY: Final = re.compile(r"[\w-]+\s*:")
_YAML_TITLE: Final = re.compile(r"title\s*:\s*(.+)", re.IGNORECASE)
_MAX_HEADING_LINE: Final = 1000
"""What follows in a heading line is not looked at."""
_MAX_FRONT_MATTER_LINES: Final = 200


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.found = Collector()
        self.start = 0
        """Index of the first line of the open paragraph."""

    def read(self, first: int) -> None:
        at = self.start = first
        while at < len(self.lines):
            at = self._step(at)
        self._close(at)

    def _step(self, at: int) -> int:
        line = self.lines[at]
        if not line.strip():
            self._close(at)
            self.start = at + 1
        elif fence := _FENCE.match(line):
            return self._code(at, fence[1])
        elif (heading := _ATX.match(line)) and _plain(line[heading.end() :]):  # a bare # is text, and stays in it
            self._close(at)
            self.found.heading(len(heading[1]), _plain(line[heading.end() :]), line, at + 1)
            self.start = at + 1
        elif (underline := _UNDERLINE.fullmatch(line)) and self._may_be_title(at):
            title = self.lines[at - 1]
            self.found.heading(1 if underline[1][0] == "=" else 2, _plain(title), title, at)
            self.start = at + 1
        return at + 1

    def _may_be_title(self, at: int) -> bool:
        title = self.lines[at - 1]
        return self.start == at - 1 and not _NO_TITLE.match(title) and bool(_plain(title))

    def _code(self, at: int, mark: str) -> int:
        self._close(at)
        closing = re.compile(rf"\s*{re.escape(mark[0])}{{{len(mark)},}}\s*")
        end = at + 1
        while end < len(self.lines) and not closing.fullmatch(self.lines[end]):
            end += 1
        end = min(end + 1, len(self.lines))
        self.found.add(self.lines[at:end], range(at + 1, end + 1), code=True)
        self.start = end
        return end

    def _close(self, at: int) -> None:
        if self.start < at:
            self.found.add(self.lines[self.start : at], range(self.start + 1, at + 1))


def read_markdown(lines: list[str], name: str) -> Extract:
    """Blocks of a Markdown file; its title is the front matter's, the first heading, or the file's name."""
    first, title = _front_matter(lines)
    reader = _Reader(lines)
    reader.read(first)
    return Extract("markdown", title or reader.found.first_heading or name, reader.found.finish())


def _front_matter(lines: list[str]) -> tuple[int, str | None]:
    """Index of the first line after the YAML block at the top, and the title in it."""
    if lines[0].rstrip() != "---" or len(lines) < 2 or not _YAML_KEY.match(lines[1]):
        return 0, None
    title: str | None = None
    for at, line in enumerate(lines[1:_MAX_FRONT_MATTER_LINES], start=1):
        if line.rstrip() in ("---", "..."):
            return at + 1, title
        if match := _YAML_TITLE.fullmatch(line):
            title = shorten(match[1].strip().strip("\"'"))
    return 0, None


def _plain(heading: str) -> str:
    """The words of a heading, without closing marks, links, anchors and emphasis."""
    heading = _ATX_END.sub("", heading[:_MAX_HEADING_LINE].strip())
    text = _LINK.sub(r"\1", _ANCHOR.sub("", heading))
    return text.replace("**", "").replace("`", "")
