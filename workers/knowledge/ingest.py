"""Ingestion: files and folders into a knowledge base, reading only what is new or has changed."""

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from tasks.errors import BadDocument
from tasks.knowledge import SAME_CONTENT, NothingUsable
from tasks.models import Source
from workers.knowledge.manifest import FileEntry
from workers.knowledge.passages import passages
from workers.knowledge.readers import Unusable
from workers.knowledge.reading import Reader
from workers.knowledge.settings import KnowledgeSettings
from workers.knowledge.walk import Found, walk
from workers.knowledge.writer import KnowledgeWriter, writing

_COMMIT_BYTES: Final = 100_000_000
"""Commit at least after so much was read: an interrupted ingestion of a large folder goes on there."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One file is done."""

    path: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def _silent(_progress: Progress) -> None: ...


@dataclass(slots=True)
class Report:
    """What an ingestion did. Paths are absolute."""

    knowledge: str
    added: list[str] = field(default_factory=list[str])
    updated: list[str] = field(default_factory=list[str])
    unchanged: list[str] = field(default_factory=list[str])
    removed: list[str] = field(default_factory=list[str])
    """Files of a given folder that are gone, or cannot be used any more."""
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Path and reason. A file that could be read in part stands here and above."""
    documents: int = 0
    passages: int = 0
    """In the knowledge base, now."""

    @property
    def usable(self) -> int:
        """Given files that are in the knowledge base."""
        return len(self.added) + len(self.updated) + len(self.unchanged)


def ingest(
    name: str,
    paths: Sequence[Path],
    settings: KnowledgeSettings,
    *,
    on_progress: OnProgress = _silent,
) -> Report:
    """Put files, and all files below folders, into a knowledge base; it is made if there is none.

    A second call reads no file whose content is known, replaces the passages of changed ones, and takes out files that
    are gone from a given folder. A file with the same content as another is skipped.

    Args:
        on_progress: Called after each file, in this thread.

    Raises:
        BadDocument: a path does not exist, or nothing usable stands below any of them; then nothing changes.
        ContractError: not a name.
        TransientError: another process was writing for the whole wait.
    """
    found = walk(paths)
    report = Report(name, skipped=found.skipped)
    wait = timedelta(seconds=settings.knowledge_wait_s)
    with writing(name, settings.home, wait=wait) as writer, Reader(settings) as reader:
        _Ingestion(writer, report, settings.max_document_bytes, reader).run(found, on_progress)
        if not report.usable and not report.removed:
            raise nothing_usable(paths, report.skipped)
        writer.commit()
        report.documents = len(writer.files)
        report.passages = sum(entry.passages for entry in writer.files.values())
    return report


def content(path: Path, max_bytes: int) -> bytes:
    """All of a file.

    Raises:
        Unusable: it has more bytes, or cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise Unusable(f"too large: {size:,} bytes, the limit is {max_bytes:,} (TROUPE_MAX_DOCUMENT_BYTES)")
        return path.read_bytes()
    except OSError as exc:
        raise Unusable(f"cannot be read: {exc.strerror}") from exc


def nothing_usable(paths: Sequence[Path], skipped: Sequence[tuple[str, str]]) -> BadDocument:
    """What is told when nothing below some paths can be used."""
    where = ", ".join(repr(str(path)) for path in paths) or "no paths"
    if not skipped:
        return BadDocument(f"no document to read in {where}")
    reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped[:5])
    more = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    return NothingUsable(f"no usable document in {where}: {reasons}{more}", skipped)


@dataclass(slots=True)
class _Ingestion:
    writer: KnowledgeWriter
    report: Report
    max_bytes: int
    reader: Reader
    uncommitted: int = 0

    def run(self, found: Found, on_progress: OnProgress) -> None:
        self._drop_vanished(found)
        owners = {digest: path for path in self.writer.files if (digest := self.writer.digest(path))}
        for done, path in enumerate(found.files, start=1):
            try:
                self._take(path, owners)
            except Unusable as reason:
                self.report.skipped.append((str(path), str(reason)))
                self._drop(str(path))
            on_progress(Progress(str(path), done, len(found.files)))

    def _drop_vanished(self, found: Found) -> None:
        for path in sorted(self.writer.files):
            above = Path(path).parents
            led_out = not found.outward.isdisjoint([Path(path), *above])
            if led_out or (any(folder in above for folder in found.folders) and _is_gone(Path(path))):
                self._drop(path)

    def _drop(self, path: str) -> None:
        if path in self.writer.files:
            self.writer.drop(path)
            self.report.removed.append(path)

    def _take(self, path: Path, owners: dict[str, str]) -> None:
        name = str(path)
        data = content(path, self.max_bytes)
        digest = sha256(data).hexdigest()
        if self.writer.digest(name) == digest:
            self.report.unchanged.append(name)
            return
        owner = owners.get(digest)
        if owner is not None and owner != name and self.writer.digest(owner) == digest and not _is_gone(Path(owner)):
            raise Unusable(f"{SAME_CONTENT}{owner}")
        known = name in self.writer.files
        entry, sources = self._read(path, data, digest)
        self.writer.put(entry, sources)
        owners[digest] = name
        (self.report.updated if known else self.report.added).append(name)
        self.uncommitted += len(data)
        if self.uncommitted > _COMMIT_BYTES:
            self.writer.commit()
            self.uncommitted = 0

    def _read(self, path: Path, data: bytes, digest: str) -> tuple[FileEntry, list[Source]]:
        found = self.reader.read(path, data)
        self.report.skipped.extend((str(path), fault) for fault in found.faults)
        sources = list(passages(found, str(path), digest, self.report.knowledge))
        if not sources:
            raise Unusable("no text in it")
        entry = FileEntry(
            path=str(path), title=found.title, kind=found.kind, digest=digest, bytes=len(data), passages=len(sources)
        )
        return entry, sources


def _is_gone(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # there, but not to be looked at now
        return False
