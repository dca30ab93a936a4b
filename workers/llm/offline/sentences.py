"""Whole, readable sentences out of passages and findings: markup removed, code and grammar left out, citations kept."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from workers.agents.citations import cited

MIN_CHARS: Final = 32
MIN_POINTING_CHARS: Final = 40
"""Least of a sentence that begins by pointing at what stood before it: a short one says nothing without that."""
MAX_CHARS: Final = 320
MIN_WORDS: Final = 6
MIN_CJK_CHARS: Final = 12
MAX_TEXT: Final = 200_000
"""Longest text that is read; the rest is ignored."""
LONGEST_RAW: Final = 2_000
"""Longest sentence with markup that is looked at; bounds the work of the patterns below."""
MAX_TERM: Final = 60
BULLET: Final = "- "

_CITATION = r"\[\s*[pt][0-9a-f]{10}(?:-\d+)?(?:\s*[,;]\s*[pt][0-9a-f]{10}(?:-\d+)?)*\s*\]"
_CITATIONS = re.compile(rf" ?{_CITATION}")
_END = re.compile(
    rf"""(?:[.!?]{{1,4}}["'”’)\]]{{0,3}}(?=\s|$|\[)|[。！？]{{1,4}}[」』”]?)(?: ?{_CITATION}){{0,20}}[.]?"""
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|ca|approx|resp|incl|Dr|Mrs?|Ms|Prof|St|Fig|Figs|Eq|Sec|Nos?|Vol|al|Inc|Ltd|Co|Jr|Sr|"
    r"pp?|ed|eds|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|U\.S|U\.K)|\b[A-Z])\.$"
)
_FENCE = re.compile(r"^\s*(```|~~~)")
_RULE = re.compile(r"^\s*([=\-~^*#+_.`\"'])\1{2,}\s*$")
_TABLE = re.compile(r"^\s*(?:\||\+[-=+]{2,})")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s")
_ITEM = re.compile(r"^\s*(?:[-*+•‣]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+")
_DIRECTIVE = re.compile(r"^\s*(?:\.\.\s|:[\w-]+:(?:\s|$)|>>>|\.\.\.\s|\$\s|@\w|import\s|from\s\S+\simport)")
_CODE = re.compile(
    r"::=|[{};]\s*$|^\s*(?:def|class|return|if|for|while|elif|else)\b.*:\s*$|=>|</?\w+>|&\w+;|\w\(\)\s*="
)
_INLINE = (
    (re.compile(r"!?\[([^\]\[]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)"), r"\1"),
    (re.compile(r":[a-zA-Z:+-]+:`~?([^`<]*?)(?:\s*<[^`>]*>)?`"), r"`\1`"),
    (re.compile(r"``([^`]+)``"), r"`\1`"),
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),
    (re.compile(r"(?<![\w*])\*\*(?=[^\s*])([^*\n]{1,300}?)(?<=[^\s*])\*\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,200}?)(?<=[^\s*])\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=[^\s_])([^_\n]{1,200}?)(?<=[^\s_])_(?![\w_])"), r"\1"),
    (re.compile(r"\s*\[(?:\d{1,3}|\^[\w-]+|#[\w-]*)\]_?(?=[\s.,;:)]|$)"), ""),
    (re.compile(r"<(https?://[^<>\s]{1,200})>"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>]{0,200}>"), ""),
    (re.compile(r"\s*\((?:see|cf\.?)\s[^()]{1,100}\)"), ""),
)
_EMPHASISED_END = re.compile(r"(?<=[^\s*])([.!?])(\*{1,2})(?=\s)")
"""Emphasis that ends with a sentence; it would hide the end of the sentence."""
_BROKEN = re.compile(r"(?<=[a-z]-)\n(?=[a-z])(?!(?:and|or)\b)")
_POINTING = re.compile(
    r"(?:it|its|they|them|their|this|these|that|those|he|she|here|there|such|so|see|note)\b", re.IGNORECASE
)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, without markup and without its citations."""

    text: str
    citations: tuple[str, ...] = ()
    """Ids of the sources that it rests on."""
    origin: int = 0
    """Number of the text that it stood in."""
    position: int = 0
    """Place in that text, from 0."""
    follows: bool = False
    """Whether it stood right behind the sentence of the place before."""

    @property
    def cited_text(self) -> str:
        """The sentence and its citations."""
        return f"{self.text} [{', '.join(self.citations)}]" if self.citations else self.text


def sentences(text: str, *, origin: int = 0, citation: str | None = None) -> list[Sentence]:
    """Sentences worth quoting, in order.

    Args:
        citation: Source of the whole text, when the text itself cites none.

    Returns:
        Only whole sentences of 32 to 320 characters that read as prose; empty when there are none.
    """
    found: list[Sentence] = []
    for block in blocks(text):
        follows = False
        for raw in split(_EMPHASISED_END.sub(r"\2\1", block)):
            ids = tuple(cited(raw)) if len(raw) <= LONGEST_RAW else ()
            bare = tidy(_CITATIONS.sub("", raw)) if len(raw) <= LONGEST_RAW else ""
            if prose := is_prose(bare):
                kept = ids or ((citation,) if citation else ())
                found.append(Sentence(bare, kept, origin, len(found), follows=follows))
            follows = prose
    return found


def statements(text: str, *, origin: int = 0) -> list[Sentence]:
    """What a step found, one by one: each item of its lists as a whole, and the sentences of its prose."""
    found: list[Sentence] = []
    prose: list[str] = []
    for line in [*text[:MAX_TEXT].splitlines(), "- "]:
        if not line.startswith(BULLET):
            prose.append(line)
            continue
        found.extend(sentences("\n".join(prose)))
        prose = []
        bare = " ".join(_CITATIONS.sub("", line.removeprefix(BULLET)).split())
        if bare:
            found.append(Sentence(bare, tuple(cited(line))))
    return [replace(one, origin=origin, position=position) for position, one in enumerate(found)]


def blocks(text: str) -> Iterator[str]:
    """Paragraphs and list items, each on one line; without headings, code, grammar and tables."""
    held: list[str] = []
    fenced = literal = False
    indent = 0
    for raw in text[:MAX_TEXT].splitlines():
        line = " ".join(raw.split())
        fence = _FENCE.match(line) is not None
        underline = len(held) == 1 and _RULE.match(line) is not None
        fenced = fenced != fence
        literal = literal and (not line or raw[:1].isspace())
        skipped = fenced or fence or literal or _is_skipped(line)
        if (skipped or _ITEM.match(line)) and held:
            literal = literal or held[-1].endswith("::")
            if not underline:  # what was held is the heading above its underline
                yield _join(held)
            held = []
        if not skipped:
            deeper = len(raw) - len(raw.lstrip()) > indent + 1
            indent = len(raw) - len(raw.lstrip())
            if deeper and len(held) == 1 and len(held[0]) < MAX_TERM and held[0][-1:] not in ".!?:,;":
                held = []  # the term above its definition is a heading
            held.append(_ITEM.sub("", line))
    if held:
        yield _join(held)


def split(block: str) -> Iterator[str]:
    """Sentences of one line of prose, each with the citations that follow it."""
    start = 0
    for match in _END.finditer(block):
        before = block[max(start, match.start() - 11) : match.start() + 1]
        after = block[match.end() : match.end() + 2].lstrip()
        if _ABBREVIATION.search(before) or (after and (after[0].islower() or after[0] in ",;)")):
            continue
        yield block[start : match.end()].strip()
        start = match.end()
    rest = block[start:].strip()
    if rest:
        yield rest


def tidy(text: str) -> str:
    """The text without inline markup and double blanks."""
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def is_prose(text: str) -> bool:
    """Whether it is a whole sentence that can stand alone in an answer."""
    if _CJK.search(text):
        return MIN_CJK_CHARS <= len(text) <= MAX_CHARS and text[-1] in "。！？.!?」』”"
    if not MIN_CHARS <= len(text) <= MAX_CHARS or len(text.split()) < MIN_WORDS:
        return False
    if text[0].islower() or not (text[0].isalnum() or text[0] in "\"'“‘`(«¿¡_"):
        return False
    if text.rstrip("\"'”’)»`")[-1:] not in (".", "!", "?") or _CODE.search(text):
        return False
    if text.count("(") != text.count(")"):
        return False  # half of a remark in brackets
    if len(text) < MIN_POINTING_CHARS and _POINTING.match(text):
        return False
    letters = sum(character.isalpha() or character == " " for character in text)
    return letters >= 0.72 * len(text)  # below it: numbers, signatures and operators, not prose


def merge(left: Sentence, right: Sentence) -> Sentence:
    """The same sentence found twice: the first, with the citations of both."""
    return replace(left, citations=tuple(dict.fromkeys([*left.citations, *right.citations])))


def _join(lines: list[str]) -> str:
    """One line; a word that was broken at its hyphen is whole again."""
    return _BROKEN.sub("", "\n".join(lines)).replace("\n", " ")


def _is_skipped(line: str) -> bool:
    return (
        not line.strip()
        or any(pattern.match(line) is not None for pattern in (_FENCE, _RULE, _TABLE, _HEADING, _DIRECTIVE))
        or "::=" in line
    )
