"""A store at `maxmemory`: no new jobs, and what was accepted goes on to its end."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from orchestrator.local.redis_server import RedisServer
from tasks.errors import StoreFull, StoreUnavailable
from tasks.models import Failure
from tasks.settings import StoreSettings
from tasks.states import StepStatus, TaskStatus
from tasks.store import Estimate, JournalEntry, Outbox, Scope, Store
from tasks.usage import Budget
from tests.support.builders import BAD, COST, PARTITION, RESULT, a_graph, a_job, a_worker
from tests.support.moves import Moves


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer.start(tmp_path_factory.mktemp("full"), append_only=False)
    yield server
    server.stop()


@pytest.fixture
async def there(server: RedisServer) -> AsyncIterator[Moves]:
    moves = Moves(Store(StoreSettings(redis_url=SecretStr(server.url))))
    await moves.redis.flushall()
    await moves.outbox.open(PARTITION)
    yield moves
    await memory(moves, 0)
    await moves.store.close()


async def memory(moves: Moves, limit: int) -> None:
    """Set how much the server may use; 1 byte is less than it does."""
    await moves.redis.config_set("maxmemory", limit)


async def test_a_submit_is_refused_in_words_and_leaves_nothing(there: Moves) -> None:
    await memory(there, 1)
    before = await there.redis.dbsize()
    with pytest.raises(StoreFull, match=r"is full \(maxmemory\) and takes no new jobs") as caught:
        await there.submitted()
    assert isinstance(caught.value, StoreUnavailable)
    assert caught.value.retry_after.total_seconds() > 0
    assert await there.redis.dbsize() == before
    assert await there.snapshots.jobs(10) == []


async def test_what_was_accepted_goes_on_to_its_end(there: Moves) -> None:
    job = await there.submitted()
    running = await there.running(job, "plan")
    await memory(there, 1)
    assert await there.attempts.heartbeat(PARTITION, [running]) == {}
    assert await there.attempts.succeed(running, RESULT, COST) is None
    assert await there.extend(job, a_graph({"a": ()}))
    failed = await there.running(job, "a")
    assert await there.attempts.fail(failed, BAD, COST) is None
    assert await there.jobs.postpone(failed, 0)
    for step, attempt in (("a", 2), ("synthesis", 1)):
        assert await there.attempts.succeed(await there.running(job, step, attempt), RESULT, COST) is None
    assert (await there.snapshots.job(job)).status is TaskStatus.COMPLETED
    await there.outbox.done(PARTITION, await there.entries())
    await there.fleet.announce(a_worker())


async def test_calls_that_were_accepted_are_held_booked_and_written_down(there: Moves) -> None:
    job = await there.submitted()
    running = await there.running(job, "plan")
    await memory(there, 1)
    scopes = [Scope("job", Budget(requests=2))]
    assert await there.accounts.reserve(running, "m1", Estimate(requests=1), scopes) == 0
    assert await there.accounts.book(running, "m1", "planner m", COST, JournalEntry("m1", "{}")) is None
    assert await there.accounts.reserve(running, "m2", Estimate(requests=1), scopes) == 0
    await there.accounts.free(running, "m2", unknown=True)
    assert (await there.accounts.ledger(job)).total == COST
    assert await there.accounts.recall(job, running.step) == [JournalEntry("m1", "{}")]
    assert await there.accounts.rewind(running, 0) is None


async def test_events_for_people_are_refused_and_the_attempt_is_not(there: Moves) -> None:
    job = await there.submitted()
    running = await there.running(job, "plan")
    await memory(there, 1)
    with pytest.raises(StoreFull):
        await there.attempts.report(running, [("step_progress", '{"message":"half"}')])
    assert await there.attempts.heartbeat(PARTITION, [running]) == {}


async def test_leases_end_and_jobs_are_cancelled(there: Moves) -> None:
    job, other = await there.submitted(), await there.jobs.submit(a_job(), None)
    await there.running(job, "plan")
    await there.make_due(job, "plan")
    await memory(there, 1)
    assert (await there.jobs.sweep(PARTITION)).due == 1
    assert await there.status(job, "plan") is StepStatus.DELAYED
    assert await there.jobs.end_job(other, TaskStatus.CANCELLED, Failure(code="x", message="x"))


async def test_a_replica_that_starts_then_finds_its_group_or_waits(there: Moves) -> None:
    await memory(there, 1)
    await Outbox(there.store, "new").open(PARTITION)
    await there.redis.delete(there.store.keys.control(PARTITION))
    with pytest.raises(StoreFull):
        await Outbox(there.store, "new").open(PARTITION)


async def test_jobs_are_taken_again_when_there_is_memory(there: Moves) -> None:
    await memory(there, 1)
    with pytest.raises(StoreFull):
        await there.submitted()
    await memory(there, 0)
    assert await there.submitted()
