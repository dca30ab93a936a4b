"""Where uploaded data files stand."""

from pathlib import Path

from tasks.refusals import UnknownFile


def files_folder(home: Path, tenant: str) -> Path:
    """The folder of a tenant's files: one folder for each, named by its id, that holds it under its own name."""
    return home / "tenants" / tenant / "files"


def file_path(home: Path, tenant: str, file: str) -> Path:
    """Where a file stands.

    Args:
        file: Its id, in the form of one.

    Raises:
        UnknownFile: this tenant has none with that id.
    """
    folder = files_folder(home, tenant) / file
    found = sorted(one for one in folder.iterdir() if one.is_file()) if folder.is_dir() else []
    if not found:
        raise UnknownFile(f"files: there is no file {file!r}: never uploaded, or deleted")
    return found[0]
