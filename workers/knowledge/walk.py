"""Finding the files below the given paths: in order, each once, hidden ones left alone."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.errors import BadDocument
from workers.knowledge.readers import SUFFIXES


@dataclass(slots=True)
class Found:
    """What stands below some paths."""

    files: list[Path] = field(default_factory=list[Path])
    """Absolute paths of files of known kinds, in order of the given paths, then by name; no file twice."""
    folders: list[Path] = field(default_factory=list[Path])
    """The given paths that are folders."""
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Path and reason of everything else."""
    outward: set[Path] = field(default_factory=set[Path])
    """Links that lead out of the folder that was given."""
    seen: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """Device and inode of all files and folders met: links lead to each only once."""


def walk(paths: Sequence[Path]) -> Found:
    """Find the files. Links within a given folder are followed, but nothing is entered or taken twice.

    Hidden files and folders are passed over without a word, unless they are given by name.

    Raises:
        BadDocument: a given path does not exist.
    """
    found = Found()
    for path in paths:
        where = absolute(path)
        if _is_folder(where):
            found.folders.append(where)
        _visit(where, found)
    return found


def absolute(path: Path) -> Path:
    """The path from the root, without `..`; links keep their names."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow the links


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError as exc:
        raise BadDocument(f"no file or folder {str(path)!r}") from exc
    except (OSError, ValueError) as exc:  # ValueError: a null character in it
        raise BadDocument(f"{str(path)!r} cannot be read: {exc}") from exc


def _visit(path: Path, found: Found) -> None:
    root = Path(os.path.realpath(path))
    pending = [path]
    while pending:
        here = pending.pop()
        try:
            status = here.stat()
            below = list(_children(here)) if stat.S_ISDIR(status.st_mode) else []
        except OSError as exc:
            reason = "broken link" if isinstance(exc, FileNotFoundError) else f"cannot be read: {exc.strerror}"
            found.skipped.append((_printable(here), reason))
            continue
        if here != path and here.is_symlink() and not Path(os.path.realpath(here)).is_relative_to(root):
            found.outward.add(here)
            found.skipped.append((_printable(here), f"a link out of {_printable(path)}"))
            continue
        key = (status.st_dev, status.st_ino)
        if key in found.seen:
            continue
        found.seen.add(key)
        if stat.S_ISDIR(status.st_mode):
            pending.extend(reversed(below))
        else:
            _take(here, status, found)


def _children(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


def _take(path: Path, status: os.stat_result, found: Found) -> None:
    name = _printable(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        found.skipped.append((name, "not a regular file"))
    elif name != str(path):
        found.skipped.append((name, "its name is not UTF-8"))
    elif path.suffix.lower() not in SUFFIXES:
        found.skipped.append((name, f"unknown kind ({path.suffix or 'no suffix'})"))
    else:
        found.files.append(path)


def _printable(path: Path) -> str:
    return str(path).encode("utf-8", "replace").decode("utf-8")
