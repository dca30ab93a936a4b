"""What was done at the doors, and by whom."""

from typing import Any, Final, cast

from pydantic import ValidationError

from tasks.access import Audited
from tasks.errors import ContractError
from tasks.store.failures import translated
from tasks.store.store import Store

KEPT: Final = 100_000
"""Lines, about; the oldest go."""
PAGE: Final = 1_000
"""Lines looked at in one round trip."""
MOST: Final = 10_000
"""Lines read at once."""


class AuditLog:
    """A stream of lines. Each call raises StoreUnavailable when no answer comes in time."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def write(self, *lines: Audited) -> None:
        """Add lines. One round trip each: what a request did is one line."""
        for line in lines:
            text = line.model_dump_json(exclude_defaults=True)
            async with translated(self.store.settings):
                await self.store.redis.xadd(
                    self.store.keys.audit(), {"tenant": line.tenant or "", "line": text}, maxlen=KEPT, approximate=True
                )

    async def read(self, limit: int, tenant: str | None = None) -> list[Audited]:
        """The newest lines, newest first; those of a later release that cannot be read are left out.

        Args:
            limit: 1 to 10,000.
            tenant: Only what was done with its keys; looks through all lines that are kept if need be.

        Raises:
            ContractError: another limit.
        """
        if not 1 <= limit <= MOST:
            raise ContractError(f"limit: 1 to {MOST:,} lines, not {limit}")
        found: list[Audited] = []
        last = "+"
        while len(found) < limit and (rows := await self._page(last)):
            last = f"({rows[-1][0]}"
            wanted = (fields["line"] for _, fields in rows if tenant in {None, fields["tenant"]})
            found += [line for text in wanted if (line := _read(text)) is not None]
        return found[:limit]

    async def _page(self, last: str) -> list[tuple[str, dict[str, str]]]:
        async with translated(self.store.settings):
            reply = await cast(Any, self.store.redis).xrevrange(self.store.keys.audit(), last, "-", count=PAGE)
        return cast("list[tuple[str, dict[str, str]]]", reply)


def _read(text: str) -> Audited | None:
    try:
        return Audited.model_validate_json(text)
    except ValidationError:
        return None
