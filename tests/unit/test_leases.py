"""Leases: renewed together, given up when they are no longer ours."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tasks.errors import BadSetting, StoreUnavailable
from tasks.ids import AttemptRef, JobId, StepId
from tasks.store import Refusal
from tests.unit.attempts import REF, FakeAttempts
from workers.lease import DRAINING, Leases

OTHER = AttemptRef(JobId("j0123456789abcdefgh5"), StepId("find"), 1)
BESIDE = AttemptRef(REF.job, StepId("look"), 2)


@pytest.fixture
async def work() -> AsyncIterator["asyncio.Task[object]"]:
    async def wait() -> object:
        return await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    yield task
    task.cancel()


async def test_leases_are_renewed_in_one_call_a_partition(work: "asyncio.Task[object]") -> None:
    attempts = FakeAttempts()
    leases = Leases(attempts.store, 1.0)
    with leases.hold(REF, work), leases.hold(OTHER, work), leases.hold(BESIDE, work):
        await leases.renew()
    assert sorted(attempts.renewed) == [(3, [REF, BESIDE]), (5, [OTHER])]


async def test_nothing_is_renewed_when_nothing_is_held(work: "asyncio.Task[object]") -> None:
    attempts = FakeAttempts()
    leases = Leases(attempts.store, 1.0)
    with leases.hold(REF, work):
        pass
    await leases.renew()
    assert (attempts.renewed, leases.held) == ([], {})


@pytest.mark.parametrize("refusal", Refusal)
async def test_a_lost_lease_stops_the_work_and_says_why(work: "asyncio.Task[object]", refusal: Refusal) -> None:
    attempts = FakeAttempts()
    attempts.refused = {REF: refusal}
    leases = Leases(attempts.store, 1.0)
    with leases.hold(REF, work) as held, leases.hold(OTHER, asyncio.ensure_future(asyncio.sleep(0))) as other:
        await leases.renew()
    assert (held.stopped, other.stopped) == (refusal, None)
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_an_absent_store_stops_nothing_and_the_other_partitions_are_still_renewed(
    work: "asyncio.Task[object]",
) -> None:
    attempts = FakeAttempts()
    attempts.errors = [StoreUnavailable("away")]
    leases = Leases(attempts.store, 1.0)
    with leases.hold(REF, work) as held, leases.hold(OTHER, work):
        await leases.renew()
    assert held.stopped is None
    assert attempts.renewed == [(5, [OTHER])]


async def test_the_first_reason_for_stopping_counts(work: "asyncio.Task[object]") -> None:
    leases = Leases(FakeAttempts().store, 1.0)
    with leases.hold(REF, work) as held:
        leases.stop(REF, Refusal.CANCELLED)
        leases.stop_all(DRAINING)
        assert (held.stopped, work.cancelling()) == (Refusal.CANCELLED, 1)


async def test_stopping_what_is_not_held_does_nothing(work: "asyncio.Task[object]") -> None:
    leases = Leases(FakeAttempts().store, 1.0)
    with leases.hold(REF, work):
        leases.stop(OTHER, DRAINING)
    leases.stop(REF, DRAINING)
    assert work.cancelling() == 0


async def test_draining_stops_all(work: "asyncio.Task[object]") -> None:
    leases = Leases(FakeAttempts().store, 1.0)
    with leases.hold(REF, work) as one, leases.hold(OTHER, work) as two:
        leases.stop_all(DRAINING)
    assert (one.stopped, two.stopped) == (DRAINING, DRAINING)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), BadSetting("NOAUTH"), RuntimeError("a defect")])
async def test_the_heartbeat_survives_every_error(work: "asyncio.Task[object]", error: Exception) -> None:
    attempts = FakeAttempts()
    attempts.errors = [error]
    attempts.refused = {REF: Refusal.GONE}
    leases = Leases(attempts.store, 0.0)
    with leases.hold(REF, work) as held:
        keeping = asyncio.create_task(leases.keep())
        await asyncio.wait({work})
        keeping.cancel()
    assert held.stopped is Refusal.GONE
