"""The list of the dead, over HTTP."""

from typing import TYPE_CHECKING, Final

from orchestrator.dead import AsyncDeadList
from tasks.errors import NotDead
from tasks.ids import STEP_ID, parse_job_id
from tasks.results import DeadStep

if TYPE_CHECKING:
    from orchestrator.remote.connection import Connection


MOST: Final = 1_000
"""Steps that an API lists at once."""


class RemoteDeadList(AsyncDeadList):
    """Steps that were given up. Methods and errors are those of `AsyncDeadList`."""

    def __init__(self, api: "Connection") -> None:
        self._api = api

    async def list(self, limit: int = 100) -> list[DeadStep]:
        """See `AsyncDeadList.list`. Those that the key may see, at most 1,000."""
        if limit < 1:
            return []
        return (await self._api.ask("GET", "dead", query={"limit": min(limit, MOST)})).read(list[DeadStep])

    async def show(self, job: str, step: str) -> DeadStep:
        """See `AsyncDeadList.show`."""
        return (await self._api.ask("GET", _place(job, step))).read(DeadStep)

    async def retry(self, job: str, *steps: str) -> None:
        """See `AsyncDeadList.retry`."""
        name, wanted = parse_job_id(job), list(dict.fromkeys(steps))
        for step in wanted:
            if STEP_ID.fullmatch(step) is None:
                raise NotDead(f"job {name} has no step {step!r}")
        if wanted:
            await self._api.ask("POST", f"dead/{name}/retry", body={"steps": wanted})

    async def drop(self, job: str, step: str) -> None:
        """See `AsyncDeadList.drop`."""
        await self._api.ask("DELETE", _place(job, step))


def _place(job: str, step: str) -> str:
    name = parse_job_id(job)
    if STEP_ID.fullmatch(step) is None:
        raise NotDead(f"step {step!r} of job {name} is not in the dead list: see troupe dead list")
    return f"dead/{name}/{step}"
