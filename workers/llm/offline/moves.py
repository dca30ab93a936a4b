"""What a policy decides to do next: call tools, or answer."""

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call."""

    tool: str
    arguments: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Calls:
    """Tool calls to make at the same time; never empty."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of the conversation."""

    text: str


Move = Calls | Answer
