"""A producer's handle on one job, over HTTP."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel, JsonValue

from orchestrator.handle import AsyncJobHandle, patiently
from orchestrator.recording import Recording
from orchestrator.remote.asking import fresh_key
from orchestrator.remote.events import events
from orchestrator.request import length_of, microusd
from orchestrator.travel.edit import Edit, as_edit
from tasks.board import Board
from tasks.errors import BadRecording, ContractError, ResultTimeout
from tasks.events import JobEvent
from tasks.ids import JobId, StepId
from tasks.results import JobResult, LedgerReport, Standing
from tasks.states import FINAL_JOB, TaskStatus
from tasks.trace import Trace

if TYPE_CHECKING:
    from orchestrator.remote.client import RemoteTroupe

T = TypeVar("T")

LONGEST_WAIT_S: Final = 25.0
"""Of one request for an outcome: less than what proxies commonly bear."""
LOOK_S: Final = 0.5
"""Between two looks at a job that may have been paused, which nothing waits for."""


class _Changed(BaseModel):
    status: TaskStatus


class _Retried(BaseModel):
    steps: tuple[StepId, ...]


class RemoteJobHandle(AsyncJobHandle):
    """One job, over HTTP. Its methods and errors are those of `AsyncJobHandle`; `ApiUnavailable` comes to them."""

    def __init__(self, troupe: "RemoteTroupe", job_id: JobId) -> None:
        super().__init__(troupe, job_id)
        self._api = troupe.api

    async def status(self) -> TaskStatus:
        """See `AsyncJobHandle.status`."""
        return (await self.standing()).status

    async def standing(self) -> Standing:
        """See `AsyncJobHandle.standing`."""
        return await self._get("/status", Standing)

    async def snapshot(self) -> JobResult:
        """See `AsyncJobHandle.snapshot`."""
        return await self._get("", JobResult)

    async def wait(self, timeout: float | None = None) -> JobResult:
        """See `AsyncJobHandle.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LONGEST_WAIT_S if end is None else min(LONGEST_WAIT_S, max(0.0, end - time.monotonic()))
            outcome = await patiently(lambda wait=left: self._reached(wait), end)
            if outcome.status in FINAL_JOB:
                return outcome
            if end is not None and time.monotonic() >= end:
                still = outcome.status.value
                raise ResultTimeout(f"job {self.id} is still {still} after {timeout:g} s; it goes on")

    async def ledger(self) -> LedgerReport:
        """See `AsyncJobHandle.ledger`."""
        return await self._get("/ledger", LedgerReport)

    async def trace(self) -> Trace:
        """See `AsyncJobHandle.trace`."""
        return await self._get("/trace", Trace)

    async def board(self, since: int = 0) -> Board:
        """See `AsyncJobHandle.board`."""
        return (await self._api.ask("GET", f"jobs/{self.id}/board", query={"since": max(since, 0)})).read(Board)

    async def events(self, since: int = 0) -> AsyncIterator[JobEvent]:
        """See `AsyncJobHandle.events`."""
        async for event in events(self._api, self.id, since):
            yield event

    async def event_batches(self, since: int = 0) -> AsyncIterator[list[JobEvent]]:
        """See `AsyncJobHandle.event_batches`. Each holds one event: so they come."""
        async for event in events(self._api, self.id, since):
            yield [event]

    async def record(self) -> Recording:
        """See `AsyncJobHandle.record`."""
        lines = (await self._api.ask("GET", f"jobs/{self.id}/recording")).body
        return await asyncio.to_thread(_recording, lines)

    async def advance(self, steps: int | None = None) -> TaskStatus:
        """See `AsyncJobHandle.advance`."""
        if steps is not None and steps < 1:
            raise ContractError(f"steps: {steps} are none to go on with")
        return await self._change("advance", {"steps": steps}, again=False)

    async def stand(self, timeout: float | None = None) -> JobResult:
        """See `AsyncJobHandle.stand`."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            outcome = await patiently(self.snapshot, end)
            if outcome.paused or outcome.status in FINAL_JOB:
                return outcome
            if end is not None and time.monotonic() >= end:
                still = outcome.status.value
                raise ResultTimeout(f"job {self.id} is still {still} after {timeout:g} s; it goes on")
            await asyncio.sleep(LOOK_S if end is None else min(LOOK_S, max(0.0, end - time.monotonic())))

    async def pause(self) -> TaskStatus:
        """See `AsyncJobHandle.pause`."""
        return await self._change("pause")

    async def resume(self) -> TaskStatus:
        """See `AsyncJobHandle.resume`."""
        return await self._change("resume")

    async def cancel(self) -> TaskStatus:
        """See `AsyncJobHandle.cancel`."""
        return await self._change("cancel")

    async def fork(
        self,
        from_step: str,
        *,
        edit: Edit | Mapping[str, JsonValue] | None = None,
        model: str | None = None,
        budget_usd: float | None = None,
        timeout: float | timedelta | None = None,
        idempotency_key: str | None = None,
        in_session: bool = False,
    ) -> AsyncJobHandle:
        """See `AsyncJobHandle.fork`."""
        if budget_usd is not None:
            microusd(budget_usd)
        body: dict[str, JsonValue] = {
            "from_step": from_step,
            "edit": None if edit is None else as_edit(edit).model_dump(mode="json", exclude_unset=True),
            "model": model,
            "budget_usd": budget_usd,
            "timeout_s": None if timeout is None else length_of(timeout) / timedelta(seconds=1),
            "in_session": in_session,
        }
        key = idempotency_key or fresh_key()
        reply = await self._api.ask("POST", f"jobs/{self.id}/fork", body=body, key=key)
        return self._troupe.job(reply.read(JobResult).job_id)

    async def retry(self) -> tuple[StepId, ...]:
        """See `AsyncJobHandle.retry`."""
        return (await self._api.ask("POST", f"jobs/{self.id}/retry")).read(_Retried).steps

    async def _reached(self, wait: float) -> JobResult:
        query = {"wait": round(wait, 3)}
        return (await self._api.ask("GET", f"jobs/{self.id}/result", query=query, wait=wait)).read(JobResult)

    async def _get(self, part: str, kind: type[T]) -> T:
        return (await self._api.ask("GET", f"jobs/{self.id}{part}")).read(kind)

    async def _change(self, move: str, body: object = None, *, again: bool = True) -> TaskStatus:
        reply = await self._api.ask("POST", f"jobs/{self.id}/{move}", body=body, again=again)
        return reply.read(_Changed).status


def _recording(lines: bytes) -> Recording:
    """A recording, checked like one that stands in a file: anybody may have written it."""
    with tempfile.NamedTemporaryFile(prefix="troupe-", suffix=".jsonl") as file:
        try:
            file.write(lines)
            file.flush()
        except OSError as error:
            raise BadRecording(f"the recording cannot be kept for a moment: {error.strerror}") from error
        return Recording.read(Path(file.name))
