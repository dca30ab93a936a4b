"""The knowledge bases of one tenant as commands ask for them, and those of this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from tasks.errors import ContractError
from tasks.ids import NAME
from tasks.knowledge import Added, BaseStats, PassageHit, Skipped
from tasks.settings import read_settings
from tasks.tenancy import DEFAULT_TENANT, tenant_home
from workers.knowledge import shelf
from workers.knowledge.index import Hit, KnowledgeBase
from workers.knowledge.ingest import OnProgress, Progress, Report, ingest
from workers.knowledge.settings import KnowledgeSettings

PLACES: Final = ("title", "heading", "line_start", "line_end", "page_start", "page_end", "text")

__all__ = ["Bases", "LocalBases", "OnProgress", "Progress", "added_of", "hit_of", "stats_of"]


class Bases(Protocol):
    """The knowledge bases of one tenant.

    Raises:
        UnknownKnowledge: there is none of that name; the message lists those there are.
        ContractError: the name is none.
        TransientError: another process was writing it for long, or nobody answers.
    """

    def add(self, name: str, paths: Sequence[Path], on_progress: OnProgress) -> Added:
        """Add files, and all files below folders; what is skipped goes by its path.

        Raises:
            BadDocument: a path does not exist, or nothing below any of them can be used; then nothing changes.
        """
        ...

    def search(self, name: str, query: str, k: int) -> list[PassageHit]:
        """The passages that fit some words best."""
        ...

    def stats(self, name: str) -> BaseStats:
        """How much one holds."""
        ...

    def every(self) -> list[BaseStats]:
        """All of them, by name."""
        ...

    def remove(self, name: str) -> None:
        """Delete one."""
        ...

    def place(self, name: str) -> str:
        """Where one stands."""
        ...


@dataclass(frozen=True, slots=True)
class LocalBases:
    """Those of this machine: below TROUPE_HOME."""

    settings: KnowledgeSettings
    """With the tenant's own home."""

    @classmethod
    def of(cls, tenant: str | None) -> Self:
        """Those of a tenant; None: of the default one.

        Raises:
            ContractError: it has not the form of a tenant's name, which becomes a folder's.
        """
        name = checked_tenant(DEFAULT_TENANT if tenant is None else tenant)
        settings = read_settings(KnowledgeSettings)
        return cls(settings.model_copy(update={"home": tenant_home(settings.home, name)}))

    def add(self, name: str, paths: Sequence[Path], on_progress: OnProgress) -> Added:
        """See `Bases.add`."""
        return added_of(ingest(name, paths, self.settings, on_progress=on_progress))

    def search(self, name: str, query: str, k: int) -> list[PassageHit]:
        """See `Bases.search`."""
        return [hit_of(hit, hit.source.path) for hit in self._open(name).search(query, k)]

    def stats(self, name: str) -> BaseStats:
        """See `Bases.stats`."""
        return stats_of(self._open(name))

    def every(self) -> list[BaseStats]:
        """See `Bases.every`."""
        return [self.stats(name) for name in shelf.names(self.settings.home)]

    def remove(self, name: str) -> None:
        """See `Bases.remove`. The documents themselves stay."""
        shelf.remove(name, self.settings.home)

    def place(self, name: str) -> str:
        """Its folder."""
        return str(shelf.folder(name, self.settings.home))

    def _open(self, name: str) -> KnowledgeBase:
        return KnowledgeBase.open(name, self.settings.home)


def checked_tenant(name: str) -> str:
    """The name of a tenant.

    Raises:
        ContractError: it has not the form of one.
    """
    if NAME.fullmatch(name) is None:
        raise ContractError(f"{name!r} is not the name of a tenant: lower-case letters, digits, - and _")
    return name


def added_of(report: Report) -> Added:
    """What an ingestion did, in numbers."""
    return Added(
        knowledge=report.knowledge,
        added=len(report.added),
        updated=len(report.updated),
        unchanged=len(report.unchanged),
        removed=len(report.removed),
        skipped=tuple(Skipped(path=path, reason=reason) for path, reason in report.skipped),
        documents=report.documents,
        passages=report.passages,
    )


def stats_of(base: KnowledgeBase) -> BaseStats:
    """How much a knowledge base holds."""
    found = base.stats()
    return BaseStats(
        name=found.name,
        documents=found.documents,
        passages=found.passages,
        bytes=found.bytes,
        index_bytes=found.index_bytes,
        kinds=dict(found.kinds),
    )


def hit_of(hit: Hit, path: str) -> PassageHit:
    """A passage that was found; `path` is what its document goes by."""
    fields = {name: getattr(hit.source, name) for name in PLACES}
    return PassageHit.model_validate({"id": hit.source.id, "score": hit.score, "path": path, **fields})
