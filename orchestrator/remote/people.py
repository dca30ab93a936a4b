"""What steps ask people, over HTTP."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pydantic import JsonValue

from orchestrator.people import MAX_TEXT_CHARS, AsyncPeople, Places
from tasks.errors import ContractError, NotAsked
from tasks.ids import STEP_ID, StepId, parse_job_id
from tasks.results import Asked

if TYPE_CHECKING:
    from orchestrator.remote.connection import Connection

MOST: Final = 1_000
"""Things that are looked at together."""


class RemotePeople(AsyncPeople):
    """Approvals and questions that wait. Methods and errors are those of `AsyncPeople`.

    Who decided is the name of the key, whatever `by` says.
    """

    def __init__(self, api: "Connection") -> None:
        self._api = api

    async def list(self, limit: int = 100) -> list[Asked]:
        """See `AsyncPeople.list`. Those that the key may see, at most 1,000."""
        if limit < 1:
            return []
        return (await self._api.ask("GET", "asked", query={"limit": min(limit, MOST)})).read(list[Asked])

    async def approve(
        self, job_id: str, step: str, *, key: str | None = None, arguments: JsonValue = None, by: str = ""
    ) -> Asked:
        """See `AsyncPeople.approve`."""
        if arguments is not None and not isinstance(arguments, dict):
            raise ContractError(f"give the arguments as an object, not {arguments!r}")
        return await self._say(job_id, step, "approve", {"key": key, "arguments": arguments})

    async def deny(self, job_id: str, step: str, *, key: str | None = None, reason: str = "", by: str = "") -> Asked:
        """See `AsyncPeople.deny`."""
        return await self._say(job_id, step, "deny", {"key": key, "reason": reason[:MAX_TEXT_CHARS]})

    async def answer(self, job_id: str, step: str, text: str, *, key: str | None = None, by: str = "") -> Asked:
        """See `AsyncPeople.answer`."""
        return await self._say(job_id, step, "answer", {"key": key, "text": text[:MAX_TEXT_CHARS]})

    async def _fresh(self, seen: Places) -> tuple[Sequence[Asked], Places]:
        waiting = {(one.job_id, StepId(one.step), one.key): one for one in await self.list(MOST)}
        return [one for place, one in waiting.items() if place not in seen], frozenset(waiting)

    async def _say(self, job_id: str, step: str, move: str, body: dict[str, JsonValue]) -> Asked:
        job = parse_job_id(job_id)
        if STEP_ID.fullmatch(step) is None:
            raise NotAsked(f"job {job} has no step {step!r}: see troupe show {job}")
        said = {name: value for name, value in body.items() if value is not None}
        return (await self._api.ask("POST", f"jobs/{job}/steps/{step}/{move}", body=said)).read(Asked)
