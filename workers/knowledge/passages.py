"""Blocks to passages: pieces of 120 to 220 words that a model can read and an answer can cite.

A passage never crosses a heading. Paragraphs and code stay whole where they fit; a longer one is cut at the end of a
sentence, or of a line for code.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import accumulate, groupby
from typing import Final

from tasks.models import Source
from workers.knowledge.readers import Block, Extract

MAX_WORDS: Final = 220
"""Paragraphs are gathered up to this length, so that most passages have 120 words or more."""
FEW_WORDS: Final = 60
MAX_LONG_WORDS: Final = 280
"""So long may a passage become rather than leave fewer than FEW_WORDS alone."""
MAX_CHARS: Final = 2000
"""`Source.text` holds no more."""

_WORD: Final = re.compile(r"\S+")
_SENTENCE_END: Final = re.compile(r"""[.!?…]["'”’)\]]*(?=\s)|[。！？]|\n(?=\s*(?:[-*+|]|\d+[.)])\s)""")
_LINE_END: Final = re.compile(r"\n")
_BLANK: Final = re.compile(r"\s")
_COMMA: Final = re.compile(r"[,;]")
_PROSE_CUTS: Final = (_SENTENCE_END, _LINE_END, _BLANK, _COMMA)
_CODE_CUTS: Final = (_LINE_END, _SENTENCE_END, _BLANK, _COMMA)


@dataclass(frozen=True)
class _Text:
    """A block as one string, with the places of its characters."""

    block: Block

    @cached_property
    def text(self) -> str:
        return "\n".join(self.block.lines)

    @cached_property
    def starts(self) -> list[int]:
        return [0, *accumulate(len(line) + 1 for line in self.block.lines)]

    def place(self, offset: int) -> tuple[int, int]:
        """Which of the block's lines a character stands in, and at which column, both from 0."""
        row = bisect_right(self.starts, offset) - 1
        return row, offset - self.starts[row]

    def number_at(self, offset: int) -> int | None:
        return None if self.block.numbers is None else self.block.numbers[self.place(offset)[0]]


@dataclass(frozen=True)
class _Span:
    """Part of a block."""

    text: _Text
    start: int
    end: int

    @cached_property
    def content(self) -> str:
        return self.text.text[self.start : self.end]

    @cached_property
    def words(self) -> int:
        return len(_WORD.findall(self.content))


def passages(extract: Extract, path: str, digest: str, knowledge: str) -> Iterator[Source]:
    """Passages of one file, in reading order; the number in their ids counts from 0.

    Args:
        path: Absolute path of the file.
        digest: SHA-256 of its content, in hex: other content, other ids.
        knowledge: Knowledge base that they go to.
    """
    key = document_key(path, digest)
    ordinal = 0
    for _, section in groupby(extract.blocks, key=lambda block: block.section):
        for spans in _pack(section, extract.lines):
            source = _source(spans, extract, f"{key}-{ordinal}", path, knowledge)
            if any(character.isalnum() for character in source.text):
                yield source
                ordinal += 1


def document_key(path: str, digest: str) -> str:
    """First part of the ids of a file's passages."""
    return "p" + sha256(f"{path}\0{digest}".encode()).hexdigest()[:10]


def _source(spans: Sequence[_Span], extract: Extract, identifier: str, path: str, knowledge: str) -> Source:
    first, last = spans[0], spans[-1]
    start = first.text.number_at(first.start)
    end = last.text.number_at(last.end - 1)
    paged = extract.paged
    return Source(
        id=identifier,
        title=extract.title,
        path=path,
        heading=" › ".join(first.text.block.headings) or None,
        line_start=None if paged else start,
        line_end=None if paged else end,
        page_start=start if paged else None,
        page_end=end if paged else None,
        text=_join(spans, extract.lines),
        knowledge=knowledge,
    )


def _join(spans: Sequence[_Span], lines: Sequence[str]) -> str:
    """The text of the spans: the piece of the file that they span, where they are pieces of one.

    Otherwise two of one block are one piece of it, whatever stands between them, and blocks are paragraphs.
    """
    first, last = spans[0].text, spans[-1].text
    if lines and first.block.numbers is not None and last.block.numbers is not None:
        (top, left), (bottom, right) = first.place(spans[0].start), last.place(spans[-1].end - 1)
        rows = lines[first.block.numbers[top] - 1 : last.block.numbers[bottom]]
        dropped = len(rows[-1]) - right - 1
        text = "\n".join(rows)
        return text[left : len(text) - dropped]
    parts: list[str] = []
    for _, group in groupby(spans, key=lambda span: id(span.text)):
        run = list(group)
        parts.append(run[0].text.text[run[0].start : run[-1].end])
    return "\n\n".join(parts)


def _pack(blocks: Iterator[Block], lines: Sequence[str]) -> Iterator[list[_Span]]:
    """Spans of one section, gathered into passages."""
    done: list[list[_Span]] = []
    current: list[_Span] = []
    for span in (span for block in blocks for span in _cut(_Text(block))):
        most = MAX_LONG_WORDS if _words(current) < FEW_WORDS else MAX_WORDS
        if current and not _fits([*current, span], lines, most):
            done.append(current)
            current = []
        current.append(span)
        if len(done) > 1:
            yield done.pop(0)
    if done and _words(current) < FEW_WORDS and _fits([*done[-1], *current], lines, MAX_LONG_WORDS):
        done[-1].extend(current)
    elif current:
        done.append(current)
    yield from done


def _fits(spans: Sequence[_Span], lines: Sequence[str], max_words: int) -> bool:
    return _words(spans) <= max_words and len(_join(spans, lines)) <= MAX_CHARS


def _words(spans: Sequence[_Span]) -> int:
    return sum(span.words for span in spans)


def _cut(text: _Text) -> Iterator[_Span]:
    """The block as it is if it fits a passage, otherwise in pieces that do."""
    start, end = _trim(text, 0, len(text.text))
    while start < end:
        stop = _stop(text, start, end)
        cut = stop if stop == end else _best_cut(text, start, stop)
        first, last = _trim(text, start, cut)
        if first < last:
            yield _Span(text, first, last)
        start = cut


def _trim(text: _Text, start: int, end: int) -> tuple[int, int]:
    """The range without blanks at its ends; its first line keeps its indentation."""
    content = text.text[start:end]
    first = start + len(content) - len(content.lstrip())
    if first < end:
        row, column = text.place(first)
        first = first - column if text.starts[row] >= start else first
    return first, max(first, start + len(content.rstrip()))


def _stop(text: _Text, start: int, end: int) -> int:
    """The furthest end of a piece that begins at `start`."""
    limit = min(end, start + MAX_CHARS)
    if text.block.code:
        return limit
    words = _WORD.finditer(text.text, start, limit)
    for count, word in enumerate(words, start=1):
        if count > MAX_WORDS:
            return word.start()
    return limit


def _best_cut(text: _Text, start: int, stop: int) -> int:
    """Where to end a piece: the last good place in its last two thirds; best is a sentence's end, then a line's."""
    enough = start + (stop - start) // 3
    places = _CODE_CUTS if text.block.code else _PROSE_CUTS
    for place in places:
        cuts = [match.end() for match in place.finditer(text.text, enough, stop + 1) if enough < match.end() <= stop]
        if cuts:
            return cuts[-1]
    return stop
