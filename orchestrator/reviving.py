"""Steps that were given up, for code that blocks: a facade over `AsyncDeadList`."""

from typing import TYPE_CHECKING

from orchestrator.dead import AsyncDeadList
from tasks.results import DeadStep

if TYPE_CHECKING:
    from orchestrator.blocking import Troupe


class DeadList:
    """Steps that were given up. Its methods are those of `AsyncDeadList`, without `await`."""

    def __init__(self, troupe: "Troupe", dead: AsyncDeadList) -> None:
        self._troupe = troupe
        self._dead = dead

    def list(self, limit: int = 100) -> list[DeadStep]:
        """The steps that were given up last, newest first."""
        return self._troupe._run(self._dead.list(limit))  # pyright: ignore[reportPrivateUsage]

    def show(self, job: str, step: str) -> DeadStep:
        """One step that was given up: see `AsyncDeadList.show`."""
        return self._troupe._run(self._dead.show(job, step))  # pyright: ignore[reportPrivateUsage]

    def retry(self, job: str, *steps: str) -> None:
        """Try steps of one job again: see `AsyncDeadList.retry`."""
        self._troupe._run(self._dead.retry(job, *steps))  # pyright: ignore[reportPrivateUsage]

    def drop(self, job: str, step: str) -> None:
        """Take a step off the list: see `AsyncDeadList.drop`."""
        self._troupe._run(self._dead.drop(job, step))  # pyright: ignore[reportPrivateUsage]
