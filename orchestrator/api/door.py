"""What all routes of one API share."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request

from orchestrator.api.filing import Room
from orchestrator.api.settings import ApiSettings
from orchestrator.api.shelves import Shelves
from orchestrator.client import AsyncTroupe
from orchestrator.webhooks import Hooks
from tasks.store import Store
from tasks.store.access import AccessStore
from tasks.store.audit import AuditLog
from tasks.store.snapshot import Snapshots
from tasks.store.spending import SpendingStore


@dataclass(slots=True)
class Door:
    """One API: the fleet behind it, and who may come in."""

    troupe: AsyncTroupe
    settings: ApiSettings
    home: Path
    """TROUPE_HOME: knowledge bases and uploaded files."""
    shelves: Shelves | None = None
    """Knowledge bases; None: this process cannot read them."""
    hooks: Hooks = field(init=False)
    """Who is to be told of a job's end."""
    streams: Counter[str] = field(default_factory=Counter[str])
    """Streams of events that are being read, by tenant."""
    rooms: dict[str, Room] = field(default_factory=dict[str, Room])
    """What is being stored, by tenant."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is to end: streams end, and their readers come back elsewhere."""

    def __post_init__(self) -> None:
        self.hooks = Hooks(self.store)

    @property
    def store(self) -> Store:
        """The shared state."""
        return self.troupe.store

    @property
    def access(self) -> AccessStore:
        """Keys and limits."""
        return AccessStore(self.store)

    @property
    def spending(self) -> SpendingStore:
        """What tenants spend in a day."""
        return SpendingStore(self.store)

    @property
    def audit(self) -> AuditLog:
        """What was done at the doors."""
        return AuditLog(self.store)

    @property
    def snapshots(self) -> Snapshots:
        """Jobs, as stored."""
        return Snapshots(self.store)


async def door_of(request: Request) -> Door:
    """The API that a request came to. Async, or each request would wait for a thread."""
    return cast(Door, request.app.state.door)


TheDoor = Annotated[Door, Depends(door_of)]
