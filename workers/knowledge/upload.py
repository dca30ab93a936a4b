"""Files that somebody sends: into a knowledge base, or beside a job as data. Nothing about them is believed.

A claimed name becomes a plain file name and never a path; what is copied is a regular file within the limits; what is
in it is read apart (`reading`), and what cannot be used is not kept.
"""

import os
import secrets
import stat
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from tasks.errors import BadDocument, BadTable, PayloadTooLarge
from tasks.knowledge import NothingUsable
from tasks.tables import SUFFIXES as TABLE_SUFFIXES
from tasks.tables import kind_of
from workers.knowledge import manifest, shelf
from workers.knowledge.ingest import Report, ingest, nothing_usable
from workers.knowledge.readers import SUFFIXES
from workers.knowledge.settings import KnowledgeSettings

MAX_NAME_BYTES: Final = 150
MAX_DATA_BYTES: Final = 512_000_000
_CHUNK: Final = 1 << 20
_KEPT_APART: Final = frozenset('/\\<>:"|?*')
"""Characters that mean something to a shell or another system."""


def take_uploads(home: Path, base: str, files: Sequence[tuple[str, Path]], settings: KnowledgeSettings) -> Report:
    """Take documents into a knowledge base, which is made if there is none. A file of a known name replaces that one.

    Args:
        home: Home of the tenant (`tasks.tenancy.tenant_home`).
        files: The name that was claimed, and where the content is; it is copied.

    Returns:
        What the ingestion did, with plain file names where it has paths.

    Raises:
        BadDocument: nothing of it can be used; the message says why. A file that is too large is not, others are.
        PayloadTooLarge: too many files, or too large in all.
        ContractError: the base's name is none.
        TransientError: another process was writing for the whole wait, or the disk refused.
    """
    place = shelf.uploads(base, home)
    named = _named(files, settings)
    taken: list[Path] = []
    skipped: list[tuple[str, str]] = []
    place.mkdir(parents=True, exist_ok=True)
    try:
        for name, source in named:
            try:
                taken.append(_copied(source, place / name, settings.max_document_bytes))
            except PayloadTooLarge as fault:
                skipped.append((name, str(fault)))
        if not taken:
            raise nothing_usable([Path(name) for name, _ in skipped], skipped)
        report = ingest(base, taken, settings.model_copy(update={"home": home}))
    except NothingUsable as fault:
        faults = [(_plain(path, place), _plain(reason, place)) for path, reason in fault.faults]
        raise NothingUsable(_plain(str(fault), place), [*faults, *(skipped if taken else [])]) from fault
    except BadDocument as fault:
        raise type(fault)(_plain(str(fault), place)) from fault
    finally:
        _drop_unused(base, home, place, taken)
    report = _without_paths(report, place)
    return replace(report, skipped=[*report.skipped, *skipped])


def take_file(folder: Path, name: str, source: Path, *, most_bytes: int = MAX_DATA_BYTES) -> Path:
    """Copy a data file into a folder, under a safe name; the folder is made.

    Raises:
        BadTable: not a regular file, empty, of no known kind, or its name is none.
        PayloadTooLarge: more bytes than a data file may have.
    """
    try:
        plain = safe_name(name)
        if kind_of(Path(plain)) is None:
            raise BadTable(f"{plain!r} is of no known kind; data files end in {', '.join(TABLE_SUFFIXES)}")
        folder.mkdir(parents=True, exist_ok=True)
        return _copied(source, folder / plain, most_bytes)
    except BadDocument as fault:
        raise BadTable(str(fault)) from fault


def safe_name(claimed: str) -> str:
    """The last part of a claimed name, fit for a file: no separators, control or invisible characters, no leading dot.

    Raises:
        BadDocument: nothing is left of it, or a null character stood in it.
    """
    if "\0" in claimed:
        raise BadDocument("a file's name holds a null character")
    plain = plain_text(claimed.replace("\\", "/").rpartition("/")[2])
    if not plain:
        raise BadDocument(f"{claimed[:60]!r} is no name of a file")
    stem, dot, suffix = plain.partition(".")
    room = MAX_NAME_BYTES - len(f"{dot}{suffix}".encode())
    if room < 1:
        raise BadDocument("a file's name is too long")
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + suffix


def plain_text(text: str) -> str:
    """What is left of a name without separators, control and invisible characters, and dots and blanks before it."""
    shown = unicodedata.normalize("NFC", text).encode("utf-8", "replace").decode("utf-8")
    plain = "".join(one for one in shown if unicodedata.category(one)[0] != "C" and one not in _KEPT_APART)
    while (bare := plain.strip().lstrip(".")) != plain:
        plain = bare
    return plain


def _named(files: Sequence[tuple[str, Path]], settings: KnowledgeSettings) -> list[tuple[str, Path]]:
    if not files:
        raise BadDocument("no files were given")
    if len(files) > settings.max_upload_files:
        limit = f"{settings.max_upload_files} (TROUPE_MAX_UPLOAD_FILES)"
        raise PayloadTooLarge(f"{len(files)} files are more than may be sent at once: {limit}")
    named: dict[str, Path] = {}
    for claimed, source in files:
        name = safe_name(claimed)
        if name in named:
            raise BadDocument(f"two of the files are called {name!r}")
        if Path(name).suffix.lower() not in SUFFIXES:
            raise BadDocument(f"{name!r}: unknown kind ({Path(name).suffix or 'no suffix'})")
        named[name] = source
    whole = sum(source.lstat().st_size for source in named.values() if source.exists())
    if whole > settings.max_upload_bytes:
        limit = f"{settings.max_upload_bytes:,} (TROUPE_MAX_UPLOAD_BYTES)"
        raise PayloadTooLarge(f"{whole:,} bytes are more than may be sent at once: {limit}")
    return list(named.items())


def _copied(source: Path, there: Path, most: int) -> Path:
    """Copy what must be a regular file; another one of that name is replaced whole."""
    scratch = there.with_name(f".{secrets.token_hex(8)}")
    try:
        with _regular(source, there.name, most) as descriptor:
            target = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(target, "wb") as copy:
                left = most
                while chunk := os.read(descriptor, _CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise PayloadTooLarge(f"{there.name!r} has more than {most:,} bytes")
                    copy.write(chunk)
        if left == most:
            raise BadDocument(f"{there.name!r} is empty")
        scratch.replace(there)
    except OSError as exc:
        raise BadDocument(f"{there.name!r} cannot be taken: {exc.strerror}") from exc
    finally:
        scratch.unlink(missing_ok=True)
    return there


@contextmanager
def _regular(source: Path, name: str, most: int) -> Generator[int]:
    # O_NONBLOCK: opening a pipe would wait for its writer for ever.
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadDocument(f"{name!r} is not a regular file")
        if status.st_size > most:
            raise PayloadTooLarge(f"{name!r} has {status.st_size:,} bytes; at most {most:,} are taken")
        yield descriptor
    finally:
        os.close(descriptor)


def _drop_unused(base: str, home: Path, place: Path, taken: Sequence[Path]) -> None:
    """Files that are not in the base are of no use to anybody."""
    held = manifest.load(shelf.folder(base, home))
    for path in taken:
        if held is None or str(path) not in held.files:
            path.unlink(missing_ok=True)
    if held is None and place.is_dir() and not any(place.iterdir()):
        place.rmdir()


def _plain(text: str, place: Path) -> str:
    return text.replace(f"{place}{os.sep}", "")


def _without_paths(report: Report, place: Path) -> Report:
    lists = {one: [_plain(path, place) for path in getattr(report, one)] for one in ("added", "updated", "unchanged")}
    skipped = [(_plain(path, place), _plain(reason, place)) for path, reason in report.skipped]
    return replace(report, skipped=skipped, removed=[_plain(path, place) for path in report.removed], **lists)
