"""A producer's handle on one session: say something, and get the job that answers it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Unpack

from pydantic import JsonValue

from orchestrator.handle import AsyncJobHandle
from orchestrator.request import JobOptions
from tasks.errors import ContractError, UnknownSession
from tasks.ids import SessionId
from tasks.sessions import TASK, AgentState, Block, Message, Policy, Role, TaskState
from tasks.states import FINAL_JOB
from tasks.store import SessionStore
from tasks.store.sessions import NEWEST, PAGE

if TYPE_CHECKING:
    from orchestrator.client import AsyncTroupe


class AsyncSessionHandle:
    """One session. It need not exist yet: the first message begins it."""

    def __init__(self, troupe: "AsyncTroupe", session: SessionId) -> None:
        self._troupe = troupe
        self.id = session

    def __repr__(self) -> str:
        return f"<session {self.id}>"

    async def send(
        self, text: str, *, policy: Policy | str = Policy.QUEUE, **options: Unpack[JobOptions]
    ) -> AsyncJobHandle:
        """Say something; the job that answers it knows the conversation.

        The message is added in the move that accepts the job, the answer in the one that ends it: each is there once,
        whatever is killed. With an idempotency key the same holds for a producer that is killed and sends again.

        Args:
            policy: What becomes of it while an earlier message is being answered: `reject`, `queue`, `interrupt`,
                `rollback`.
            options: As for `AsyncTroupe.submit`. The timeout counts from now, also while it waits for its turn.

        Raises:
            SessionBusy: an earlier message is being answered, and this one was not to wait; or too many wait.
            ContractError: an argument is wrong.
            IdempotencyConflict, FleetFull, StoreUnavailable: as `AsyncTroupe.submit`.
        """
        return await self._troupe._send(self.id, text, _policy(policy), options)  # pyright: ignore[reportPrivateUsage]

    async def interact(self, text: str, *, wait: float | None = None, **options: Unpack[JobOptions]) -> str:
        """Say something and wait for the answer's text.

        Args:
            wait: Most seconds to wait for it; the job goes on then.
            options: As for `send`.

        Raises:
            JobFailed, JobCancelled, ResultTimeout: as `AsyncJobHandle.result`.
        """
        job = await self.send(text, **options)
        return (await job.result(wait)).answer or ""

    async def run_task_with_state(
        self, task: str, *, request_id: str | None = None, wait: float | None = None, **options: Unpack[JobOptions]
    ) -> TaskState:
        """Do the next step of a task with several steps; called again, also elsewhere and much later, the one after it.

        How far it has come stands in the session's task state, under `task`. The first call plans it and does the first
        step; the one that does the last step gives the answer too. A task that has ended stays what it is.

        Args:
            task: What is to be done, in the same words each time; other words begin another task.
            request_id: An idempotency key for the task's job in place of one made of session and task.
            wait: Most seconds to wait for the step; the next call waits on then.
            options: As for `send`, with the first call.

        Raises:
            ResultTimeout: the step has not ended within `wait` seconds.
            SessionBusy, ContractError, StoreUnavailable: as for `send`.
        """
        known = await self._task()
        state = None if known is None else TaskState.model_validate(known)
        if state is None or state.description != task.strip():
            key = request_id or f"task-{sha256(f'{self.id} {task.strip()}'.encode()).hexdigest()[:32]}"
            options.update(max_steps=1, idempotency_key=key)
            job = await self.send(task, **options)
        else:
            job = self._troupe.job(state.task_id)
            if state.status in FINAL_JOB:
                return state
            if (await job.snapshot()).paused:
                await job.advance(1)
        state = TaskState.of(await job.stand(wait))
        await self.update_task_state({TASK: state})
        return state

    async def append(
        self, role: Role, content: str | Sequence[Block], metadata: Mapping[str, JsonValue] | None = None
    ) -> int:
        """Add a message that no job is to answer; its number."""
        return await self._store.append_message(self.id, role, content, metadata)

    async def messages(self, after: int = 0) -> AsyncIterator[Message]:
        """Messages with a number above `after`, oldest first, until the newest one there is."""
        while page := await self._page(after, PAGE):
            for message in page:
                yield message
                after = message.seq or after

    async def state(self, *, newest: int = NEWEST) -> AgentState:
        """All that is known of the session, with its newest messages.

        Raises:
            UnknownSession: never begun here, deleted, or unused for longer than sessions are kept.
        """
        state = await self._store.load(self.id, newest=newest)
        if state is None:
            raise UnknownSession(f"there is no session {self.id!r}: never begun here, deleted, or long unused")
        return state

    async def save(self, state: AgentState) -> AgentState:
        """Store a changed state: see `SessionStore.save`."""
        return await self._store.save(state)

    async def update_task_state(self, changes: Mapping[str, JsonValue | TaskState]) -> None:
        """Set some names of the task state: see `SessionStore.update_task_state`."""
        await self._store.update_task_state(self.id, changes)

    async def delete(self) -> bool:
        """Forget the session; its open jobs are cancelled. False when there is none."""
        return await self._store.delete(self.id)

    async def _task(self) -> JsonValue:
        try:
            return (await self.state(newest=0)).task_state.get(TASK)
        except UnknownSession:
            return None

    async def _page(self, after: int, limit: int) -> list[Message]:
        return await self._store.messages(self.id, after, limit)

    @property
    def _store(self) -> SessionStore:
        return self._troupe.states


def _policy(policy: Policy | str) -> Policy:
    try:
        return Policy(policy)
    except ValueError:
        raise ContractError(f"policy: {policy!r} is none; there are: {', '.join(Policy)}") from None


AgentStateManager = SessionStore
"""The store of sessions, by its name in *Agent orchestration patterns*."""
StateStore = SessionStore
"""The store of sessions, by its name in *Agent orchestrator engineer*."""
StatefulAgent = AsyncSessionHandle
"""The handle of a session, by its name in *Agent orchestrator engineer*."""
