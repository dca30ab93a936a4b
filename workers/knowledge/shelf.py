"""Where knowledge bases stand on disk, which exist, and who may write one.

`<home>/knowledge/<name>/` holds `manifest.json` and `index/`. A base exists as soon as its manifest does. Files
that were sent to it are kept in `<home>/uploads/<name>/`, and go with it.
"""

import fcntl
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from tasks.errors import BadSetting, TransientError
from tasks.ids import NAME
from tasks.knowledge import base_name, unknown_base

DEFAULT_NAME: Final = "default"
DEFAULT_WAIT: Final = timedelta(seconds=30)
KNOWLEDGE: Final = "knowledge"
UPLOADS: Final = "uploads"
MANIFEST: Final = "manifest.json"
INDEX: Final = "index"
_LOCKS: Final = ".locks"
_POLL_S: Final = 0.05


def folder(name: str, home: Path) -> Path:
    """Where a knowledge base of that name stands, or would stand.

    Raises:
        ContractError: not a name.
    """
    return home / KNOWLEDGE / base_name(name)


def uploads(name: str, home: Path) -> Path:
    """Where the files stand that were sent to a knowledge base.

    Raises:
        ContractError: not a name.
    """
    return home / UPLOADS / folder(name, home).name


def folders(home: Path) -> list[Path]:
    """Where all knowledge bases stand, and what was sent to them."""
    return [home / KNOWLEDGE, home / UPLOADS]


def names(home: Path) -> list[str]:
    """Names of the knowledge bases that exist, sorted."""
    return sorted(
        manifest.parent.name
        for manifest in (home / KNOWLEDGE).glob(f"*/{MANIFEST}")
        if NAME.fullmatch(manifest.parent.name)
    )


def exists(name: str, home: Path) -> bool:
    """Whether there is a knowledge base of that name."""
    return (folder(name, home) / MANIFEST).is_file()


def in_use(names: tuple[str, ...], home: Path) -> tuple[str, ...]:
    """The bases that a job searches: those it names, else the default one where there is one."""
    return names or ((DEFAULT_NAME,) if exists(DEFAULT_NAME, home) else ())


def existing(name: str, home: Path) -> Path:
    """Folder of a knowledge base that must exist.

    Raises:
        UnknownKnowledge: there is none of that name; the message lists those there are.
    """
    if exists(name, home):
        return folder(name, home)
    raise unknown_base(name, names(home))


def remove(name: str, home: Path, *, wait: timedelta = DEFAULT_WAIT) -> None:
    """Delete a knowledge base. Readers that have it open finish their searches undisturbed.

    Raises:
        UnknownKnowledge: there is none of that name.
        TransientError: another process was writing it for the whole wait.
    """
    place = existing(name, home)
    with locked(name, home, wait=wait):
        (place / MANIFEST).unlink(missing_ok=True)  # first, so that a removal that is cut short leaves no half base
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(uploads(name, home), ignore_errors=True)


@contextmanager
def locked(name: str, home: Path, *, wait: timedelta = DEFAULT_WAIT) -> Generator[Path]:
    """Be the only writer of a knowledge base, on this machine; yields its folder, which need not exist yet.

    The lock is the system's (flock), so the death of its holder frees it.

    Raises:
        TransientError: somebody else held it for the whole wait.
        BadSetting: the home folder cannot be written.
    """
    place = folder(name, home)
    # outside the base's folder: a lock inside would vanish with a removed base, and two writers could hold two files
    lock = home / KNOWLEDGE / _LOCKS / name
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("ab")
    except OSError as exc:
        raise BadSetting(f"TROUPE_HOME: knowledge bases cannot be kept in {str(home)!r}: {exc.strerror}") from exc
    with handle:
        _acquire(handle.fileno(), name, wait)
        yield place


def _acquire(descriptor: int, name: str, wait: timedelta) -> None:
    until = time.monotonic() + wait.total_seconds()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TransientError(
                    f"another process is writing knowledge base {name!r}; waited {wait.total_seconds():g} s, try again"
                ) from None
            time.sleep(_POLL_S)
        else:
            return
