"""Texts that try to be more than data, and what a prompt must look like whatever of them stands in it."""

import html
import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workers.agents.markers import TAGS, clean, defuse

_TAG = "|".join(TAGS)
_OPENING = re.compile(rf"<({_TAG})((?: [a-z_]+=\"[^\"<>\n]*\")*)>")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_READ = re.compile(rf"<\s*/?\s*(?:{_TAG})\b", re.IGNORECASE)
_ATTRIBUTE = re.compile(r" ([a-z_]+)=\"([^\"]*)\"")


@dataclass(frozen=True)
class Injection:
    """One text, under the name of what it tries."""

    name: str
    text: str


def _read() -> list[Injection]:
    rows = json.loads((Path(__file__).parent / "data" / "injections.json").read_text(encoding="utf-8"))
    return [Injection(row["name"], row["text"] * row.get("times", 1)) for row in rows]


INJECTIONS: Final = _read()


@dataclass(frozen=True)
class Piece:
    """One envelope of a prompt."""

    tag: str
    attributes: dict[str, str]
    content: str


def _seen(content: str) -> bool:
    """Whether a reader who sees no invisible characters and reads entities sees a marker."""
    plain = unicodedata.normalize("NFKC", html.unescape(_UNSEEN.sub("", content)))
    return _READ.search(plain) is not None


def pieces(prompt: str) -> list[Piece]:
    """All envelopes of a prompt, read line by line: whatever stands outside of one, or looks like a marker inside of
    one, is an error.

    Raises:
        AssertionError: it is not made of envelopes and nothing else.
    """
    found: list[Piece] = []
    inside: list[str] | None = None
    opened = ("", "")
    for line in prompt.split("\n"):
        if inside is None:
            match = _OPENING.fullmatch(line)
            assert match is not None or line == "", f"outside of every envelope: {line[:80]!r}"
            if match is not None:
                inside, opened = [], (match[1], match[2])
        elif line == f"</{opened[0]}>":
            content = "\n".join(inside)
            assert defuse(content) == content, f"a marker inside of {opened[0]}"
            assert clean(content) == content, f"a hidden character inside of {opened[0]}"
            assert not _seen(content), f"what reads like a marker inside of {opened[0]}"
            found.append(Piece(opened[0], dict(_ATTRIBUTE.findall(opened[1])), content))
            inside = None
        else:
            inside.append(line)
    assert inside is None, f"{opened[0]} is never closed"
    return found
