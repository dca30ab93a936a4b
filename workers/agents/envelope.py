"""Envelopes: how pieces of a prompt are told apart. What comes from tools, documents or other agents is data.

A piece is `<tag name="value">` … `</tag>`: its attributes say where the content comes from. Inside, anything that looks
like one of our tags is defused (`markers`), so content cannot close its own envelope or open another.
"""

import re
from collections.abc import Mapping
from typing import Final

from workers.agents.markers import TAGS, clean, defuse

__all__ = ["TAGS", "cut", "defuse", "enclose", "unwrap", "wrap"]

MAX_ATTRIBUTE_CHARS: Final = 300
_OPENING = re.compile(rf"<({'|'.join(TAGS)})((?:\s[a-z_]+=\"[^\"]*\")*)>\n")
_ATTRIBUTE = re.compile(r"\s([a-z_]+)=\"([^\"]*)\"")


def wrap(tag: str, content: str, attributes: Mapping[str, str] | None = None) -> str:
    """One piece of a prompt. `tag` is one of TAGS."""
    return enclose(tag, defuse(content), attributes)


def enclose(tag: str, content: str, attributes: Mapping[str, str] | None = None) -> str:
    """As `wrap`, around content that was defused before, or is made of pieces."""
    inside = "".join(f' {name}="{_plain(value)}"' for name, value in (attributes or {}).items())
    return f"<{tag}{inside}>\n{content}\n</{tag}>"


def cut(content: str, most: int) -> str:
    """The content within so many characters; one that is cut says so."""
    if len(content) <= most:
        return content
    said = f"… (cut: this is the beginning of {len(content)} characters)"
    return content[: max(most - len(said), 0)] + said


def unwrap(prompt: str, tag: str) -> list[tuple[dict[str, str], str]]:
    """All pieces under `tag`, in order: attributes and content. An opening that nothing closes is text."""
    found: list[tuple[dict[str, str], str]] = []
    unclosed: set[str] = set()
    at = 0
    while (opened := _OPENING.search(prompt, at)) is not None:
        name, start = opened[1], opened.end()
        # looked for once per tag when there is none: else every further opening would read the rest of the prompt
        end = -1 if name in unclosed else prompt.find(f"\n</{name}>", start)
        if end < 0:
            unclosed.add(name)
            at = opened.start() + 1
            continue
        if name == tag:
            found.append((dict(_ATTRIBUTE.findall(opened[2])), prompt[start:end]))
        at = end + len(f"\n</{name}>")
    return found


def _plain(value: str) -> str:
    return re.sub(r"[\"<>\s]+", " ", clean(value)).strip()[:MAX_ATTRIBUTE_CHARS]
