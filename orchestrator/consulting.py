"""What steps ask people, for code of any thread."""

from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pydantic import JsonValue

from orchestrator.people import EVERY, AsyncPeople, Decide
from tasks.decisions import Decision
from tasks.results import Asked

if TYPE_CHECKING:
    from orchestrator.blocking import Troupe


class People:
    """What steps ask people. Its methods are those of `AsyncPeople`, without `await`."""

    def __init__(self, troupe: "Troupe", people: AsyncPeople) -> None:
        self._troupe = troupe
        self._people = people

    def list(self, limit: int = 100) -> list[Asked]:
        """All that is asked, the oldest first."""
        return self._troupe._run(self._people.list(limit))  # pyright: ignore[reportPrivateUsage]

    def approve(
        self, job_id: str, step: str, *, key: str | None = None, arguments: JsonValue = None, by: str = ""
    ) -> Asked:
        """Let a tool call be made: see `AsyncPeople.approve`."""
        approving = self._people.approve(job_id, step, key=key, arguments=arguments, by=by)
        return self._troupe._run(approving)  # pyright: ignore[reportPrivateUsage]

    def deny(self, job_id: str, step: str, *, key: str | None = None, reason: str = "", by: str = "") -> Asked:
        """Let a tool call not be made: see `AsyncPeople.deny`."""
        denying = self._people.deny(job_id, step, key=key, reason=reason, by=by)
        return self._troupe._run(denying)  # pyright: ignore[reportPrivateUsage]

    def answer(self, job_id: str, step: str, text: str, *, key: str | None = None, by: str = "") -> Asked:
        """Answer a question: see `AsyncPeople.answer`."""
        answering = self._people.answer(job_id, step, text, key=key, by=by)
        return self._troupe._run(answering)  # pyright: ignore[reportPrivateUsage]

    def decide(self, one: Asked, decision: Decision, *, by: str = "") -> Asked:
        """Record a decision: see `AsyncPeople.decide`."""
        return self._troupe._run(self._people.decide(one, decision, by=by))  # pyright: ignore[reportPrivateUsage]

    def asked(self, every: float | timedelta = EVERY) -> Iterator[Asked]:
        """Whatever is asked, each once, as it comes: see `AsyncPeople.asked`. Has no end."""
        coming = self._people.asked(every)
        while True:
            yield self._troupe._run(anext(coming))  # pyright: ignore[reportPrivateUsage, reportArgumentType]

    def watch(self, decide: Decide, *, by: str = "callback", every: float | timedelta = EVERY) -> "Watch":
        """Let code decide from now on, until the returned `Watch` is stopped: see `AsyncPeople.watch`.

        The callback runs in the client's own thread, or awaits there: it must not call this `Troupe`, and must not
        block for long.
        """
        return Watch(self._troupe._begin(self._people.watch(decide, by=by, every=every)))  # pyright: ignore[reportPrivateUsage]


class Watch:
    """Code that decides what steps ask. `stop` it, or use `with`; it ends with its `Troupe` too."""

    def __init__(self, running: Future[None]) -> None:
        self._running = running

    def stop(self) -> None:
        """Decide nothing more. A second call does nothing."""
        self._running.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
