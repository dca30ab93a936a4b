"""Documents that go to a fleet elsewhere: found as those of this machine are, and called by names of their own."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from tasks.knowledge import Skipped
from tasks.settings import read_settings
from workers.knowledge.ingest import content, nothing_usable
from workers.knowledge.readers import Unusable
from workers.knowledge.settings import KnowledgeSettings
from workers.knowledge.upload import MAX_NAME_BYTES, plain_text
from workers.knowledge.walk import Found, walk

BETWEEN: Final = " - "
"""In a document's name, between the parts of its path."""
MARK_CHARS: Final = 10

__all__ = ["Gathered", "flat_names", "gather", "nothing_usable", "run_name"]


@dataclass(slots=True)
class Gathered:
    """Documents that are worth sending, by the names that they go by."""

    paths: dict[str, Path] = field(default_factory=dict[str, Path])
    digests: dict[str, str] = field(default_factory=dict[str, str])
    """SHA-256 of their contents, in hex."""
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    """What is not, with paths."""
    order: dict[str, int] = field(default_factory=dict[str, int])
    """Where each path of a known kind stands among the others."""


def gather(paths: Sequence[Path]) -> Gathered:
    """Find the documents below some paths. Each is read once, for its digest; none is sent that nobody takes.

    Raises:
        BadDocument: a given path does not exist.
    """
    found = walk(paths)
    most = read_settings(KnowledgeSettings).max_document_bytes
    gathered = Gathered(
        skipped=[Skipped(path=path, reason=reason) for path, reason in found.skipped],
        order={str(path): place for place, path in enumerate(found.files)},
    )
    for path, name in flat_names(found).items():
        try:
            gathered.digests[name] = _digest(path, most)
        except Unusable as reason:
            gathered.skipped.append(Skipped(path=str(path), reason=str(reason)))
        else:
            gathered.paths[name] = path
    return gathered


def run_name(gathered: Gathered) -> str:
    """The knowledge base of a run with these documents: of the same names and contents, whoever has them where."""
    facts = "\0".join(f"{name}\0{digest}" for name, digest in sorted(gathered.digests.items()))
    return f"run-{sha256(facts.encode()).hexdigest()[:10]}"


def flat_names(found: Found) -> dict[Path, str]:
    """What files are called that are sent: by their paths below the given folders, as `guide - intro.md`.

    Each is a name that `safe_name` leaves as it is, and no two are the same. A path that does not fit, or could be
    taken for another one, gets a short hash of itself; files of two given folders that would be called the same, one
    of where they stand.
    """
    names = {path: _flat(_below(path, found.folders)) for path in found.files}
    claims = Counter(names.values())
    return {path: name if claims[name] == 1 else _marked(name, str(path)) for path, name in names.items()}


def _digest(path: Path, most: int) -> str:
    data = content(path, most)
    if not data:
        raise Unusable("empty")
    return sha256(data).hexdigest()


def _below(path: Path, folders: Sequence[Path]) -> tuple[str, ...]:
    folder = next((one for one in folders if one in path.parents), path.parent)
    return path.relative_to(folder).parts


def _flat(parts: Sequence[str]) -> str:
    name = BETWEEN.join(parts)
    clear = name.split(BETWEEN) == list(parts)  # the parts can be read back: no other path has this name
    if clear and name == plain_text(name) and len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return _marked(name, "/".join(parts))


def _marked(name: str, path: str) -> str:
    """The name with a hash of a path in it, cut where it is too long."""
    suffix = Path(name).suffix
    end = f"{sha256(path.encode()).hexdigest()[:MARK_CHARS]}{unicodedata.normalize('NFC', suffix)}"
    stem = plain_text(name.removesuffix(suffix)).encode()[: MAX_NAME_BYTES - len(end) - 1]
    return f"{stem.decode('utf-8', 'ignore').rstrip()} {end}".lstrip()
