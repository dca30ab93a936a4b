"""Knowledge bases and files of all tenants, for the API: what blocks is done in threads."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tasks.errors import UnknownKnowledge
from tasks.knowledge import Added, BaseStats, Document, PassageHit
from tasks.settings import read_settings
from tasks.tenancy import tenant_home
from workers.cli.bases import added_of, hit_of, stats_of
from workers.knowledge import shelf
from workers.knowledge.index import KnowledgeBase
from workers.knowledge.settings import KnowledgeSettings
from workers.knowledge.upload import take_file, take_uploads
from workers.knowledge.writer import writing


def shelves() -> "DiskShelves":
    """Those of this machine: below TROUPE_HOME."""
    return DiskShelves(read_settings(KnowledgeSettings))


@dataclass(frozen=True, slots=True)
class DiskShelves:
    """Knowledge bases on disk, each tenant's in a folder of its own. Documents that were uploaded go by their names,
    others by their paths."""

    settings: KnowledgeSettings

    async def bases(self, tenant: str) -> list[BaseStats]:
        """All of a tenant, by name."""
        home = self._home(tenant)

        def read() -> list[BaseStats]:
            found: list[BaseStats] = []
            for name in shelf.names(home):
                try:
                    found.append(stats_of(KnowledgeBase.open(name, home)))
                except UnknownKnowledge:  # removed at this moment
                    continue
            return found

        return await asyncio.to_thread(read)

    async def stats(self, tenant: str, name: str) -> BaseStats:
        """One of them."""
        return await asyncio.to_thread(lambda: stats_of(self._open(tenant, name)))

    async def search(self, tenant: str, name: str, query: str, k: int) -> list[PassageHit]:
        """Passages that fit some words, best first."""
        place = shelf.uploads(name, self._home(tenant))
        hits = await asyncio.to_thread(lambda: self._open(tenant, name).search(query, k))
        return [hit_of(one, _shown(one.source.path, place)) for one in hits]

    async def documents(self, tenant: str, name: str) -> list[Document]:
        """What is in it, by path."""
        place = shelf.uploads(name, self._home(tenant))
        found = await asyncio.to_thread(lambda: self._open(tenant, name).documents())
        shown = [
            Document(
                path=_shown(one.path, place),
                title=one.title,
                kind=one.kind,
                passages=one.passages,
                digest=one.digest,
            )
            for one in found
        ]
        return sorted(shown, key=lambda one: one.path)

    async def add(self, tenant: str, name: str, files: Sequence[tuple[str, Path]]) -> Added:
        """Take uploaded files: what they are called, and where they stand now. A name that is there is replaced."""
        home = self._home(tenant)
        report = await asyncio.to_thread(take_uploads, home, name, files, self.settings)
        return added_of(report)

    async def remove_document(self, tenant: str, name: str, path: str) -> bool:
        """Take one document out; False when it is not in."""
        return await asyncio.to_thread(self._remove_document, tenant, name, path)

    async def remove(self, tenant: str, name: str) -> None:
        """Delete a base, with the documents that were uploaded to it."""
        await asyncio.to_thread(shelf.remove, name, self._home(tenant), wait=self._wait)

    def sent_to(self, tenant: str, name: str) -> Path:
        """The folder of the documents that were sent to a base, under their names."""
        return shelf.uploads(name, self._home(tenant))

    def folders(self, tenant: str) -> list[Path]:
        """Where all that belongs to a tenant's bases stands."""
        return shelf.folders(self._home(tenant))

    async def take_file(self, folder: Path, name: str, source: Path) -> Path:
        """Copy a data file that was sent into a folder, which is made; where it stands then."""
        return await asyncio.to_thread(take_file, folder, name, source)

    @property
    def _wait(self) -> timedelta:
        return timedelta(seconds=self.settings.knowledge_wait_s)

    def _home(self, tenant: str) -> Path:
        return tenant_home(self.settings.home, tenant)

    def _open(self, tenant: str, name: str) -> KnowledgeBase:
        home = self._home(tenant)
        if not shelf.exists(name, home):  # what the command line says of it is for who has one
            raise UnknownKnowledge(f"there is no knowledge base {name!r}")
        return KnowledgeBase.open(name, home)

    def _remove_document(self, tenant: str, name: str, path: str) -> bool:
        home = self._home(tenant)
        self._open(tenant, name)
        place = shelf.uploads(name, home)
        with writing(name, home, wait=self._wait) as writer:
            held = next((one for one in writer.files if path in {one, _shown(one, place)}), None)
            if held is None:
                return False
            writer.drop(held)
            writer.commit()
        if Path(held).parent == place:
            Path(held).unlink(missing_ok=True)
        return True


def _shown(path: str, place: Path) -> str:
    """The name of a document that was uploaded; the path of another."""
    return Path(path).name if Path(path).parent == place else path
