"""The knowledge bases behind an API, as commands ask for those of this machine."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.remote.connection import Connection
from orchestrator.remote.knowledge import RemoteKnowledge
from orchestrator.remote.settings import RemoteSettings
from tasks.knowledge import SAME_CONTENT, Added, BaseStats, PassageHit, Skipped
from workers.cli.bases import OnProgress, Progress
from workers.cli.run_documents import OnSkipped
from workers.cli.sending import Gathered, gather, nothing_usable, run_name

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RemoteBases:
    """The knowledge bases of a tenant. Methods and errors are those of `workers.cli.bases.Bases`."""

    settings: RemoteSettings
    tenant: str | None = None
    """For operators, whose; None: those of the key's tenant."""

    def add(self, name: str, paths: Sequence[Path], on_progress: OnProgress) -> Added:
        """See `Bases.add`. Documents of a folder that are gone from it stay."""
        return self._send(name, paths, gather(paths), on_progress)

    def add_for_run(self, paths: Sequence[Path], on_progress: OnProgress, on_skipped: OnSkipped) -> str:
        """Send documents to the knowledge base that belongs to exactly these, and return its name.

        Raises:
            BadDocument: a path does not exist, or nothing usable stands below any of them.
        """
        gathered = gather(paths)
        added = self._send(run_name(gathered), paths, gathered, on_progress)
        for one in added.skipped:
            on_skipped(one.path, one.reason)
        return added.knowledge

    def search(self, name: str, query: str, k: int) -> list[PassageHit]:
        """See `Bases.search`."""
        return self._asked(lambda knowledge: knowledge.search(name, query, k))

    def stats(self, name: str) -> BaseStats:
        """See `Bases.stats`."""
        return self._asked(lambda knowledge: knowledge.stats(name))

    def every(self) -> list[BaseStats]:
        """See `Bases.every`."""
        return self._asked(lambda knowledge: knowledge.bases())

    def remove(self, name: str) -> None:
        """See `Bases.remove`. What was sent goes with it."""
        self._asked(lambda knowledge: knowledge.remove(name))

    def place(self, name: str) -> str:
        """Its address."""
        return f"{self.settings.api_url}/v1/knowledge/{name}"

    def _send(self, name: str, paths: Sequence[Path], gathered: Gathered, on_progress: OnProgress) -> Added:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            on_progress(Progress(name, done, len(gathered.paths)))

        added = self._asked(lambda knowledge: knowledge.add(name, gathered.paths, gathered.digests, advance))
        skipped = [*gathered.skipped, *(_with_paths(one, gathered) for one in added.skipped)]
        skipped.sort(key=lambda one: gathered.order.get(one.path, -1))
        if not (added.added or added.updated or added.unchanged or added.removed):
            raise nothing_usable(paths, [(one.path, one.reason) for one in skipped])
        return added.model_copy(update={"skipped": tuple(skipped)})

    def _asked(self, ask: Callable[[RemoteKnowledge], Coroutine[Any, Any, T]]) -> T:
        async def answer() -> T:
            api = Connection(self.settings)
            try:
                return await ask(RemoteKnowledge(api, self.tenant))
            finally:
                await api.close()

        return asyncio.run(answer())


def _with_paths(skipped: Skipped, gathered: Gathered) -> Skipped:
    """With paths in place of the names that documents were sent by."""
    owner = skipped.reason.removeprefix(SAME_CONTENT)
    same = skipped.reason.startswith(SAME_CONTENT) and owner in gathered.paths
    reason = f"{SAME_CONTENT}{gathered.paths[owner]}" if same else skipped.reason
    return Skipped(path=str(gathered.paths.get(skipped.path, skipped.path)), reason=reason)
