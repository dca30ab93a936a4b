"""What the steps of a job say to each other: messages on one board, numbered from 1 without gaps."""

import json
from typing import Final

from pydantic import AwareDatetime, JsonValue

from tasks.ids import JobId
from tasks.wire import Wire

MAX_MESSAGE_BYTES: Final = 16 * 1024
"""Largest message, as JSON."""
MAX_KEPT: Final = 1_000
"""Messages of a job that are kept; the oldest go first."""
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of all that are kept."""
MAX_CALLS: Final = 10_000
"""Posts and reads of one step."""
EXCERPT_CHARS: Final = 200
"""How much of a message its event shows."""


class AgentMessage(Wire):
    """One message of a step to others."""

    number: int
    at: AwareDatetime
    """Redis' clock when it was posted."""
    step: str
    """Who says it."""
    agent: str
    attempt: int
    to: str | None = None
    """Agent or step that it is for; None: all."""
    content: JsonValue
    """Text, or whatever JSON the sender's code made of it."""

    @property
    def text(self) -> str:
        """The content for people and models: text as it is, all else as JSON."""
        return text_of(self.content)


class Mail(Wire):
    """What a step has been told since a number."""

    messages: tuple[AgentMessage, ...] = ()
    """For all, for its agent or for itself; its own are not among them."""
    cursor: int = 0
    """How far it has read: `since` of the next read."""
    missed: int = 0
    """Messages of the job up to there, for whomever, that were dropped before they could be read."""


class Board(Wire):
    """The messages of a job, whomever they are for."""

    job_id: JobId
    messages: tuple[AgentMessage, ...] = ()
    newest: int = 0
    """Number of the newest."""
    dropped: int = 0
    """How many of the oldest are kept no more."""


def text_of(content: JsonValue) -> str:
    """A message's content as text."""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
