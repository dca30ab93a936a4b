"""Where uploaded data files stand."""

import hashlib
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tasks.refusals import UnknownFile
from tasks.wire import Wire

FILE_ID: Final = re.compile(r"f[0-9a-z]{10,40}", re.ASCII)
MOST: Final = 1_000
"""Files of one tenant."""


class StoredFile(Wire):
    """A data file that was uploaded."""

    id: str
    """What jobs name it by."""
    name: str
    bytes: int
    created_at: datetime


@dataclass(slots=True)
class Room:
    """What of one tenant is being stored by this process."""

    coming: int = 0
    """Bytes."""
    done: int = 0
    """Bytes that no longer are, stored or not. Grows for ever."""


def files_folder(home: Path, tenant: str) -> Path:
    """The folder of a tenant's files: one folder for each, named by its id, that holds it under its own name."""
    return home / "tenants" / tenant / "files"


def file_id(tenant: str, name: str, source: Path) -> str:
    """The id of a file: of the same content under the same name it is the same, so that who sends it again finds it."""
    with source.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").digest()
    whole = hashlib.sha256(b"\0".join((tenant.encode(), name.encode("utf-8", "surrogatepass"), content)))
    return "f" + whole.hexdigest()[:32]


def place_file(home: Path, tenant: str, file: str, taken: Path) -> Path:
    """Move a file, which stands in a folder of its own, to where files of that id stand; one that is there stays.

    Raises:
        OSError: the disk refused.
    """
    folder = files_folder(home, tenant) / file
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        taken.parent.rename(folder)
    except OSError:  # somebody else has just sent the same
        if (there := _in(folder)) is not None:
            return there
        raise
    return folder / taken.name


def file_path(home: Path, tenant: str, file: str) -> Path:
    """Where a file stands.

    Raises:
        UnknownFile: this tenant has none with that id.
    """
    found = _in(files_folder(home, tenant) / file) if FILE_ID.fullmatch(file) else None
    if found is None:
        raise UnknownFile(f"files: there is no file {file!r}: never uploaded, or deleted")
    return found


def stored_files(home: Path, tenant: str) -> list[StoredFile]:
    """A tenant's files, oldest first."""
    folder = files_folder(home, tenant)
    names = [one.name for one in folder.iterdir() if FILE_ID.fullmatch(one.name)] if folder.is_dir() else []
    found = [stored for name in names if (path := _in(folder / name)) and (stored := stored_file(path))]
    return sorted(found, key=lambda one: (one.created_at, one.id))


def stored_file(path: Path) -> StoredFile | None:
    """What is known of a file; None: it was deleted meanwhile."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    made = datetime.fromtimestamp(status.st_mtime, UTC)
    return StoredFile(id=path.parent.name, name=path.name, bytes=status.st_size, created_at=made)


def remove_file(home: Path, tenant: str, file: str) -> None:
    """Delete a file. Jobs that were given it have it no more.

    Raises:
        UnknownFile: this tenant has none with that id.
    """
    shutil.rmtree(file_path(home, tenant, file).parent, ignore_errors=True)


def _in(folder: Path) -> Path | None:
    """The file that stands in a folder."""
    try:
        return min((one for one in folder.iterdir() if one.is_file() and not one.name.startswith(".")), default=None)
    except (FileNotFoundError, NotADirectoryError):
        return None
