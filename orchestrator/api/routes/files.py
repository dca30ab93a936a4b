"""Data files that jobs may be given."""

import asyncio
import shutil
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as Place

from orchestrator.api.door import Door, TheDoor
from orchestrator.api.filing import MOST, StoredFile, files_folder, new_file_id, remove_file, stored_file, stored_files
from orchestrator.api.owned import ForTenant, acting_for
from orchestrator.api.problems import problems
from orchestrator.api.shelves import shelves_of
from orchestrator.api.uploads import FORM, Sent, sent_files
from orchestrator.api.visitors import Reader, Submitter
from tasks.errors import PayloadTooLarge, TroupeError

router = APIRouter(prefix="/files", tags=["files"])

FileText = Annotated[str, Place(alias="file", description="Id of a file.", max_length=100)]


@router.post("", status_code=201, openapi_extra=FORM, responses=problems(415))
async def upload(request: Request, door: TheDoor, visitor: Submitter, tenant: ForTenant = None) -> list[StoredFile]:
    """Upload data files, as CSV or Parquet, under whatever field. Jobs are given them by their ids; all or none are
    taken."""
    owner = acting_for(visitor, tenant)
    async with sent_files(request, door.home) as files:
        found = await _keep(door, owner, files)
    request.state.made = ",".join(one.id for one in found)
    return found


@router.get("", name="list")
async def list_files(door: TheDoor, visitor: Reader, tenant: ForTenant = None) -> list[StoredFile]:
    """Uploaded files, oldest first."""
    return await asyncio.to_thread(stored_files, door.home, acting_for(visitor, tenant))


@router.delete("/{file}", status_code=204, responses=problems(404))
async def delete(door: TheDoor, visitor: Submitter, file: FileText, tenant: ForTenant = None) -> None:
    """Delete a file. Jobs that were given it, and still run, have it no more."""
    await asyncio.to_thread(remove_file, door.home, acting_for(visitor, tenant), file)


async def _keep(door: Door, tenant: str, files: list[Sent]) -> list[StoredFile]:
    before = await asyncio.to_thread(stored_files, door.home, tenant)
    size = sum(one.bytes for one in before) + sum(path.stat().st_size for _, path in files)
    if len(before) + len(files) > MOST:
        raise PayloadTooLarge(f"a tenant has at most {MOST} files: delete some")
    if size > door.settings.api_max_files_bytes:
        raise PayloadTooLarge(f"files of a tenant may have {door.settings.api_max_files_bytes:,} bytes together")
    taken: list[Path] = []
    folders = [files_folder(door.home, tenant) / new_file_id() for _ in files]
    try:
        for folder, (name, source) in zip(folders, files, strict=True):
            taken.append(await shelves_of(door.shelves).take_file(folder, name, source))
    except TroupeError:
        for folder in folders:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise
    return [one for path in taken if (one := await asyncio.to_thread(stored_file, path))]
