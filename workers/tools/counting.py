"""Counts the tool calls of a process and brings the counts to the fleet's, a batch each second.

A batch has a number: one whose answer was lost is sent again as it was, and added once. A process that is killed takes
what it counted since its last batch along, a second's calls; one that stops brings its last batch.
"""

import asyncio
from secrets import token_hex
from typing import Final

import structlog

from tasks.errors import StoreUnavailable
from tasks.store.tool_stats import MAX_PAIRS, Pair, ToolStats
from tasks.tool_counts import OTHER, UNKNOWN, ToolCounts, plain_name
from workers.context import running_step
from workers.tools.base import ToolCall
from workers.tools.codes import Code

EVERY_S: Final = 1.0
"""Time between two batches: what a killed process loses of its counts."""
NOBODY: Final = "(nobody)"
"""Agent of calls outside a step."""

log = structlog.get_logger("worker")


class CallCounter:
    """Counts of one process. Lives in one event loop. Of constant size, also while the store is away."""

    def __init__(self, stats: ToolStats, every_s: float = EVERY_S) -> None:
        self._stats = stats
        self._every_s = every_s
        self._name = token_hex(8)
        self._number = 1
        self._batch: dict[Pair, ToolCounts] = {}
        """On its way; kept as it is until it is known to be added."""
        self._next: dict[Pair, ToolCounts] = {}
        self._away = False

    def note(self, call: ToolCall) -> None:
        """Count a call for the agent whose step is running."""
        step = running_step()
        agent = plain_name(step.claim.step.agent) if step is not None else NOBODY
        made_up = call.code == Code.UNKNOWN_TOOL and call.tries == 0
        pair = (agent, UNKNOWN if made_up else plain_name(call.tool))
        if pair not in self._next and len(self._next) >= MAX_PAIRS:
            pair = (OTHER, OTHER)
        counts = self._next.setdefault(pair, ToolCounts())
        counts.note(call.duration_ms if call.tries else None, code=call.code, success=call.success)

    async def keep(self) -> None:
        """Bring the counts each second, for ever."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.flush()
            except Exception:  # statistics must not cost the process its loop of chores
                log.exception("statistics_failed")

    async def flush(self) -> None:
        """Bring what was counted. A store that is away, or full, gets it with a later call."""
        if not self._batch:
            self._batch, self._next = self._next, {}
        if not self._batch:
            return
        try:
            await self._stats.add(self._name, self._number, self._batch)
        except StoreUnavailable as error:
            if not self._away:
                log.warning("statistics_wait", reason=str(error))
            self._away = True
            return
        self._batch, self._number, self._away = {}, self._number + 1, False
