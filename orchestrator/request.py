"""What a producer asks for, checked as far as that can be done without asking anybody."""

from collections.abc import Sequence
from datetime import timedelta
from math import isfinite
from pathlib import Path
from typing import TypedDict

from pydantic import ValidationError

from tasks.errors import ContractError, InvalidTask
from tasks.ids import JobId, SessionId
from tasks.models import DEFAULT_TIMEOUT, MAX_TASK_CHARS, MAX_TIMEOUT, JobSpec, Plan
from tasks.results import MICROUSD
from tasks.tables import table_refs
from tasks.usage import Budget


class JobOptions(TypedDict, total=False):
    """What a submit may say beside the task: see `AsyncTroupe.submit`."""

    model: str | None
    knowledge: Sequence[str]
    data: Sequence[str | Path]
    plan: Plan | None
    budget_usd: float | None
    budget: Budget | None
    timeout: float | timedelta
    idempotency_key: str | None
    tenant: str
    priority: int
    max_in_flight: int | None
    max_steps: int | None
    replan: int | None
    review: bool


def job_spec(
    job: JobId,
    task: str,
    *,
    model: str | None = None,
    knowledge: Sequence[str] = (),
    data: Sequence[str | Path] = (),
    plan: Plan | None = None,
    budget_usd: float | None = None,
    budget: Budget | None = None,
    timeout: float | timedelta = DEFAULT_TIMEOUT,
    idempotency_key: str | None = None,
    tenant: str = "default",
    priority: int = 5,
    max_in_flight: int | None = None,
    max_steps: int | None = None,
    replan: int | None = None,
    review: bool = False,
    session: SessionId | None = None,
) -> JobSpec:
    """What is asked for, checked as far as that can be done without asking anybody: see `AsyncTroupe.submit`.

    Raises:
        ContractError: an argument is wrong.
    """
    return checked_spec(
        job,
        task,
        model=model,
        knowledge=tuple(knowledge),
        data=table_refs([Path(path) for path in data]),
        plan=plan,
        budget_microusd=None if budget_usd is None else microusd(budget_usd),
        limits=None if budget is None or budget.endless else budget,
        timeout_ms=milliseconds(timeout),
        idempotency_key=idempotency_key,
        tenant=tenant,
        priority=priority,
        max_in_flight=max_in_flight,
        max_steps=max_steps,
        replan=replan,
        review=review,
        session=session,
    )


def checked_spec(job: JobId, task: str, **values: object) -> JobSpec:
    """A spec of these fields.

    Raises:
        ContractError: the task or a field is wrong.
    """
    text = task.strip()
    if not text:
        raise InvalidTask("the task is empty: say in plain words what is to be found out")
    if len(text) > MAX_TASK_CHARS:
        raise InvalidTask(f"the task has {len(text):,} characters; at most {MAX_TASK_CHARS:,} are allowed")
    try:
        return JobSpec.model_validate({"id": job, "task": text, **values})
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise ContractError(f"the job cannot be accepted: {faults}") from error


def microusd(dollars: float) -> int:
    """A budget given in dollars.

    Raises:
        ContractError: it is none.
    """
    if not isfinite(dollars * MICROUSD):
        raise ContractError(f"budget_usd: {dollars!r} is not an amount")
    return round(dollars * MICROUSD)


def length_of(timeout: float | timedelta) -> timedelta:
    """A job's timeout, given in seconds or as a timedelta.

    Raises:
        ContractError: it is none.
    """
    try:
        length = timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout)
    except (ValueError, OverflowError):  # not a number, or infinite
        length = timedelta(0)
    if not timedelta(0) < length <= MAX_TIMEOUT:
        raise ContractError(f"timeout: it must be above 0 and at most {MAX_TIMEOUT.days} days")
    return length


def milliseconds(timeout: float | timedelta) -> int:
    """A job's timeout in milliseconds: see `length_of`."""
    return max(int(length_of(timeout) / timedelta(milliseconds=1)), 1)
