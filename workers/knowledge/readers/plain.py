"""Plain text and reStructuredText: paragraphs, underlined titles, indented literal blocks.

Title levels go by the order in which their styles appear
(https://docutils.sourceforge.io/docs/ref/rst/restructuredtext.html#sections).
"""

import re
from typing import Final

from workers.knowledge.readers.base import Collector, Extract

_RULE: Final = re.compile(r"([=\-~^\"'#*+.:_`])\1{2,}[ \t]*")
_LITERAL: Final = re.compile(r"\s*\.\. (code|code-block|sourcecode)::")


def read_plain(lines: list[str], name: str) -> Extract:
    """Blocks of a text file; its title is the first underlined heading, or the file's name."""
    found = Collector()
    styles: list[tuple[str, bool]] = []
    at = 0
    while at < len(lines):
        if title := _title_at(lines, at):
            end, text_at, style = title
            if style not in styles:
                styles.append(style)
            found.heading(styles.index(style) + 1, lines[text_at], lines[text_at], text_at + 1)
        elif lines[at].strip():
            end = _paragraph_end(lines, at)
            found.add(lines[at:end], range(at + 1, end + 1))
            if lines[end - 1].rstrip().endswith("::") or _LITERAL.match(lines[at]):
                end = _literal(lines, at, end, found)
        else:
            end = at + 1
        at = end
    return Extract("text", found.first_heading or name, found.finish())


def _title_at(lines: list[str], at: int) -> tuple[int, int, tuple[str, bool]] | None:
    """The line after a title that starts here, the line of its text, and its style: character and whether overlined."""
    if _is_rule(lines, at) and _underlines(lines, at + 2, at + 1) and lines[at].rstrip() == lines[at + 2].rstrip():
        return at + 3, at + 1, (lines[at][0], True)
    if _underlines(lines, at + 1, at) and not _is_rule(lines, at) and not lines[at][0].isspace():
        return at + 2, at, (lines[at + 1][0], False)
    return None


def _is_rule(lines: list[str], at: int) -> bool:
    return at < len(lines) and _RULE.fullmatch(lines[at]) is not None


def _underlines(lines: list[str], rule: int, title: int) -> bool:
    return (
        _is_rule(lines, rule) and bool(lines[title].strip()) and len(lines[rule].rstrip()) >= len(lines[title].strip())
    )


def _paragraph_end(lines: list[str], at: int) -> int:
    end = at + 1
    while end < len(lines) and lines[end].strip():
        end += 1
    return end


def _literal(lines: list[str], start: int, at: int, found: Collector) -> int:
    """Take the indented lines from `at` on, blank ones between them included, as code."""
    margin = _indent(lines[start])
    first = end = at
    while at < len(lines) and (not lines[at].strip() or _indent(lines[at]) > margin):
        at += 1
        if lines[at - 1].strip():
            end = at
    while first < end and not lines[first].strip():
        first += 1
    if first < end:
        found.add(lines[first:end], range(first + 1, end + 1), code=True)
    return end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
