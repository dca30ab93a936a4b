"""Knowledge bases as the doors show them: how much they hold, what was found, what became of what was sent."""

from collections.abc import Sequence
from typing import Final

from tasks.errors import BadDocument, ContractError, UnknownKnowledge
from tasks.ids import NAME
from tasks.wire import Wire

SAME_CONTENT: Final = "same content as "
"""Why a document is skipped that another one is equal to; behind it, that one."""


class NothingUsable(BadDocument):
    """Of several documents none can be used; `faults` has each of them with its reason."""

    def __init__(self, message: str, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class BaseStats(Wire):
    """How much a knowledge base holds."""

    name: str
    documents: int
    passages: int
    bytes: int
    """Of the documents themselves."""
    index_bytes: int
    kinds: dict[str, int]
    """Documents of each kind, as pdf."""


class PassageHit(Wire):
    """A passage that fits a query."""

    id: str
    """Key that answers cite it by."""
    score: float
    title: str
    path: str
    heading: str | None = None
    line_start: int | None = None
    line_end: int | None = None
    page_start: int | None = None
    page_end: int | None = None
    text: str


class Document(Wire):
    """One document of a knowledge base."""

    path: str
    title: str
    kind: str
    passages: int
    digest: str
    """SHA-256 of the content that is searched, in hex; empty where that is in doubt, so that it is worth sending."""


class Skipped(Wire):
    """A file that was not taken, and why."""

    path: str
    reason: str


class Added(Wire):
    """What became of documents that were to be added."""

    knowledge: str
    added: int
    updated: int
    unchanged: int
    removed: int
    """Documents that were in the base, and cannot be used any more."""
    skipped: tuple[Skipped, ...]
    documents: int
    """Of the whole base, after it."""
    passages: int


def base_name(text: str) -> str:
    """The name of a knowledge base, checked: it becomes a folder's, and part of an address.

    Raises:
        ContractError: it is none.
    """
    if NAME.fullmatch(text) is None:
        raise ContractError(
            f"{text!r} cannot name a knowledge base: lower-case letters, digits, - and _, at most 48, a letter first"
        )
    return text


def unknown_base(name: str, known: Sequence[str]) -> UnknownKnowledge:
    """What is told of a base that does not exist, with those that do."""
    rest = f"there are: {', '.join(known)}" if known else "there is none yet"
    return UnknownKnowledge(f"no knowledge base {name!r}; {rest} (`troupe kb add PATH --kb {name}` makes one)")
