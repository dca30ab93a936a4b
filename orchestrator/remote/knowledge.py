"""Knowledge bases, over HTTP."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.errors import BadDocument, UnknownKnowledge
from tasks.knowledge import (
    SAME_CONTENT,
    Added,
    BaseStats,
    Document,
    NothingUsable,
    PassageHit,
    Skipped,
    base_name,
    unknown_base,
)
from tasks.refusals import NotAllowed

if TYPE_CHECKING:
    from orchestrator.remote.connection import Connection, Query, Reply

MOST_FILES: Final = 50
"""Documents of one request: half of what an API takes. Progress is seen, and no request is long."""
MOST_BYTES: Final = 20_000_000
"""Bytes of them together, unless one alone has more."""
READING_S: Final = 600.0
"""How long the API may take to read them."""
COUNTS: Final = ("added", "updated", "unchanged", "removed", "skipped")

Named = tuple[str, Path]
"""A document: what it is to be called there, and where it is."""


def _unseen(_count: int) -> None: ...


class RemoteKnowledge:
    """The knowledge bases of a tenant.

    Args:
        tenant: For operators, whose; None: those of the key's tenant.

    Raises:
        UnknownKnowledge: there is none of that name; the message lists those there are.
        ContractError: the name is none.
        ApiUnavailable: no answer.
    """

    def __init__(self, api: "Connection", tenant: str | None = None) -> None:
        self._api = api
        self._tenant = tenant

    async def bases(self) -> list[BaseStats]:
        """All of them, by name."""
        reply = await self._api.ask("GET", "knowledge", query={"tenant": self._tenant})
        return reply.read(list[BaseStats])

    async def stats(self, name: str) -> BaseStats:
        """How much one holds."""
        return (await self._ask("GET", name)).read(BaseStats)

    async def search(self, name: str, query: str, k: int) -> list[PassageHit]:
        """Passages that fit some words, best first."""
        reply = await self._ask("GET", name, "/search", query={"q": query, "k": k})
        return reply.read(list[PassageHit])

    async def documents(self, name: str) -> list[Document]:
        """What is in one, by path."""
        return (await self._ask("GET", name, "/documents")).read(list[Document])

    async def add(
        self,
        name: str,
        paths: Mapping[str, Path],
        digests: Mapping[str, str],
        on_done: Callable[[int], None] = _unseen,
    ) -> Added:
        """Send documents, in as many requests as they take. What is there with the same content is not sent.

        So a second call goes on where one was cut short.

        Args:
            paths: Where the documents are, by the names that they are to have. One of a known name is replaced.
            digests: SHA-256 of their contents, in hex, by the same names.
            on_done: Called with the number of documents that came of it, request by request.

        Returns:
            What became of all of them, by their names there. Where none can be used, nothing has changed.

        Raises:
            PayloadTooLarge: one document is, or all that the tenant keeps; what was sent before is kept.
        """
        held = await self._held(base_name(name))
        known = {one.path: one.digest for one in held or ()}
        unchanged = [one for one in paths if known.get(one) == digests[one]]
        same = _equal_ones(known, digests) if held is not None else {}
        done = Added(
            knowledge=name,
            added=0,
            updated=0,
            unchanged=len(unchanged),
            removed=0,
            skipped=tuple(Skipped(path=one, reason=f"{SAME_CONTENT}{owner}") for one, owner in same.items()),
            documents=len(known),
            passages=sum(one.passages for one in held or ()),
        )
        on_done(len(unchanged) + len(same))
        settled = {*unchanged, *same}
        for batch in batches((one, path) for one, path in paths.items() if one not in settled):
            done = await self._send(batch, done)
            on_done(len(batch))
        return done

    async def remove(self, name: str) -> None:
        """Delete one, with the documents that were sent to it."""
        await self._ask("DELETE", name)

    async def _held(self, name: str) -> list[Document] | None:
        """What is there; None where the key may add and not read: then all is sent, and found unchanged there."""
        try:
            return await self.documents(name)
        except UnknownKnowledge:
            return []
        except NotAllowed:
            return None

    async def _send(self, batch: Iterable[Named], before: Added) -> Added:
        """Send some more, and sum up."""
        with ExitStack() as opened:
            try:
                files = [("files", (name, opened.enter_context(path.open("rb")))) for name, path in batch]
            except OSError as error:
                raise BadDocument(f"{error.filename}: {error.strerror}") from error
            try:
                reply = await self._ask("POST", before.knowledge, "/documents", uploads=files, wait=READING_S)
            except NothingUsable as refused:
                skipped = (Skipped(path=name, reason=reason) for name, reason in refused.faults)
                return before.model_copy(update={"skipped": (*before.skipped, *skipped)})
        now = reply.read(Added)
        return now.model_copy(update={count: getattr(before, count) + getattr(now, count) for count in COUNTS})

    async def _ask(
        self, method: str, name: str, part: str = "", *, query: "Query | None" = None, **how: Any
    ) -> "Reply":
        asked: Query = {**(query or {}), "tenant": self._tenant}
        try:
            return await self._api.ask(method, f"knowledge/{base_name(name)}{part}", query=asked, **how)
        except UnknownKnowledge as error:
            try:
                known = [one.name for one in await self.bases()]
            except NotAllowed:
                raise error from None
            raise unknown_base(name, known) from error


def batches(files: Iterable[Named]) -> Iterator[list[Named]]:
    """What goes in one request each."""
    batch: list[Named] = []
    size = 0
    for name, path in files:
        more = _size(path)
        if batch and (len(batch) == MOST_FILES or size + more > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((name, path))
        size += more
    if batch:
        yield batch


def _equal_ones(known: Mapping[str, str], digests: Mapping[str, str]) -> dict[str, str]:
    """New documents that need not be sent, each with one of the same content that is there and stays. Of several new
    ones that are equal, which can be read is found out there."""
    owners = {digest: name for name, digest in known.items() if digest and digests.get(name, digest) == digest}
    return {name: owners[digest] for name, digest in digests.items() if name not in known and digest in owners}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # whoever opens it says so
        return 0
