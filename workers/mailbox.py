"""What a running step says to others of its job, and hears from them."""

from dataclasses import dataclass

from pydantic import JsonValue

from tasks.board import Mail
from tasks.errors import AttemptOver
from tasks.ids import AttemptRef
from tasks.models import Claim
from tasks.store import Refusal
from tasks.store.board import MAX_MAIL, MAX_MAIL_BYTES, BoardStore


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The board of the job as one attempt sees it."""

    store: BoardStore
    claim: Claim

    @property
    def ref(self) -> AttemptRef:
        """The attempt."""
        return AttemptRef(self.claim.job.id, self.claim.step.id, self.claim.attempt)

    async def post(self, key: str, content: JsonValue, to: str | None) -> int:
        """Say something, once for each key; its number.

        Raises:
            AttemptOver: this attempt may say nothing any more.
            ContractError: see `BoardStore.post`.
            StoreUnavailable: the store is away.
        """
        number = await self.store.post(self.ref, key, content, agent=self.claim.step.agent, to=to)
        if isinstance(number, Refusal):
            raise AttemptOver(f"the attempt is over: {number}")
        return number

    async def read(
        self,
        key: str,
        since: int,
        *,
        noted: bool = True,
        most: int = MAX_MAIL,
        most_bytes: int = MAX_MAIL_BYTES,
    ) -> Mail:
        """What it was told since a number; under one key as far as the first time.

        Raises:
            AttemptOver, ContractError, StoreUnavailable: as `post` does.
        """
        mail = await self.store.read(
            self.ref, key, since, agent=self.claim.step.agent, noted=noted, most=most, most_bytes=most_bytes
        )
        if isinstance(mail, Refusal):
            raise AttemptOver(f"the attempt is over: {mail}")
        return mail
