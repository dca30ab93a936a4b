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
async def room_for(door: Door, tenant: str, size: int) -> AsyncGenerator[None]:
    """Around storing `size` bytes for a tenant. What others store meanwhile through this process counts too.

    Raises:
        PayloadTooLarge: with them it would keep more than it may.
    """
    room = door.rooms.setdefault(tenant, Room())
    most = door.settings.api_max_files_bytes
    before = room.done
    folders = [files_folder(door.home, tenant), *shelves_of(door.shelves).folders(tenant)]
    kept = await asyncio.to_thread(_bytes_in, folders)
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
    found = 0
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                try:
                    found += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - thousands of them
                except FileNotFoundError:  # it goes at this moment
                    continue
    return found
