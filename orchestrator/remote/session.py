"""A producer's handle on one session, over HTTP."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, JsonValue

from orchestrator.sessions import AsyncSessionHandle
from tasks.errors import UnknownSession
from tasks.ids import SessionId
from tasks.sessions import AgentState, Block, Message, Role, TaskState

if TYPE_CHECKING:
    from orchestrator.remote.client import RemoteTroupe

NEWEST = 1_000


class _Number(BaseModel):
    seq: int


class RemoteSessionHandle(AsyncSessionHandle):
    """One session, over HTTP. Methods and errors are those of `AsyncSessionHandle`.

    `id` is what it was asked for by: the API makes the whole id of a name, which a loaded state carries.
    """

    def __init__(self, troupe: "RemoteTroupe", session: SessionId) -> None:
        super().__init__(troupe, session)
        self._api = troupe.api
        self._path = f"sessions/{session}"

    async def append(
        self, role: Role, content: str | Sequence[Block], metadata: Mapping[str, JsonValue] | None = None
    ) -> int:
        """See `AsyncSessionHandle.append`."""
        said = content if isinstance(content, str) else [dict(block) for block in content]
        body = {"role": role, "content": said, "metadata": dict(metadata or {})}
        return (await self._api.ask("POST", f"{self._path}/append", body=body)).read(_Number).seq

    async def state(self, *, newest: int = NEWEST) -> AgentState:
        """See `AsyncSessionHandle.state`. At most the newest 1,000 messages come with it; `messages` gives all."""
        query = {"newest": min(max(newest, 0), NEWEST)}
        return (await self._api.ask("GET", self._path, query=query)).read(AgentState)

    async def save(self, state: AgentState) -> AgentState:
        """See `AsyncSessionHandle.save`."""
        body = state.model_dump(mode="json")
        return (await self._api.ask("PUT", f"sessions/{state.session_id}", body=body)).read(AgentState)

    async def update_task_state(self, changes: Mapping[str, JsonValue | TaskState]) -> None:
        """See `AsyncSessionHandle.update_task_state`."""
        plain = {
            name: value.model_dump(mode="json") if isinstance(value, TaskState) else value
            for name, value in changes.items()
        }
        await self._api.ask("PATCH", f"{self._path}/task-state", body={"changes": plain}, again=True)

    async def delete(self) -> bool:
        """See `AsyncSessionHandle.delete`."""
        try:
            await self._api.ask("DELETE", self._path)
        except UnknownSession:
            return False
        return True

    async def _page(self, after: int, limit: int) -> list[Message]:
        query = {"after": max(after, 0), "limit": limit}
        try:
            return (await self._api.ask("GET", f"{self._path}/messages", query=query)).read(list[Message])
        except UnknownSession:  # which has no messages
            return []
