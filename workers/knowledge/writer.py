"""The writing side of a knowledge base: one writer at a time, and nothing is seen before it is committed."""

import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import tantivy

from tasks.errors import BadDocument, TransientError
from tasks.models import Source
from workers.knowledge import manifest, schema, shelf
from workers.knowledge.manifest import FileEntry

_HEAP_BYTES: Final = 64_000_000
_THREADS: Final = 1
"""Reading files is what takes time; one thread keeps passages in order, too."""


class KnowledgeWriter:
    """Puts files in and takes them out. Comes from `writing`."""

    def __init__(self, place: Path, held: manifest.Manifest, index: tantivy.Index) -> None:
        self._place = place
        self._manifest = held
        self._index = index
        self._writer = index.writer(_HEAP_BYTES, _THREADS)
        self._touched: set[str] = set()
        self._doubtful = manifest.pending(place)
        for path in self._doubtful - held.files.keys():
            self.drop(path)

    @property
    def files(self) -> dict[str, FileEntry]:
        """Files that it holds, uncommitted changes included."""
        return self._manifest.files

    def digest(self, path: str) -> str | None:
        """SHA-256 of a file's content as it stands in the index; None when it does not, or when that is in doubt."""
        entry = self._manifest.files.get(path)
        return None if entry is None or path in self._doubtful else entry.digest

    def put(self, entry: FileEntry, sources: Sequence[Source]) -> None:
        """Add a file, or replace what was there under its path."""
        self.drop(entry.path)
        for ordinal, source in enumerate(sources):
            document = tantivy.Document()
            document.add_text("title", source.title)
            document.add_text("heading", (source.heading or "").removeprefix(source.title))
            document.add_text("body", source.text)
            document.add_text("path", source.path)
            document.add_unsigned("ordinal", ordinal)
            document.add_bytes("source", source.model_dump_json(exclude_none=True).encode())
            self._writer.add_document(document)
        self._manifest.files[entry.path] = entry

    def drop(self, path: str) -> None:
        """Take a file out; nothing happens when it is not there."""
        self._writer.delete_documents_by_query(schema.path_query(self._index.schema, path))
        self._manifest.files.pop(path, None)
        self._touched.add(path)

    def commit(self) -> None:
        """Make the changes so far visible and durable; nothing happens when there are none.

        Index and manifest are two files. What is about to change is noted before, so that a crash between the two makes
        the next writer doubt exactly these paths.

        Raises:
            TransientError: the disk refused.
        """
        if not self._touched:
            return
        try:
            manifest.save_pending(self._place, self._doubtful | self._touched)
            self._writer.commit()
            manifest.save(self._place, self._manifest)
            self._doubtful -= self._touched
            self._touched.clear()
            manifest.save_pending(self._place, self._doubtful)
        except (OSError, ValueError) as exc:  # ValueError: tantivy's word for anything, a full disk included
            raise TransientError(f"knowledge base {self._place.name!r} could not be written: {exc}") from exc

    def close(self) -> None:
        """Forget what was not committed, and wait for merges."""
        self._writer.rollback()
        self._writer.wait_merging_threads()


@contextmanager
def writing(name: str, home: Path, *, wait: timedelta = shelf.DEFAULT_WAIT) -> Generator[KnowledgeWriter]:
    """Write a knowledge base, which is made if there is none.

    Raises:
        TransientError: another process was writing for the whole wait, or the disk refused.
        BadDocument: its files are damaged.
        IncompatibleVersion: it was written by another release.
    """
    with shelf.locked(name, home, wait=wait) as place:
        held = manifest.load(place)
        try:
            writer = KnowledgeWriter(place, held or manifest.Manifest(), _open(place, fresh=held is None))
        except ValueError as exc:
            raise BadDocument(manifest.damaged(name, "its index cannot be written")) from exc
        except OSError as exc:
            raise TransientError(f"knowledge base {name!r} cannot be written: {exc}") from exc
        try:
            yield writer
        finally:
            writer.close()
            if held is None and not (place / shelf.MANIFEST).exists():
                shutil.rmtree(place, ignore_errors=True)  # nothing was committed: leave no empty shell


def _open(place: Path, *, fresh: bool) -> tantivy.Index:
    where = place / shelf.INDEX
    if fresh:
        shutil.rmtree(where, ignore_errors=True)  # left over from a first ingestion that was killed
    where.mkdir(parents=True, exist_ok=True)
    index = tantivy.Index(schema.build_schema(), path=str(where))
    schema.register(index)
    return index
