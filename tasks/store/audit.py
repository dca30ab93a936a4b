"""What was done at the doors, and by whom."""

from datetime import timedelta
from typing import Any, Final, cast

from pydantic import ValidationError

from tasks.access import Audited
from tasks.errors import ContractError
from tasks.store.failures import translated
from tasks.store.store import Store

KEPT: Final = 100_000
"""Lines, about; the oldest go."""
KEPT_OF_TENANT: Final = 10_000
"""The same of each tenant, in a list of its own: what others do a thousand times does not push its lines out."""
OWN_FOR: Final = timedelta(days=400)
"""How long a tenant's list is kept after its last line."""
PAGE: Final = 1_000
"""Lines looked at in one round trip."""
MOST: Final = 10_000
"""Lines read at once."""


class AuditLog:
    """A stream of lines. Each call raises StoreUnavailable when no answer comes in time."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def write(self, *lines: Audited) -> None:
        """Add lines: to the list of all, and to that of their tenant. One round trip each: what a request did is one
        line."""
        for line in lines:
            fields: dict[str, str] = {"line": line.model_dump_json(exclude_defaults=True)}
            async with translated(self.store.settings):
                pipe = cast(Any, self.store.redis).pipeline(transaction=False)
                pipe.xadd(self.store.keys.audit(), fields, maxlen=KEPT, approximate=True)
                if line.tenant:
                    own = self.store.keys.audit(line.tenant)
                    pipe.xadd(own, fields, maxlen=KEPT_OF_TENANT, approximate=True)
                    pipe.pexpire(own, OWN_FOR)
                await pipe.execute()

    async def read(self, limit: int, tenant: str | None = None) -> list[Audited]:
        """The newest lines, newest first; those of a later release that cannot be read are left out.

        Args:
            limit: 1 to 10,000.
            tenant: Only what was done with its keys.

        Raises:
            ContractError: another limit.
        """
        if not 1 <= limit <= MOST:
            raise ContractError(f"limit: 1 to {MOST:,} lines, not {limit}")
        found: list[Audited] = []
        last = "+"
        key = self.store.keys.audit(tenant)
        while len(found) < limit and (rows := await self._page(key, last)):
            last = f"({rows[-1][0]}"
            found += [line for _, fields in rows if (line := _read(fields["line"])) is not None]
        return found[:limit]

    async def _page(self, key: str, last: str) -> list[tuple[str, dict[str, str]]]:
        async with translated(self.store.settings):
            reply = await cast(Any, self.store.redis).xrevrange(key, last, "-", count=PAGE)
        return cast("list[tuple[str, dict[str, str]]]", reply)


def _read(text: str) -> Audited | None:
    try:
        return Audited.model_validate_json(text)
    except ValidationError:
        return None
