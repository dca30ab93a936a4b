"""Submitting a fork: read the job, say what is done anew, and write it, if nothing of that has changed meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from orchestrator.planning.check import first_step
from orchestrator.request import microusd, milliseconds
from orchestrator.settings import OrchestratorSettings
from orchestrator.travel.edit import Edit
from orchestrator.travel.forking import forked
from tasks.errors import ContractError, StateConflict
from tasks.ids import JobId, new_job_id, partition_of
from tasks.models import JobSpec
from tasks.queues import BUILT_IN
from tasks.sessions import Policy
from tasks.store import JobStore, Snapshots, Store, Turn
from tasks.telemetry.propagation import current_traceparent

Admit = Callable[[JobSpec], Awaitable[JobSpec]]

TRIES: Final = 5
"""Looks at a job that is being retried by hand while it is forked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a fork is to be: see `AsyncJobHandle.fork`. What is None is as in the job that it comes from."""

    from_step: str
    edit: Edit
    model: str | None = None
    budget_usd: float | None = None
    timeout: float | timedelta | None = None
    idempotency_key: str | None = None
    in_session: bool = False


async def submit_fork(
    store: Store,
    job: JobId,
    asked: Asked,
    limits: OrchestratorSettings,
    *,
    admit: Admit | None = None,
    open_jobs: int | None = None,
) -> JobId:
    """Submit a job again from one of its steps; in its partition, where its results can be copied in one move.

    Args:
        admit: Called with the fork's spec before it is submitted; may change it, or refuse it by raising.
        open_jobs: How many jobs its tenant may have open, in place of what the settings say.

    Raises:
        As `AsyncJobHandle.fork`.
    """
    fork = new_job_id(partition_of(job))
    for last in (False,) * (TRIES - 1) + (True,):
        record = await Snapshots(store).job(job)
        wanted = forked(record, fork, asked.from_step, asked.edit, limits, _options(record.spec, asked))
        spec, first = wanted.spec if admit is None else await admit(wanted.spec), None
        if spec.plan is None:
            first = first_step(spec.task, BUILT_IN, limits)
        turn = Turn.of(spec.task, Policy.QUEUE) if asked.in_session else None
        try:
            return await JobStore(store).submit(spec, first, turn, wanted.reused, open_jobs=open_jobs)
        except StateConflict:
            if last:
                raise
    raise AssertionError("the last try returns or raises")


def _options(spec: JobSpec, asked: Asked) -> dict[str, object]:
    """Fields of the spec that are not as they were.

    Raises:
        ContractError: one is wrong.
    """
    options: dict[str, object] = {"idempotency_key": asked.idempotency_key, "traceparent": current_traceparent()}
    if asked.model is not None:
        options["model"] = asked.model
    if asked.timeout is not None:
        options["timeout_ms"] = milliseconds(asked.timeout)
    if asked.budget_usd is not None:
        options["budget_microusd"] = microusd(asked.budget_usd)
        options["limits"] = spec.limits and spec.limits.model_copy(update={"cost_microusd": None})
    if asked.in_session:
        if spec.session is None:
            raise ContractError(f"job {spec.id} has no session that its fork could be said in")
        options["session"] = spec.session
    return options
