"""Data files that jobs may be given."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as Place

from orchestrator.api.door import Door, TheDoor
from orchestrator.api.filing import MOST, StoredFile, file_id, place_file, remove_file, stored_file, stored_files
from orchestrator.api.owned import ForTenant, acting_for
from orchestrator.api.problems import problems
from orchestrator.api.rooms import room_for
from orchestrator.api.shelves import shelves_of
from orchestrator.api.uploads import FORM, Sent, sent_files, size_of
from orchestrator.api.visitors import Reader, Submitter
from tasks.errors import PayloadTooLarge

router = APIRouter(prefix="/files", tags=["files"])

FileText = Annotated[str, Place(alias="file", description="Id of a file.", max_length=100)]


@router.post("", status_code=201, openapi_extra=FORM, responses=problems(415))
async def upload(request: Request, door: TheDoor, visitor: Submitter, tenant: ForTenant = None) -> list[StoredFile]:
    """Upload data files, as CSV or Parquet, under whatever field. Jobs are given them by their ids; all or none are
    taken. A file that was sent before under the same name is not stored again: its id is the same."""
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
    """Store what is not there yet. Copies are made beside what was sent, and go with it unless all are taken."""
    before = {one.id: one for one in await asyncio.to_thread(stored_files, door.home, tenant)}
    ids = [await asyncio.to_thread(file_id, tenant, name, path) for name, path in files]
    fresh = {one: sent for one, sent in zip(ids, files, strict=True) if one not in before}
    if len(before) + len(fresh) > MOST:
        raise PayloadTooLarge(f"a tenant has at most {MOST} files: delete some")
    shelves = shelves_of(door.shelves)
    async with room_for(door, tenant, size_of(fresh.values())):
        taken = {one: await shelves.take_file(path.parent / one, name, path) for one, (name, path) in fresh.items()}
        for one, path in taken.items():
            placed = await asyncio.to_thread(place_file, door.home, tenant, one, path)
            stored = await asyncio.to_thread(stored_file, placed)
            before |= {one: stored} if stored is not None else {}
    return [before[one] for one in ids if one in before]
