"""Taking a job in: for which tenant, within what it may spend, and with whom to tell of its end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from orchestrator.api.bodies import ForkBody, Options, WebhookBody
from orchestrator.api.door import Door
from orchestrator.api.filing import file_path
from orchestrator.api.visitors import Visitor
from orchestrator.handle import AsyncJobHandle
from orchestrator.request import job_spec
from orchestrator.travel.edit import as_edit
from orchestrator.travel.submitting import Admit, Asked, submit_fork
from orchestrator.webhooks import Webhook
from tasks.access import TenantLimits
from tasks.errors import ContractError, FleetFull, StoreUnavailable, TroupeError
from tasks.ids import JobId, SessionId, new_job_id, session_partition
from tasks.models import JobSpec
from tasks.refusals import DailyBudgetSpent, NotAllowed
from tasks.sessions import Policy
from tasks.store import Turn
from tasks.store.server import read_clock
from tasks.tenancy import SESSION_PREFIX, session_prefix

SHARE: Final = 10
"""A job without a budget, of a tenant with a daily one, gets this part of it."""
NONE_NEW: Final = -1
"""In place of how many jobs may be open: only one that was taken in before is found."""
MAX_KEY_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Admission:
    """What a tenant may still do."""

    door: Door
    tenant: str
    limits: TenantLimits

    async def hold(self, spec: JobSpec) -> JobSpec:
        """Hold the most that a job may cost from the tenant's day; gives a job without a budget one.

        Raises:
            DailyBudgetSpent: there is not as much left.
        """
        if self.limits.daily_microusd is None:
            return spec
        spec = await self.as_held(spec)
        await self.door.spending.hold(self.tenant, spec.id, spec.budget.cost_microusd or 0, self.limits)
        return spec

    async def as_held(self, spec: JobSpec) -> JobSpec:
        """A job with a budget of its own: where none was asked for, a part of its tenant's day."""
        daily = self.limits.daily_microusd
        if daily is None or spec.budget.cost_microusd is not None:
            return spec
        return spec.model_copy(update={"budget_microusd": daily // SHARE})

    async def release(self, job: JobId) -> None:
        """Give back what was held for a job that was not taken in."""
        if self.limits.daily_microusd is not None:
            await self.door.spending.release(self.tenant, job)


async def admission(door: Door, visitor: Visitor, tenant: str | None = None) -> Admission:
    """What may be done for a tenant: the visitor's own unless it is an operator who names another.

    Raises:
        NotAllowed: it names another, and is no operator.
    """
    if tenant is None or tenant == visitor.tenant:
        known = visitor.keyless or not visitor.operator
        own = visitor.limits if known else await door.access.limits(visitor.own)
        return Admission(door, visitor.own, own)
    if not visitor.operator:
        raise NotAllowed(f"this key acts for tenant {visitor.tenant!r} only")
    return Admission(door, tenant, await door.access.limits(tenant))


async def accept(
    door: Door,
    visitor: Visitor,
    task: str,
    body: Options,
    key: str | None,
    *,
    session: SessionId | None = None,
    policy: Policy = Policy.QUEUE,
) -> AsyncJobHandle:
    """Submit a job, or say something in a session; see `AsyncTroupe.submit` and `AsyncSessionHandle.send`.

    Raises:
        ContractError: something that was said is wrong.
        NotAllowed: it is for operators, or another tenant's.
        DailyBudgetSpent, FleetFull, SessionBusy: not now.
        IdempotencyConflict: the key was used for a different request.
        StoreUnavailable: no answer in time; whether it was taken in is not known: ask again with the same key.
    """
    admitted = await admission(door, visitor, body.tenant)
    data = await _data(door, visitor, admitted.tenant, body)
    named = own_key(admitted.tenant, key)
    partition = door.troupe.partition(named) if session is None else session_partition(session)
    make = partial(
        job_spec,
        new_job_id(partition),
        task,
        model=body.model,
        knowledge=body.knowledge,
        data=data,
        plan=body.plan,
        budget_usd=body.budget_usd,
        budget=body.budget,
        timeout=body.timeout_s,
        idempotency_key=named,
        tenant=admitted.tenant,
        priority=body.priority,
        max_in_flight=body.max_in_flight,
        max_steps=body.max_steps,
        replan=body.replan,
        review=body.review,
        session=session,
    )
    spec = await asyncio.to_thread(make) if data else make()  # the heads of data files are read
    turn = None if session is None else Turn.of(spec.task, policy)

    async def submit(admit: Admit, open_jobs: int | None) -> JobId:
        return (await door.troupe.accept(await admit(spec), turn, open_jobs=open_jobs)).id

    return await _Intake(admitted, body.webhook).take(submit, again=key is not None)


Submit = Callable[[Admit, int | None], Awaitable[JobId]]
"""Submits a job as `admit` has made it, where no more than so many are open."""


@dataclass(frozen=True, slots=True)
class _Intake:
    """A job on its way in: what is prepared for it is undone where it does not come in."""

    admitted: Admission
    webhook: WebhookBody | None = None
    prepared: set[JobId] = field(default_factory=set[JobId])

    async def take(self, submit: Submit, *, again: bool) -> AsyncJobHandle:
        """Take one in; or, if it may be one that was taken in before, find that.

        Raises:
            DailyBudgetSpent: there is not as much left, and none was taken in before.
        """
        try:
            found = await submit(self._prepare, self.admitted.limits.open_jobs)
        except StoreUnavailable:  # it may have been taken in: what is held and who is told stay as they are
            raise
        except DailyBudgetSpent as spent:
            if not again:
                raise
            found = await self._before(submit, spent)
        except TroupeError:
            await self._undo()
            raise
        await self._undo(but=found)
        return self.admitted.door.troupe.job(found)

    async def _before(self, submit: Submit, spent: DailyBudgetSpent) -> JobId:
        """The job that was taken in before under the same key: its sender has not heard of it."""
        try:
            return await submit(self.admitted.as_held, NONE_NEW)
        except FleetFull:
            raise spent from None

    async def _prepare(self, spec: JobSpec) -> JobSpec:
        spec = await self.admitted.hold(spec)
        self.prepared.add(spec.id)
        if self.webhook is not None:
            door = self.admitted.door
            await door.hooks.register(spec.id, _hook(self.webhook), await _kept_until(door, spec))
        return spec

    async def _undo(self, but: JobId | None = None) -> None:
        for job in self.prepared - {but}:
            await self.admitted.release(job)
            if self.webhook is not None:
                await self.admitted.door.hooks.forget(job)


def _hook(body: WebhookBody) -> Webhook:
    return Webhook(url=body.url, secret=body.secret)


async def _kept_until(door: Door, spec: JobSpec) -> int:
    """When the job is kept no more, Unix ms by the clock of the store."""
    return await read_clock(door.store) + spec.timeout_ms + int(door.troupe.settings.retention_s * 1000)


async def _data(door: Door, visitor: Visitor, tenant: str, body: Options) -> list[Path]:
    if body.data and not visitor.operator:
        raise NotAllowed("data: paths on the workers' machines are for operators; upload files, and name them in files")
    for path in body.data:
        if not Path(path).is_absolute() or "\0" in path:
            raise ContractError(f"data: {path!r} is no absolute path")
    files = [await asyncio.to_thread(file_path, door.home, tenant, one) for one in body.files]
    return [*files, *map(Path, body.data)]


def own_key(tenant: str, key: str | None) -> str | None:
    """An idempotency key that no two tenants share.

    Raises:
        ContractError: it is too long, or looks like one of another tenant.
    """
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY_CHARS or SESSION_PREFIX.match(key):
        raise ContractError(
            f"Idempotency-Key: 1 to {MAX_KEY_CHARS} characters that do not begin like 't-0123456789abcdef-'"
        )
    prefix = session_prefix(tenant)
    return prefix + sha256(key.encode()).hexdigest() if prefix else key


async def fork(door: Door, visitor: Visitor, job: AsyncJobHandle, body: ForkBody, key: str | None) -> AsyncJobHandle:
    """Submit a job again from one of its steps; for its own tenant, and from what that may spend.

    Raises:
        As `AsyncJobHandle.fork`, and `accept`.
    """
    tenant = await door.snapshots.tenant(job.id)
    admitted = await admission(door, visitor, tenant)
    asked = Asked(
        from_step=body.from_step, edit=as_edit(body.edit), model=body.model, budget_usd=body.budget_usd,
        timeout=body.timeout_s, idempotency_key=own_key(admitted.tenant, key), in_session=body.in_session,
    )  # fmt: skip

    async def submit(admit: Admit, open_jobs: int | None) -> JobId:
        return await submit_fork(door.store, job.id, asked, door.troupe.limits, admit=admit, open_jobs=open_jobs)

    return await _Intake(admitted).take(submit, again=key is not None)


@asynccontextmanager
async def hold_again(door: Door, visitor: Visitor, job: AsyncJobHandle) -> AsyncGenerator[None]:
    """Around the retry of a job: what it may still cost is held from its tenant's day; not, if it is refused.

    Raises:
        DailyBudgetSpent: there is not as much left.
    """
    admitted = await admission(door, visitor, await door.snapshots.tenant(job.id))
    if admitted.limits.daily_microusd is None:
        yield
        return
    record = await door.snapshots.job(job.id)
    await admitted.hold(record.spec)
    try:
        yield
    except StoreUnavailable:
        raise
    except TroupeError:
        now = await door.snapshots.job(job.id)  # another retry, at the same moment, may have begun and hold the same
        if now.final:
            cost = now.ledger.total.cost_microusd
            await door.spending.settle(admitted.tenant, job.id, cost, ended=now.finished_at)
        raise
