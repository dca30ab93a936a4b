"""What agents are shown of a session: the newest messages whole, as far as there is room, older ones shortened. Pure.

By rules and not by a model: the same messages give the same text in every step and every attempt, and cost no call. The
originals stay in the store.
"""

import json
import re
from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from tasks.ids import JobId
from tasks.sessions import Message
from workers.llm.tokens import CHARS_PER_TOKEN

NEWEST: Final = 200
"""Messages that are looked at; older ones are not shown at all."""
WHOLE_SHARE: Final = 0.75
"""Part of the room that whole messages may take while there are older ones to shorten."""
MAX_ASKED: Final = 160
"""Characters that are left of a user's older message."""
MAX_ANSWERED: Final = 240
"""The same of other messages."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_CITATION = re.compile(r"\s*\[\d{1,4}\]")


def before(messages: Sequence[Message], job: JobId) -> list[Message]:
    """What was said before a job's own message, each answer behind what it answers.

    Messages of later jobs, which wait for their turn, are not among them, nor what was added while this one is running.
    """
    own = next((one.seq or 0 for one in messages if one.job == job and one.role == "user"), None)
    asked = {one.job: one.seq or 0 for one in messages if one.job is not None and one.role == "user"}

    def place(message: Message) -> tuple[int, int]:
        seq = message.seq or 0
        return (seq, 0) if message.role == "user" or message.job is None else (asked.get(message.job, seq), seq)

    return sorted((one for one in messages if one.job != job and (own is None or place(one)[0] < own)), key=place)


def remembered(messages: Sequence[Message], tokens: int) -> dict[str, JsonValue]:
    """The messages, oldest first, within so many tokens (estimated): `earlier`, shortened, then `messages`, whole.

    Both are there only where there is something in them. A newest message that is too long by itself is cut.
    """
    said = [one for one in messages if one.text.strip()]
    room = max(tokens, 1) * CHARS_PER_TOKEN
    whole: list[JsonValue] = []
    room_whole = int(room * WHOLE_SHARE) if sum(map(_size, said)) > room else room
    left, at = room_whole, len(said)
    while at > 0 and (_size(said[at - 1]) <= left or not whole):
        at -= 1
        left -= _size(said[at])
        whole.insert(0, {"role": said[at].role, "text": _cut(said[at].text, room_whole)})
    earlier = _earlier(said[:at], room - room_whole)
    found: dict[str, JsonValue] = {"earlier": earlier} if earlier else {}
    return {**found, "messages": whole} if whole else found


def talk(messages: Sequence[Message], tokens: int) -> str:
    """The conversation as agents are shown it; nothing when nothing was said."""
    return json.dumps(remembered(messages, tokens), ensure_ascii=False) if messages else ""


def _earlier(messages: Sequence[Message], room: int) -> list[JsonValue]:
    """Older messages in a line each, as many as there is room for; the first line says how many there are no more."""
    lines: list[JsonValue] = []
    for at in range(len(messages) - 1, -1, -1):
        line = f"{messages[at].role}: {_short(messages[at])}"
        if len(line) > room:
            lines.insert(0, f"({at + 1} messages before these are left out)")
            break
        room -= len(line)
        lines.insert(0, line)
    return lines


def _short(message: Message) -> str:
    most = MAX_ASKED if message.role == "user" else MAX_ANSWERED
    text = _CITATION.sub("", message.text.strip())
    first = next((part for part in _SENTENCE.split(text) if not part.lstrip().startswith(("#", "*"))), text)
    return _cut(" ".join(first.split()), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 0)]}…"


def _size(message: Message) -> int:
    return len(message.text)
