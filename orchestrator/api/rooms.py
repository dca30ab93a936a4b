"""How much a tenant keeps on disk, and whether there is room for more."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator.api.door import Door
from orchestrator.api.filing import Room, files_folder
from orchestrator.api.shelves import shelves_of
from tasks.errors import PayloadTooLarge


@asynccontextmanager
async def room_for(door: Door, tenant: str, size: int, replaced: Iterable[Path] = ()) -> AsyncGenerator[None]:
    """Around storing `size` bytes for a tenant. What others store meanwhile through this process counts too.

    Args:
        replaced: Files that make room for what is stored, where they are there.

    Raises:
        PayloadTooLarge: with them it would keep more than it may.
    """
    room = door.rooms.setdefault(tenant, Room())
    most = door.settings.api_max_files_bytes
    before = room.done
    folders = [files_folder(door.home, tenant), *shelves_of(door.shelves).folders(tenant)]
    kept = await asyncio.to_thread(lambda: _bytes_in(folders) - sum(map(_bytes_of, replaced)))
    if kept + room.coming + room.done - before + size > most:
        raise PayloadTooLarge(
            f"a tenant may keep {most:,} bytes in files and knowledge bases; {kept:,} are there: delete some"
        )
    room.coming += size
    try:
        yield
    finally:
        room.coming -= size
        room.done += size


def _bytes_in(folders: Iterable[Path]) -> int:
    return sum(
        _bytes_of(os.path.join(folder, name))  # noqa: PTH118 - thousands of them
        for top in folders
        for folder, _, names in os.walk(top)
        for name in names
    )


def _bytes_of(path: str | Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:  # it was never there, goes at this moment, or has a name that no file has
        return 0
