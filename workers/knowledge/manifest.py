"""The manifest of a knowledge base: which files it holds, and of which content."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tasks.errors import BadDocument, IncompatibleVersion
from workers.knowledge.shelf import MANIFEST

VERSION: Final = 1
"""Raised when passages, the index's fields or its analysis change: old indexes must then be built again."""

_PENDING: Final = "pending.json"
_PATHS: Final = TypeAdapter(list[str])


class FileEntry(BaseModel):
    """One file that is in the index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Absolute."""
    title: str
    kind: str
    digest: str
    """SHA-256 of its content, in hex."""
    bytes: int
    passages: int


class Manifest(BaseModel):
    """All files of one knowledge base, by path."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = VERSION
    files: dict[str, FileEntry] = {}


class _Version(BaseModel):
    version: int


def load(place: Path) -> Manifest | None:
    """Manifest of the knowledge base in that folder; None when there is none.

    Raises:
        IncompatibleVersion: written by another release.
        BadDocument: damaged.
    """
    try:
        text = (place / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    try:
        version = _Version.model_validate_json(text).version
        if version != VERSION:
            raise IncompatibleVersion(
                f"knowledge base {place.name!r} was written by another release (version {version}, not {VERSION}): "
                f"`troupe kb remove {place.name}` and add the documents again"
            )
        return Manifest.model_validate_json(text)
    except ValidationError as exc:
        raise BadDocument(damaged(place.name, "its manifest cannot be read")) from exc


def save(place: Path, manifest: Manifest) -> None:
    """Replace the manifest; a reader sees the old one or the new one, never a part."""
    _replace(place / MANIFEST, manifest.model_dump_json().encode())


def pending(place: Path) -> set[str]:
    """Paths whose passages may not be what the manifest says, because a commit was cut short."""
    try:
        return set(_PATHS.validate_json((place / _PENDING).read_bytes()))
    except FileNotFoundError:
        return set()
    except ValidationError as exc:
        raise BadDocument(damaged(place.name, "its list of pending files cannot be read")) from exc


def save_pending(place: Path, paths: Iterable[str]) -> None:
    """Replace the list of pending paths."""
    _replace(place / _PENDING, _PATHS.dump_json(sorted(paths)))


def damaged(name: str, reason: str) -> str:
    """What to tell about a knowledge base that cannot be used any more."""
    return f"knowledge base {name!r} is damaged ({reason}): `troupe kb remove {name}` and add the documents again"


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
