"""What people are asked by steps that wait for them, and what they decide."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final, assert_never

from pydantic import JsonValue, SecretStr, ValidationError

from tasks.decisions import Answer, Approve, Decision, Deny, StepEdit
from tasks.errors import ContractError, DamagedRecord, NotAsked, NotGenuine, TransientError
from tasks.ids import JobId, StepId, parse_job_id
from tasks.library_log import LibraryLog
from tasks.results import Asked
from tasks.signing import Place, as_decided, is_asked
from tasks.store.snapshot import Snapshots
from tasks.store.store import Store
from tasks.store.waits import Recorded, Wait, WaitKind, WaitStore

log = LibraryLog("troupe.people")

MAX_TEXT_CHARS: Final = 20_000
"""Longest answer or reason."""
MOST: Final = 10_000
"""Things that are looked at together."""
EVERY: Final = timedelta(seconds=0.5)
"""Between two looks for what is asked."""

Places = frozenset[tuple[JobId, StepId, str]]
"""Things that are asked: job, step and key."""
Decide = Callable[[Asked], Decision | Awaitable[Decision | None] | None]
"""A callback: what it decides about what is asked; None leaves it to others."""


Keep = Callable[[Collection[JobId]], Awaitable[Collection[JobId]]]
"""Which of some jobs are looked at."""


class AsyncPeople:
    """Approvals and questions that wait."""

    def __init__(self, store: Store, secret: SecretStr, keep: Keep | None = None) -> None:
        """Connect to nothing yet.

        Args:
            keep: `list` has what these jobs ask only, of the 10,000 oldest things that are asked.
        """
        self._keep = keep
        self._waits = WaitStore(store)
        self._snapshots = Snapshots(store)
        self._secret = secret

    async def list(self, limit: int = 100) -> list[Asked]:
        """All that is asked, the oldest first."""
        rows = await self._waits.asked_since(limit if self._keep is None else MOST)
        if self._keep is not None:
            kept = await self._keep({place[0] for _, place in rows})
            rows = [row for row in rows if row[1][0] in kept][:limit]
        found = [(at, await self._find(*place)) for at, place in rows]
        return [one.model_copy(update={"asked_at": at}) for at, one in found if one is not None]

    async def asked(self, every: float | timedelta = EVERY) -> AsyncIterator[Asked]:
        """Whatever is asked, each once, as it comes; those first that wait already. Has no end.

        Args:
            every: Seconds (or a timedelta) between two looks.
        """
        pause = every / timedelta(seconds=1) if isinstance(every, timedelta) else every
        seen = Places()
        while True:
            try:
                fresh, seen = await self._fresh(seen)
                for one in fresh:
                    yield one
            except TransientError as error:  # some may come a second time then: to decide twice does no harm
                log.warning("people_not_seen", reason=str(error))
            await asyncio.sleep(pause)

    async def watch(self, decide: Decide, *, by: str = "callback", every: float | timedelta = EVERY) -> None:
        """Let code decide: call it with each thing that is asked, once, and record what it says. Ends when cancelled.

        A callback that raises has decided nothing: the thing waits for others, and this goes on. Whatever is decided
        elsewhere meanwhile stands.

        Args:
            decide: May be async.
            by: Who is said to have decided.
        """
        async for one in self.asked(every):
            try:
                said = decide(one)
                decision = await said if inspect.isawaitable(said) else said
                if decision is not None:
                    await self.decide(one, decision, by=by)
            except NotAsked:
                log.info("decided_elsewhere", job=one.job_id, step=one.step)
            except Exception:  # foreign code: what it does with one must not keep the others from being decided
                log.exception("decision_failed", job=one.job_id, step=one.step)

    async def decide(self, one: Asked, decision: Decision, *, by: str = "") -> Asked:
        """Record a decision: `approve`, `deny` or `answer`, as it says.

        Raises:
            NotAsked, NotGenuine, ContractError: as those do.
        """
        match decision:
            case Approve(arguments):
                return await self.approve(one.job_id, one.step, key=one.key, arguments=arguments, by=by)
            case Deny(reason):
                return await self.deny(one.job_id, one.step, key=one.key, reason=reason, by=by)
            case Answer(text):
                return await self.answer(one.job_id, one.step, text, key=one.key, by=by)
            case _:
                assert_never(decision)

    async def approve(
        self, job_id: str, step: str, *, key: str | None = None, arguments: JsonValue = None, by: str = ""
    ) -> Asked:
        """Let a tool call be made, or a step begin.

        Args:
            key: Which one, where the step waits for several.
            arguments: Those that the call is to be made with in place of its own; of a step its `description` or
                `input`, or both.
            by: Who said so; kept with it.

        Raises:
            UnknownJob: never submitted here, or past its retention.
            NotAsked: no such approval is waited for, or it was decided before, or it has expired.
            NotGenuine: what is asked is not signed by this fleet.
            ContractError: the arguments are none.
        """
        wait = await self._the_one(job_id, step, key, WaitKind.APPROVAL)
        outcome: dict[str, JsonValue] = {"kind": "approved", "by": by}
        if arguments is not None:
            outcome["input"] = _edited(wait, arguments)
        return await self._record(wait, outcome)

    async def deny(self, job_id: str, step: str, *, key: str | None = None, reason: str = "", by: str = "") -> Asked:
        """Let a tool call not be made: its agent is told the reason and goes on without it. Or a step not begin: it
        fails with `approval_denied`.

        Raises:
            UnknownJob, NotAsked, NotGenuine: as for `approve`.
        """
        wait = await self._the_one(job_id, step, key, WaitKind.APPROVAL)
        return await self._record(wait, {"kind": "denied", "reason": reason[:MAX_TEXT_CHARS], "by": by})

    async def answer(self, job_id: str, step: str, text: str, *, key: str | None = None, by: str = "") -> Asked:
        """Answer a question.

        Raises:
            UnknownJob, NotAsked, NotGenuine: as for `approve`.
        """
        wait = await self._the_one(job_id, step, key, WaitKind.QUESTION)
        return await self._record(wait, {"kind": "answer", "text": text[:MAX_TEXT_CHARS], "by": by})

    async def _fresh(self, seen: Places) -> tuple[Sequence[Asked], Places]:
        """What is asked and was not seen, and all that is."""
        waiting = await self._waits.asked(MOST)
        found = [await self._find(*place) for place in waiting if place not in seen]
        return [one for one in found if one is not None], frozenset(waiting)

    async def _the_one(self, job_id: str, step: str, key: str | None, kind: WaitKind) -> Wait:
        waits = await self._waits.of_step(parse_job_id(job_id), StepId(step))
        fitting = [one for one in waits if _kind(one) is kind and (key is None or one.key == key)]
        waiting = [one for one in fitting if one.outcome is None]
        if not waiting:
            await self._see(job_id, step)
            why = "it was decided before" if fitting else "nothing of that kind is asked"
            raise NotAsked(f"step {step!r} of job {job_id} waits for no {kind}: {why}")
        if len(waiting) > 1:
            raise NotAsked(f"step {step!r} waits for several; say which: {', '.join(one.key for one in waiting)}")
        return waiting[0]

    async def _see(self, job_id: str, step: str) -> None:
        """Look whether there is such a step.

        Raises:
            UnknownJob: never submitted here, or past its retention.
            NotAsked: the job has no such step.
        """
        record = await self._snapshots.job(parse_job_id(job_id))
        if step not in {one.step.id for one in record.steps}:
            raise NotAsked(f"job {job_id} has no step {step!r}: see troupe show {job_id}")

    async def _find(self, job: JobId, step: StepId, key: str) -> Asked | None:
        try:
            waits = await self._waits.of_step(job, step)
        except DamagedRecord as error:  # it must not hide what others ask
            log.warning("asked_unreadable", job=job, step=step, reason=str(error))
            return None
        return next((as_asked(wait) for wait in waits if wait.key == key), None)

    async def _record(self, wait: Wait, outcome: dict[str, JsonValue]) -> Asked:
        place, asked = Place(wait.job, wait.step, wait.key), _data(wait)
        if not is_asked(self._secret, place, asked):
            raise NotGenuine(
                f"what step {wait.step!r} of job {wait.job} asks is not signed by this fleet: it was changed in the "
                "store, or TROUPE_SECRET is not that of its workers"
            )
        signed = as_decided(self._secret, place, asked, outcome)
        recorded = await self._waits.outcome(wait.job, wait.step, wait.key, signed)
        if recorded is not Recorded.DONE:
            raise NotAsked(f"step {wait.step!r} of job {wait.job} no longer waits for it: {recorded}")
        return as_asked(wait)


def as_asked(wait: Wait) -> Asked:
    """What is asked, as people are shown it."""
    data, kind = _data(wait), _kind(wait)
    options, work = data.get("options"), data.get("work")
    shown = work if isinstance(work, dict) else {}
    return Asked(
        job_id=JobId(wait.job),
        step=wait.step,
        key=wait.key,
        kind=kind.value if kind else "unknown",
        agent=str(data.get("agent") or ""),
        tool=str(data["tool"]) if "tool" in data else None,
        input=shown.get("input") if shown else data.get("input"),
        description=str(shown.get("description")) if shown else None,
        question=str(data["question"]) if "question" in data else None,
        options=tuple(map(str, options)) if isinstance(options, list) else (),
        expires_at=wait.expires_at,
    )


def wording(one: Asked) -> str:
    """What is asked, in one line."""
    if one.tool is not None:
        return f"{one.tool} {json.dumps(one.input, ensure_ascii=False)}"
    if one.description is not None:
        told = f" {json.dumps(one.input, ensure_ascii=False)}" if one.input is not None else ""
        return f"begin: {' '.join(one.description.split())}{told}"
    options = f" ({' / '.join(one.options)})" if one.options else ""
    return f"{one.question}{options}"


def waits_for(wait: Wait) -> str:
    """What a parked step waits for, in one line."""
    kind = _kind(wait)
    if kind is not None:
        return f"{kind}: {wording(as_asked(wait))}"
    return f"{WaitKind.CHILDREN}: {', '.join(wait.children)}" if wait.children else "an orchestrator"


def _data(wait: Wait) -> Mapping[str, JsonValue]:
    return wait.data if isinstance(wait.data, dict) else {}


def _kind(wait: Wait) -> WaitKind | None:
    data = _data(wait)
    if "tool" in data or "work" in data:
        return WaitKind.APPROVAL
    return WaitKind.QUESTION if "question" in data else None


def _edited(wait: Wait, arguments: JsonValue) -> JsonValue:
    """What is approved in place of what was asked for.

    Raises:
        ContractError: it cannot be.
    """
    if not isinstance(arguments, dict):
        raise ContractError(f"give the arguments as an object, not {arguments!r}")
    if "work" in _data(wait):
        try:
            StepEdit.model_validate(arguments)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise ContractError(f"of a step, description and input may be changed; {where}: {fault['msg']}") from None
    return arguments
