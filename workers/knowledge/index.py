"""The reading side of knowledge bases: search, list, read on. Every call sees what was committed before it."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

import tantivy

from tasks.errors import BadDocument, UnknownKnowledge
from tasks.models import Source
from workers.knowledge import manifest, schema, shelf
from workers.knowledge.passages import document_key

MAX_HITS: Final = 100
"""Passages that one search returns at most."""
_SCORE_DIGITS: Final = 4
"""Scores are rounded to this: their last bits depend on how the index is laid out on disk."""
_PASSAGE_ID: Final = re.compile(r"(p[0-9a-f]{10})(?:-[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found."""

    source: Source
    score: float
    """BM25, summed over body, heading and title; comparable within one question only."""


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A file in a knowledge base."""

    title: str
    path: str
    passages: int
    kind: str
    digest: str
    """SHA-256 of its content, in hex; empty while a commit that was cut short leaves that in doubt."""


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """Some passages of one document, in reading order."""

    document: DocumentInfo
    start: int
    """Position of the first one, from 0."""
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Stats:
    """Size of a knowledge base."""

    name: str
    path: str
    documents: int
    passages: int
    bytes: int
    """Of the documents themselves."""
    index_bytes: int
    kinds: Mapping[str, int]
    """Documents of each kind."""


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """One knowledge base, for reading. Holds no handle: cheap to make, safe in threads, never out of date."""

    name: str
    place: Path

    @classmethod
    def open(cls, name: str, home: Path) -> "KnowledgeBase":
        """The knowledge base of that name.

        Raises:
            ContractError: not a name.
            UnknownKnowledge: there is none of that name; the message lists those there are.
        """
        return cls(name, shelf.existing(name, home))

    def search(self, query: str, k: int) -> list[Hit]:
        """The passages that fit the words of a question best, at most MAX_HITS; equal ones in order of their ids.

        Raises:
            UnknownKnowledge: it has been removed.
            BadDocument: its files are damaged.
        """
        index = self._index()
        parsed = schema.build_query(index.schema, query)
        wanted = min(k, MAX_HITS)
        if parsed is None or wanted < 1:
            return []
        searcher = index.searcher()
        found = _with_ties(searcher, parsed, wanted)
        hits = [Hit(_source(searcher, address), score) for score, address in found]
        return sorted(hits, key=lambda hit: (-hit.score, hit.source.id))[:wanted]

    def documents(self) -> list[DocumentInfo]:
        """All documents, sorted by path."""
        doubtful = manifest.pending(self.place)
        return [_info(entry, known=path not in doubtful) for path, entry in sorted(self._files().items())]

    def read(self, document: str, start: int = 0, count: int = 8) -> DocumentPart:
        """Some passages of a document.

        Args:
            document: Its path, its title, its file name, the end of its path, or the id of one of its passages.
            start: Position of the first passage, from 0.
            count: How many, at most MAX_HITS.

        Raises:
            BadDocument: no document, or more than one, goes by that name; the message has names that do.
        """
        entry = _find(document, self._files(), self.name)
        start, count = max(start, 0), min(count, MAX_HITS)
        index = self._index()
        searcher = index.searcher()
        if count < 1 or start >= entry.passages:
            return DocumentPart(_info(entry), start, ())
        found = searcher.search(
            schema.path_query(index.schema, entry.path),
            limit=count,
            offset=start,
            order_by_field="ordinal",
            order=tantivy.Order.Asc,
        )
        return DocumentPart(_info(entry), start, tuple(_source(searcher, address) for _, address in found.hits))

    def stats(self) -> Stats:
        """How much it holds."""
        files = self._files().values()
        kinds = sorted({entry.kind for entry in files})
        return Stats(
            name=self.name,
            path=str(self.place),
            documents=len(files),
            passages=sum(entry.passages for entry in files),
            bytes=sum(entry.bytes for entry in files),
            index_bytes=sum(file.stat().st_size for file in self.place.glob(f"{shelf.INDEX}/*")),
            kinds={kind: sum(entry.kind == kind for entry in files) for kind in kinds},
        )

    def _files(self) -> dict[str, manifest.FileEntry]:
        found = manifest.load(self.place)
        if found is None:
            raise UnknownKnowledge(f"knowledge base {self.name!r} has been removed")
        return found.files

    def _index(self) -> tantivy.Index:
        """The index as committed now. Opening takes 0.2 ms, less than keeping one fresh would cost in code."""
        if not (self.place / shelf.MANIFEST).is_file():
            raise UnknownKnowledge(f"knowledge base {self.name!r} has been removed")
        try:
            index = tantivy.Index.open(str(self.place / shelf.INDEX))
            index.config_reader("manual")
        except ValueError as exc:
            raise BadDocument(manifest.damaged(self.name, "its index cannot be opened")) from exc
        return index


def search_all(names: Iterable[str], query: str, k: int, *, home: Path) -> list[Hit]:
    """Search several knowledge bases at once; best passages first, a passage that stands in two of them once.

    Raises:
        UnknownKnowledge: one of them does not exist.
    """
    best: dict[str, Hit] = {}
    for name in dict.fromkeys(names):
        for hit in KnowledgeBase.open(name, home).search(query, k):
            known = best.get(hit.source.id)
            if known is None or hit.score > known.score:
                best[hit.source.id] = hit
    return sorted(best.values(), key=lambda hit: (-hit.score, hit.source.id))[: max(0, min(k, MAX_HITS))]


def _with_ties(searcher: tantivy.Searcher, query: tantivy.Query, k: int) -> list[tuple[float, tantivy.DocAddress]]:
    """The first k hits and all that score as the last of them: which of these come first is the caller's to say."""
    limit = k + 16
    while True:
        hits: list[tuple[float, tantivy.DocAddress]] = [
            (round(float(score), _SCORE_DIGITS), address) for score, address in searcher.search(query, limit).hits
        ]
        if len(hits) < limit or hits[-1][0] < hits[k - 1][0]:
            return hits
        limit *= 4


def _source(searcher: tantivy.Searcher, address: tantivy.DocAddress) -> Source:
    return Source.model_validate_json(searcher.doc(address).get_first("source") or b"")


def _info(entry: manifest.FileEntry, *, known: bool = True) -> DocumentInfo:
    return DocumentInfo(entry.title, entry.path, entry.passages, entry.kind, entry.digest if known else "")


def _find(document: str, files: Mapping[str, manifest.FileEntry], base: str) -> manifest.FileEntry:
    wanted = document.strip()
    if (entry := files.get(wanted)) is not None:
        return entry
    if match := _PASSAGE_ID.fullmatch(wanted):
        named = [entry for entry in files.values() if document_key(entry.path, entry.digest) == match[1]]
    else:
        named = _named(wanted, files.values())
    if len(named) == 1:
        return named[0]
    if named:
        paths = ", ".join(sorted(entry.path for entry in named)[:5])
        raise BadDocument(f"{len(named)} documents of {base!r} go by {document!r}; give the path of one: {paths}")
    close = difflib.get_close_matches(wanted, sorted({entry.title for entry in files.values()}), n=3, cutoff=0.4)
    hint = f"; similar titles: {', '.join(map(repr, close))}" if close else ""
    raise BadDocument(f"no document {document!r} in knowledge base {base!r}{hint}")


def _named(wanted: str, entries: Iterable[manifest.FileEntry]) -> list[manifest.FileEntry]:
    """Documents of that title; else of that file name or end of path."""
    entries = list(entries)
    folded = wanted.casefold()
    titled = [entry for entry in entries if entry.title.casefold() == folded]
    parts = PurePath(wanted).parts
    return titled or [entry for entry in entries if parts and PurePath(entry.path).parts[-len(parts) :] == parts]
