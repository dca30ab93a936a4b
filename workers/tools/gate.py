"""Rate limits of tools over the whole fleet."""

from datetime import timedelta

from tasks.store.limits import LimitStore
from workers.tools.base import Tool


class StoreGate:
    """At most `rate_limit` runs of a tool begin in any minute, whichever process they are in.

    A store that is away admits nothing: a limit may be somebody else's rule, and the model learns that it can go on
    without this call.
    """

    def __init__(self, limits: LimitStore) -> None:
        self._limits = limits

    async def admit(self, tool: Tool) -> timedelta | None:
        """See `ToolGate.admit`.

        Raises:
            StoreUnavailable: the limit cannot be known now.
        """
        return None if tool.rate_limit is None else await self._limits.admit(tool.name, tool.rate_limit)
