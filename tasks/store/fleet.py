"""Which processes are alive: workers and orchestrators announce themselves with an end; the silent are dropped."""

import re
from collections.abc import Sequence
from typing import Final, TypeVar, cast

from pydantic import ValidationError

from tasks.models import AgentDefinition
from tasks.presence import MetricsPresence, OrchestratorPresence, WorkerPresence
from tasks.store.failures import translated
from tasks.store.keys import METRICS, ORCHESTRATORS, TOOLS, WORKERS
from tasks.store.scripts import ALIVE, ANNOUNCE
from tasks.store.store import Store
from tasks.tool_figures import ToolDefinition, ToolPresence, tools_of

MAX_VERSION_CHARS: Final = 100
"""What is looked at of a version. Python refuses numbers of thousands of digits."""

Presence = WorkerPresence | OrchestratorPresence | ToolPresence | MetricsPresence
P = TypeVar("P", WorkerPresence, OrchestratorPresence, ToolPresence, MetricsPresence)


class FleetStore:
    """Announcements of processes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.holds_ms = int(store.settings.presence_s * 1000)

    async def announce(self, presence: Presence) -> None:
        """Say that this process is alive, for `presence_s` from now."""
        await self._announce(_role(presence), presence.name, presence.model_dump_json(exclude_defaults=True))

    async def leave(self, presence: Presence) -> None:
        """Say that this process has ended."""
        await self._announce(_role(presence), presence.name, "")

    async def workers(self) -> list[WorkerPresence]:
        """Living workers, by name. One of another release whose announcement cannot be read is left out."""
        return [
            presence for text in await self._alive(WORKERS) if (presence := _parse(WorkerPresence, text)) is not None
        ]

    async def orchestrators(self) -> list[OrchestratorPresence]:
        """Living orchestrators, by name."""
        return [
            presence
            for text in await self._alive(ORCHESTRATORS)
            if (presence := _parse(OrchestratorPresence, text)) is not None
        ]

    async def agents(self) -> list[AgentDefinition]:
        """Agents of living workers, by name; of one announced in several versions, the highest."""
        return agents_of(await self.workers())

    async def tools(self) -> list[ToolDefinition]:
        """Tools of living workers, by name."""
        found = [_parse(ToolPresence, text) for text in await self._alive(TOOLS)]
        return tools_of(presence for presence in found if presence is not None)

    async def metrics(self) -> list[MetricsPresence]:
        """Where living processes serve their figures, by the processes' names."""
        found = [_parse(MetricsPresence, text) for text in await self._alive(METRICS)]
        return [presence for presence in found if presence is not None]

    async def _announce(self, role: str, name: str, text: str) -> None:
        async with translated(self.store.settings):
            await ANNOUNCE.run(self.store.redis, self.store.keys.fleet(role), [name, text, self.holds_ms])

    async def _alive(self, role: str) -> list[str]:
        async with translated(self.store.settings):
            reply = await ALIVE.run(self.store.redis, self.store.keys.fleet(role), [])
        return cast("list[str]", reply)


def agents_of(workers: Sequence[WorkerPresence]) -> list[AgentDefinition]:
    """Agents that these workers offer, by name; of several versions the highest."""
    found: dict[str, AgentDefinition] = {}
    for worker in workers:
        for agent in worker.agents:
            known = found.get(agent.name)
            if known is None or _rank(known.version) < _rank(agent.version):
                found[agent.name] = agent
    return [found[name] for name in sorted(found)]


def _rank(version: str) -> tuple[tuple[int, str], ...]:
    """Versions in order: numbers by value, so that 10 comes after 9."""
    parts = re.findall(r"\d+|[^\d.]+", version[:MAX_VERSION_CHARS])
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def _role(presence: Presence) -> str:
    match presence:
        case WorkerPresence():
            return WORKERS
        case OrchestratorPresence():
            return ORCHESTRATORS
        case ToolPresence():
            return TOOLS
        case MetricsPresence():
            return METRICS


def _parse(kind: type[P], text: str) -> P | None:
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        return None
