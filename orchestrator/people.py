"""What people are asked by steps that wait for them, and what they decide."""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue, SecretStr

from tasks.errors import NotAsked
from tasks.ids import JobId, StepId, parse_job_id
from tasks.results import Asked
from tasks.signing import approval_parts, digest, sign
from tasks.store.store import Store
from tasks.store.waits import Recorded, Wait, WaitKind, WaitStore

MAX_TEXT_CHARS: Final = 20_000
"""Longest answer or reason."""


class AsyncPeople:
    """Approvals and questions that wait."""

    def __init__(self, store: Store, secret: SecretStr) -> None:
        self._waits = WaitStore(store)
        self._secret = secret

    async def list(self, limit: int = 100) -> list[Asked]:
        """All that is asked, the oldest first."""
        found: list[Asked] = []
        for job, step, key in await self._waits.asked(limit):
            found += [_asked(wait) for wait in await self._waits.of_step(job, step) if wait.key == key]
        return found

    async def approve(
        self, job_id: str, step: str, *, key: str | None = None, arguments: JsonValue = None, by: str = ""
    ) -> Asked:
        """Let a tool call be made.

        Args:
            key: Which one, where the step waits for several.
            arguments: Those that it is to be made with in place of its own.
            by: Who said so; kept with it.

        Raises:
            NotAsked: no such approval is waited for, or it was decided before.
        """
        wait = await self._the_one(job_id, step, key, WaitKind.APPROVAL)
        about = _data(wait)
        what = str(about.get("digest")) if arguments is None else digest(arguments)
        parts = approval_parts(wait.job, wait.step, wait.key, str(about.get("tool")), what)
        outcome: dict[str, JsonValue] = {"kind": "approved", "signature": sign(self._secret, *parts), "by": by}
        if arguments is not None:
            outcome["input"] = arguments
        return await self._record(wait, outcome)

    async def deny(self, job_id: str, step: str, *, key: str | None = None, reason: str = "", by: str = "") -> Asked:
        """Let a tool call not be made; its agent is told the reason and goes on without it.

        Raises:
            NotAsked: as for `approve`.
        """
        wait = await self._the_one(job_id, step, key, WaitKind.APPROVAL)
        return await self._record(wait, {"kind": "denied", "reason": reason[:MAX_TEXT_CHARS], "by": by})

    async def answer(self, job_id: str, step: str, text: str, *, key: str | None = None, by: str = "") -> Asked:
        """Answer a question.

        Raises:
            NotAsked: as for `approve`.
        """
        wait = await self._the_one(job_id, step, key, WaitKind.QUESTION)
        return await self._record(wait, {"kind": "answer", "text": text[:MAX_TEXT_CHARS], "by": by})

    async def _the_one(self, job_id: str, step: str, key: str | None, kind: WaitKind) -> Wait:
        waits = await self._waits.of_step(parse_job_id(job_id), StepId(step))
        fitting = [one for one in waits if _kind(one) is kind and (key is None or one.key == key)]
        waiting = [one for one in fitting if one.outcome is None]
        if not waiting:
            why = "it was decided before" if fitting else "nothing of that kind is asked"
            raise NotAsked(f"step {step!r} of job {job_id} waits for no {kind}: {why}")
        if len(waiting) > 1:
            raise NotAsked(f"step {step!r} waits for several; say which: {', '.join(one.key for one in waiting)}")
        return waiting[0]

    async def _record(self, wait: Wait, outcome: dict[str, JsonValue]) -> Asked:
        recorded = await self._waits.outcome(wait.job, wait.step, wait.key, outcome)
        if recorded is not Recorded.DONE:
            raise NotAsked(f"step {wait.step!r} of job {wait.job} no longer waits for it: {recorded}")
        return _asked(wait)


def _data(wait: Wait) -> Mapping[str, JsonValue]:
    return wait.data if isinstance(wait.data, dict) else {}


def _kind(wait: Wait) -> WaitKind | None:
    data = _data(wait)
    return WaitKind.APPROVAL if "tool" in data else WaitKind.QUESTION if "question" in data else None


def _asked(wait: Wait) -> Asked:
    data, kind = _data(wait), _kind(wait)
    options = data.get("options")
    return Asked(
        job_id=JobId(wait.job),
        step=wait.step,
        key=wait.key,
        kind=kind.value if kind else "unknown",
        agent=str(data.get("agent") or ""),
        tool=str(data["tool"]) if "tool" in data else None,
        input=data.get("input"),
        question=str(data["question"]) if "question" in data else None,
        options=tuple(map(str, options)) if isinstance(options, list) else (),
        expires_at=wait.expires_at,
    )
