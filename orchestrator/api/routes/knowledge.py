"""Knowledge bases: documents in, passages out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from orchestrator.api.door import TheDoor
from orchestrator.api.owned import ForTenant, acting_for
from orchestrator.api.problems import problems
from orchestrator.api.rooms import room_for
from orchestrator.api.shelves import Shelves, shelves_of
from orchestrator.api.uploads import FORM, sent_files, size_of
from orchestrator.api.visitors import Reader, Submitter
from tasks.errors import UnknownKnowledge
from tasks.ids import NAME
from tasks.knowledge import Added, BaseStats, Document, PassageHit
from tasks.refusals import UnknownFile

router = APIRouter(prefix="/knowledge", tags=["knowledge"])

BaseText = Annotated[str, Path(alias="name", description="Name of a knowledge base.", max_length=100)]


async def _shelves(door: TheDoor) -> Shelves:
    return shelves_of(door.shelves)


def _known(name: BaseText) -> str:
    if NAME.fullmatch(name) is None:  # what is no name is none of a base
        raise UnknownKnowledge(f"there is no knowledge base {name!r}")
    return name


TheShelves = Annotated[Shelves, Depends(_shelves)]
KnownBase = Annotated[str, Depends(_known)]


@router.get("", name="list")
async def list_bases(shelves: TheShelves, visitor: Reader, tenant: ForTenant = None) -> list[BaseStats]:
    """Knowledge bases, by name."""
    return await shelves.bases(acting_for(visitor, tenant))


@router.get("/{name}", responses=problems(404))
async def get(shelves: TheShelves, visitor: Reader, name: KnownBase, tenant: ForTenant = None) -> BaseStats:
    """How much a knowledge base holds."""
    return await shelves.stats(acting_for(visitor, tenant), name)


@router.get("/{name}/search", responses=problems(404))
async def search(
    shelves: TheShelves,
    visitor: Reader,
    name: KnownBase,
    q: Annotated[str, Query(min_length=1, max_length=1000, description="Words to look for.")],
    k: Annotated[int, Query(ge=1, le=100, description="How many passages, at most.")] = 6,
    tenant: ForTenant = None,
) -> list[PassageHit]:
    """Passages that fit some words, best first."""
    return await shelves.search(acting_for(visitor, tenant), name, q, k)


@router.get("/{name}/documents", responses=problems(404))
async def documents(shelves: TheShelves, visitor: Reader, name: KnownBase, tenant: ForTenant = None) -> list[Document]:
    """What is in a knowledge base, by path."""
    return await shelves.documents(acting_for(visitor, tenant), name)


@router.post("/{name}/documents", openapi_extra=FORM, responses=problems(415))
async def add_documents(
    request: Request, door: TheDoor, visitor: Submitter, name: BaseText, tenant: ForTenant = None
) -> Added:
    """Add documents, under whatever field; the base is made if there is none. A document of the same name is
    replaced. 422: none of them can be used."""
    owner = acting_for(visitor, tenant)
    shelves = shelves_of(door.shelves)
    place = shelves.sent_to(owner, name)
    async with sent_files(request, door.home) as files:
        same = [place / called for called, _ in files if "/" not in called and "\0" not in called]
        async with room_for(door, owner, size_of(files), same):
            return await shelves.add(owner, name, files)


@router.delete("/{name}/documents", status_code=204, responses=problems(404))
async def remove_document(
    shelves: TheShelves,
    visitor: Submitter,
    name: KnownBase,
    path: Annotated[str, Query(min_length=1, max_length=2000, description="As the list of documents has it.")],
    tenant: ForTenant = None,
) -> None:
    """Take one document out of a knowledge base."""
    if not await shelves.remove_document(acting_for(visitor, tenant), name, path):
        raise UnknownFile(f"there is no document {path!r} in knowledge base {name!r}")


@router.delete("/{name}", status_code=204, responses=problems(404))
async def delete(shelves: TheShelves, visitor: Submitter, name: KnownBase, tenant: ForTenant = None) -> None:
    """Delete a knowledge base, with the documents that were uploaded to it."""
    await shelves.remove(acting_for(visitor, tenant), name)
