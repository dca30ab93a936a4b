"""Envelopes: how pieces of a prompt are told apart. What comes from tools, documents or other agents is data.

A piece is `<tag name="value">` … `</tag>`. Inside, anything that looks like one of our tags is defused, so content
cannot close its own envelope or open another.
"""

import re
from collections.abc import Mapping
from typing import Final

TAGS: Final = ("task", "step", "input", "agents", "tables", "knowledge", "faults", "note")
_MARKER = re.compile(rf"<(?=/?\s*(?:{'|'.join(TAGS)})\b)", re.IGNORECASE)
_PIECE = re.compile(rf"<({'|'.join(TAGS)})((?:\s[a-z_]+=\"[^\"]*\")*)>\n(.*?)\n</\1>", re.DOTALL)
_ATTRIBUTE = re.compile(r"\s([a-z_]+)=\"([^\"]*)\"")


def wrap(tag: str, content: str, attributes: Mapping[str, str] | None = None) -> str:
    """One piece of a prompt. `tag` is one of TAGS."""
    inside = "".join(f' {name}="{_plain(value)}"' for name, value in (attributes or {}).items())
    return f"<{tag}{inside}>\n{defuse(content)}\n</{tag}>"


def unwrap(prompt: str, tag: str) -> list[tuple[dict[str, str], str]]:
    """All pieces under `tag`, in order: attributes and content."""
    return [
        (dict(_ATTRIBUTE.findall(attributes)), content)
        for name, attributes, content in _PIECE.findall(prompt)
        if name == tag
    ]


def defuse(content: str) -> str:
    """The content with our own markers made harmless (`<task>` becomes `‹task>`)."""
    return _MARKER.sub("‹", content)


def _plain(value: str) -> str:
    return re.sub(r"[\"<>\s]+", " ", value).strip()
