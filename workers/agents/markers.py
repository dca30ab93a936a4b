"""Markers in foreign text: what looks like one of our tags, or like the turn of another speaker, is made harmless.

A model reads more than a parser does. So a marker counts in every spelling that can be taken for it: with blanks,
control or invisible characters in between, in full-width or look-alike letters, as an entity or an escape.
"""

import re
import unicodedata
from typing import Final

TAGS: Final = (
    "task", "step", "input", "message", "agents", "tables", "knowledge", "conversation", "faults", "options",
    "note", "result",
)  # fmt: skip
"""Our envelopes."""
SPEAKERS: Final = (
    "system", "assistant", "human", "developer", "im_start", "im_end", "tool_use",
    "tool_result", "tool_call", "function_calls", "function_results", "invoke", "antml", "thinking",
)  # fmt: skip
"""What chat templates and tool protocols mark turns with. None of it means anything here; a model may think it does."""
HARMLESS: Final = "‹"

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e0fff"
)
_HIDDEN = re.compile(
    # Controls but tab and line ends; what turns the direction of text around; tag characters, which nobody sees.
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
_OPENER = re.compile(
    r"[<\uff1c\ufe64]|&lt;?|&#0*60;?|&#x0*3c;?|\\u003c|\\x3c|%3c",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"[\s/\\|" + _INVISIBLE + r"]*(?:(?:%2f|&#0*47;?|&#x0*2f;?|&sol;)[\s/\\|" + _INVISIBLE + "]*)?", re.I
)
_BETWEEN = re.compile("[\u0300-\u036f" + _INVISIBLE + "]*")
_LONGEST = max(map(len, (*TAGS, *SPEAKERS))) + 1
_NAMED = re.compile(rf"(?:{'|'.join(sorted((*TAGS, *SPEAKERS), key=len, reverse=True))})(?![a-z0-9_])")
_SHAPES: Final = {
    "a": "\u0430\u0251\u03b1",
    "b": "\u0432",
    "c": "\u0441\u03f2",
    "d": "\u0501",
    "e": "\u0435\u0454\u03b5\u04bd",
    "g": "\u0261",
    "i": "\u0456\u03b9\u0131",
    "k": "\u043a\u03ba",
    "l": "\u04cf",
    "m": "\u0574\u043c",
    "n": "\u043f\u03b7\u0578",
    "o": "\u043e\u03bf\u03c3",
    "p": "\u0440\u03c1",
    "s": "\u0455",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u057d",
    "v": "\u03bd\u0475",
    "w": "\u051d\u0461",
    "y": "\u028f\u0443\u03b3",
}
"""Letters of other scripts, by the Latin one that they look like."""
_LIKE: Final = {ord(one): latin for latin, ones in _SHAPES.items() for one in ones}


def clean(content: str) -> str:
    """The content without characters that nobody is meant to see, or that show text in another order than it has."""
    return _HIDDEN.sub("", content)


def defuse(content: str) -> str:
    """The content without hidden characters, and with markers made harmless: `<task>` becomes `‹task>`.

    Takes linear time. Doing it twice changes nothing more.
    """
    content = clean(content)
    return _OPENER.sub(lambda found: HARMLESS if _is_marker(content, found.end()) else found[0], content)


def _is_marker(content: str, at: int) -> bool:
    """Whether the name of a marker stands at this place, behind its opening bracket."""
    skipped = _BEFORE.match(content, at)
    at = skipped.end() if skipped else at
    name = ""
    while at < len(content) and len(name) < _LONGEST:
        letter = _plain(content[at])
        if not letter:
            break
        name += letter
        gap = _BETWEEN.match(content, at + 1)
        at = gap.end() if gap else at + 1
    return _NAMED.match(name) is not None


def _plain(character: str) -> str:
    """The Latin letter, digit or _ that it looks like; nothing for any other."""
    if character.isascii():
        return character.lower() if character.isalnum() or character == "_" else ""
    bare = unicodedata.normalize("NFKD", character).casefold().translate(_LIKE)
    return "".join(one for one in bare if one.isascii() and (one.isalnum() or one == "_"))
