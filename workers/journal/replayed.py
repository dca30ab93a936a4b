"""A step that is replayed: what its recording decides before any agent is asked, and the model that is never called."""

import asyncio

from tasks.errors import ReplayDiverged, StepFailed
from tasks.models import Failure
from tasks.recorded import Recorded
from tasks.states import StepStatus
from workers.context import StepContext
from workers.llm.base import ModelReply, ModelRequest


class RecordedModel:
    """Stands where the model stood: its answers are in the journal."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """What the model was called."""
        return self._name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Never.

        Raises:
            ReplayDiverged: always.
        """
        raise ReplayDiverged(f"agent {request.agent!r}: nothing was recorded")

    async def close(self) -> None:
        """Nothing to release."""


class _FailedAsRecordedError(StepFailed):
    """The step failed in the recording; it is not tried again, however often it was then."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.code = failure.code


async def begin_as_recorded(recorded: Recorded | None, context: StepContext) -> None:
    """Let a step that did not succeed end as it did; return when there is something to do.

    Raises:
        StepFailed: it failed in the recording, and fails so again, with what it had found.
        ReplayDiverged: it was not recorded, or another agent did it. A fallback agent may be next.
    """
    step = context.claim.step
    if recorded is None:
        raise ReplayDiverged(f"step {step.id!r} is not in the recording")
    if recorded.failure is not None:
        if recorded.found is not None:
            context.said.append(recorded.found.text)
            context.found.update({source.id: source for source in recorded.found.sources})
        raise _FailedAsRecordedError(recorded.failure)
    if recorded.status is StepStatus.CANCELLED:
        with context.waiting():
            await asyncio.Event().wait()  # its job went on without it, and ends without it
    if recorded.agent != step.agent:
        raise ReplayDiverged(f"agent {recorded.agent!r} did this step in the recording, and not {step.agent!r}")
    context.found.update({source.id: source for source in recorded.sources})
