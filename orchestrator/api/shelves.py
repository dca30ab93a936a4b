"""Knowledge bases as the API needs them. What reads them belongs to the workers' side, and is handed in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tasks.errors import StoreUnavailable
from tasks.knowledge import Added, BaseStats, Document, PassageHit


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
        """Delete a base, with the documents that were uploaded to it."""
        ...

    def sent_to(self, tenant: str, name: str) -> Path:
        """The folder of the documents that were sent to a base, under their names.

        Raises:
            ContractError: the name is none.
        """
        ...

    def folders(self, tenant: str) -> list[Path]:
        """Where all that belongs to a tenant's bases stands."""
        ...

    async def take_file(self, folder: Path, name: str, source: Path) -> Path:
        """Copy a data file that was sent into a folder, which is made; where it stands then.

        Raises:
            BadTable: it is none, or its name says so.
        """
        ...


def shelves_of(shelves: Shelves | None) -> Shelves:
    """What this process was handed.

    Raises:
        StoreUnavailable: nothing.
    """
    if shelves is None:
        raise StoreUnavailable("this process reads no knowledge bases, and takes no files; another one may")
    return shelves
