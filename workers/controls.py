"""Celery's remote control commands, as monitors send them (Flower's buttons, `celery control`), for our workers.

Each does what it says, or answers why it does not. Celery's own would leave the store untold of it: a revoked message
would be dropped by Celery and published again by us, and a rate limit would hold back messages that we then believe to
be lost.
"""

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import structlog
from celery.worker.control import Panel

from tasks.errors import InvalidId, TroupeError
from tasks.ids import AttemptRef
from tasks.models import Failure
from tasks.queues import of_version
from tasks.states import OPEN_STEP, StepStatus, TaskStatus
from tasks.store.jobs import JobStore
from tasks.store.snapshot import Snapshots
from tasks.store.store import Store
from workers.process import WorkerProcess

log = structlog.get_logger("worker")

MAX_THREADS: Final = 5000
MAX_REVOKED: Final = 100
"""Ids of one command that are looked at."""
REVOKED: Final = Failure(code="job_cancelled", message="one of its tasks was revoked in Celery's monitor")

Reply = dict[str, str]


class Controls:
    """The commands of one worker. They run in the consumer's thread, and hold it up for a round trip to the store."""

    def __init__(self, process: WorkerProcess, declare: Callable[[str], object]) -> None:
        """Args: declare: Makes Celery's queue of a name, as this worker is to consume it."""
        self.process = process
        self.declare = declare

    def install(self) -> None:
        """Take the place of Celery's commands in this process."""
        register = cast("Callable[..., Callable[[object], object]]", cast(Any, Panel).register)
        for name, command in (
            ("shutdown", self.shutdown),
            ("revoke", self.revoke),
            ("terminate", self.terminate),
            ("pool_grow", self.pool_grow),
            ("pool_shrink", self.pool_shrink),
            ("add_consumer", self.add_consumer),
            ("cancel_consumer", self.cancel_consumer),
            ("enable_events", self.enabling(cast("Callable[[Any], Reply]", cast(Any, Panel).data["enable_events"]))),
            *((name, refusing(reason)) for name, reason in REFUSED.items()),
        ):
            register(name=name, type="control")(command)

    def shutdown(self, state: Any, **_: object) -> None:
        """Stop as on SIGTERM: what runs may end within the drain time, then it is handed back."""
        log.info("worker_shutdown_asked")
        os.kill(os.getpid(), signal.SIGTERM)

    def revoke(self, state: Any, task_id: object, **_: object) -> Reply:
        """Cancel the jobs of attempts that are to run, run, or wait."""
        ids = [task_id] if isinstance(task_id, str) else [str(one) for one in cast("Iterable[object]", task_id)]
        said = [self._revoke(one) for one in ids[:MAX_REVOKED]]
        refused = "; ".join(reason for cancelled, reason in said if not cancelled)
        done = "; ".join(reason for cancelled, reason in said if cancelled)
        return {"ok": "; ".join(filter(None, (done, refused)))} if done else {"error": refused or "no task was named"}

    def terminate(self, state: Any, signal: object, task_id: object, **_: object) -> Reply:
        """The same: a cancelled job's attempts are stopped wherever they are."""
        return self.revoke(state, task_id)

    def pool_grow(self, state: Any, n: int = 1, **_: object) -> Reply:
        """Run so many more attempts at the same time."""
        return self._resize(state, int(n))

    def pool_shrink(self, state: Any, n: int = 1, **_: object) -> Reply:
        """Run so many fewer, at least one."""
        return self._resize(state, -int(n))

    def add_consumer(self, state: Any, queue: str, **_: object) -> Reply:
        """Work on another queue of agents that this worker has."""
        mine = self.process.presence.queues
        if queue not in self.process.agents.queues:
            known = ", ".join(self.process.agents.queues)
            return {"error": f"no agent of this worker is fed by queue {queue!r}; there are: {known}"}
        if queue in mine:
            return {"ok": f"already consuming from {queue}"}
        for name in self._names(queue):
            state.app.amqp.queues.select_add(self.declare(name))
            state.consumer.add_task_queue(name)
        self.process.listen([*mine, queue])
        log.info("worker_queue_added", queue=queue)
        return {"ok": f"add consumer {queue}"}

    def cancel_consumer(self, state: Any, queue: str, **_: object) -> Reply:
        """Take no more messages of a queue. What runs goes on."""
        mine = self.process.presence.queues
        if queue not in mine:
            return {"error": f"this worker does not consume from {queue!r}, but from: {', '.join(mine)}"}
        if len(mine) == 1:
            return {"error": f"{queue!r} is its only queue; shut the worker down instead"}
        for name in self._names(queue):
            state.consumer.cancel_task_queue(name)
        self.process.listen([name for name in mine if name != queue])
        log.info("worker_queue_removed", queue=queue)
        return {"ok": f"no longer consuming from {queue}"}

    def enabling(self, celerys: Callable[[Any], Reply]) -> Callable[[Any], Reply]:
        """Celery's command, after which what is running already is told of."""

        def enable_events(state: Any) -> Reply:
            said = celerys(state)
            self.process.shown.tell_running()
            return said

        return enable_events

    def _names(self, queue: str) -> list[str]:
        """A queue and those of its agents' versions."""
        agents = self.process.agents.on_queues([queue])
        return [queue, *dict.fromkeys(of_version(queue, agent.version) for agent in agents)]

    def _resize(self, state: Any, change: int) -> Reply:
        pool = state.consumer.pool
        wanted = pool.limit + change
        if not 1 <= wanted <= MAX_THREADS:
            return {"error": f"{pool.limit} attempts at a time cannot become {wanted}: 1 to {MAX_THREADS}"}
        if change > 0:
            pool.grow(change)
        else:
            pool.shrink(-change)
        state.consumer._update_prefetch_count(change)
        self.process.resize(pool.limit)
        log.info("worker_resized", concurrency=pool.limit)
        return {"ok": f"{pool.limit} attempts at a time"}

    def _revoke(self, task_id: str) -> tuple[bool, str]:
        try:
            ref = AttemptRef.parse(task_id)
            return self.process.loop.run(cancel_job_of(self.process.store, ref))
        except InvalidId:
            return False, f"{task_id[:100]!r} is no task of Troupe"
        except TroupeError as error:
            return False, f"{task_id[:100]}: {error}"


async def cancel_job_of(store: Store, ref: AttemptRef) -> tuple[bool, str]:
    """Cancel the job of an attempt, if its step is at that attempt and open; whether it is cancelled, and what to say.

    Raises:
        UnknownJob: there is no such job.
        StoreUnavailable: no answer in time.
    """
    step = await Snapshots(store).step(ref.job, ref.step)
    if step is None:
        return False, f"job {ref.job} has no step {ref.step!r}"
    if step.status is StepStatus.CANCELLED:  # every worker is told; one of them was first
        return True, f"job {ref.job} is cancelled, with all its steps"
    if step.status not in OPEN_STEP:
        return False, f"step {ref.step!r} is {step.status.value}: there is nothing to revoke"
    if step.attempt != ref.attempt:
        return False, f"attempt {ref.attempt} at step {ref.step!r} is over, attempt {step.attempt} goes on with it"
    status = await JobStore(store).end_job(ref.job, TaskStatus.CANCELLED, REVOKED)
    if status is not TaskStatus.CANCELLED:
        return False, f"job {ref.job} is {status.value if status is not None else 'gone'}"
    log.info("job_cancelled_by_monitor", job=ref.job, step=ref.step, attempt=ref.attempt)
    return True, f"job {ref.job} is cancelled, with all its steps"


def refusing(reason: str) -> Callable[..., Reply]:
    """A command that does nothing, and says why."""

    def refuse(state: Any, **_: object) -> Reply:
        return {"error": reason}

    return refuse


REFUSED: Final = {
    "rate_limit": "Troupe holds back calls, not messages: TROUPE_RATE_LIMITS for models, rate limits of tools",
    "time_limit": "steps have times of their own: timeout_ms and total_ms of a step, or of its agent",
    "autoscale": "Troupe's workers do not scale themselves: grow or shrink the pool, or start workers (troupe scale)",
    "pool_restart": "a pool of threads cannot be restarted: shut the worker down and start another one",
    "revoke_by_stamped_headers": "Troupe's tasks have no stamps: revoke them by id",
}
