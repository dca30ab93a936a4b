"""Knowledge bases as the API needs them. What reads them belongs to the workers' side, and is handed in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tasks.wire import Wire


class BaseStats(Wire):
    """How much a knowledge base holds."""

    name: str
    documents: int
    passages: int
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


class Skipped(Wire):
    """A file that was not taken, and why."""

    path: str
    reason: str


class Added(Wire):
    """What became of uploaded documents."""

    knowledge: str
    added: int
    updated: int
    unchanged: int
    skipped: tuple[Skipped, ...]
    documents: int
    """Of the whole base, after it."""
    passages: int


class Shelves(Protocol):
    """The knowledge bases of all tenants.

    Raises:
        UnknownKnowledge: there is no base of that name.
        ContractError: the name is none.
        TransientError: another process was writing it for long.
    """

    async def bases(self, tenant: str) -> list[BaseStats]:
        """All of a tenant, by name."""
        ...

    async def stats(self, tenant: str, name: str) -> BaseStats:
        """One of them."""
        ...

    async def search(self, tenant: str, name: str, query: str, k: int) -> list[PassageHit]:
        """Passages that fit some words, best first."""
        ...

    async def documents(self, tenant: str, name: str) -> list[Document]:
        """What is in it, by path."""
        ...

    async def add(self, tenant: str, name: str, files: Sequence[tuple[str, Path]]) -> Added:
        """Take uploaded files: what they are called, and where they stand now. A name that is there is replaced."""
        ...

    async def remove_document(self, tenant: str, name: str, path: str) -> bool:
        """Take one document out; False when it is not in."""
        ...

    async def remove(self, tenant: str, name: str) -> None:
        """Delete a base."""
        ...
