"""Citations: texts cite sources as `[id]`; the answer numbers them `[1]`, `[2]` … in order of first mention."""

import re
from collections.abc import Mapping
from typing import Final

from tasks.models import Source

_ID: Final = r"[pt][0-9a-f]{10}(?:-[0-9]+)?"
"""Source ids as the knowledge tools (p…) and the table tools (t…) make them."""
_CITATION = re.compile(rf"(?<![ \t])[ \t]*\[(\s*{_ID}(?:\s*[,;]\s*{_ID})*\s*)\]")
"""Begins only where a run of blanks begins: from within one, a long run would be scanned again and again."""
_ONE = re.compile(_ID)
_LOOKALIKE = re.compile(r"\[(\d{1,4})\](?!\()")
"""A number in brackets that the writer made up, or copied: in the answer it would pass for one of ours."""


def cited(text: str) -> list[str]:
    """Ids that the text cites, in order of first mention."""
    return list(dict.fromkeys(one for group in _CITATION.findall(text) for one in _ONE.findall(group)))


def keep_known(text: str, known: Mapping[str, Source]) -> tuple[str, tuple[Source, ...]]:
    """The text without citations of sources that nobody was shown, and the sources it does cite."""

    def rewrite(match: re.Match[str]) -> str:
        kept = [one for one in _ONE.findall(match[1]) if one in known]
        return f" [{', '.join(kept)}]" if kept else ""

    clean = _CITATION.sub(rewrite, text)
    return clean, tuple(known[one] for one in cited(clean))


def number(text: str, known: Mapping[str, Source]) -> tuple[str, tuple[Source, ...]]:
    """The text with `[1]`, `[2]` for its citations, and the numbered sources in that order.

    Numbers in brackets that stood in the text before become `(1)`: only citations look like citations.
    """
    clean, sources = keep_known(_LOOKALIKE.sub(r"(\1)", text), known)
    numbers = {source.id: position for position, source in enumerate(sources, start=1)}

    def rewrite(match: re.Match[str]) -> str:
        return " " + "".join(f"[{numbers[one]}]" for one in _ONE.findall(match[1]))

    numbered = tuple(source.model_copy(update={"number": numbers[source.id]}) for source in sources)
    return _CITATION.sub(rewrite, clean), numbered
