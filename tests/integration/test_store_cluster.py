"""A Redis Cluster as the store: every move, every reading, on the slots of all its nodes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import count

import pytest
from pydantic import SecretStr

from orchestrator import AsyncTroupe
from tasks.errors import StoreUnavailable, UnknownJob
from tasks.ids import new_job_id
from tasks.models import Failure
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tasks.store import Endings, Estimate, JournalEntry, Scope, Store, ToolStats
from tasks.store.endings import until
from tasks.store.limits import Bucket, LimitStore, Outcome, Verdict
from tasks.tool_counts import ToolCounts
from tasks.usage import Budget
from tests.support.builders import BAD, COST, RESULT, WORKER, a_graph, a_job, a_worker
from tests.support.moves import Moves
from tests.support.servers import Cluster, client, cluster
from tests.support.waiting import wait_until

PARTITIONS = 8
NUMBERS = count()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
async def there(nodes: Cluster) -> AsyncIterator[Moves]:
    settings = StoreSettings(
        redis_url=SecretStr(nodes.url), prefix=f"test{next(NUMBERS)}", partitions=PARTITIONS, store_timeout_s=5
    )
    store = Store(settings)
    yield Moves(store)
    await store.close()


async def test_a_job_runs_in_every_partition(there: Moves, nodes: Cluster) -> None:
    for partition in range(PARTITIONS):
        await there.outbox.open(partition)
        job = await there.jobs.submit(a_job(partition=partition), None)
        entries = await there.entries(partition)
        assert [entry.ref.job for entry in entries] == [job]
        assert await there.outbox.take_over(partition, count=10) == []
        await there.outbox.done(partition, entries)
        assert await there.outbox.waiting(partition) == 0
        assert await there.extend(job, a_graph({"a": (), "b": ("a",)}))
        ref = await there.dispatched(job, "a")
        claim = await there.attempts.claim(ref, WORKER)
        assert claim is not None
        assert await there.attempts.heartbeat(partition, [ref]) == {}
        assert await there.attempts.report(ref, [("step_progress", '{"message":"half"}')])
        assert await there.accounts.reserve(ref, "m1", Estimate(requests=1), [Scope("job", Budget(requests=1))]) == 0
        assert await there.accounts.book(ref, "m1", "worker m", COST, JournalEntry("m1", "{}")) is None
        assert await there.accounts.recall(job, ref.step) == [JournalEntry("m1", "{}")]
        assert (await there.accounts.ledger(job)).total == COST
        await there.accounts.free(ref, "m1", unknown=True)
        assert await there.accounts.rewind(ref, 0) is None
        assert await there.attempts.fail(ref, BAD, COST) is None
        assert await there.jobs.postpone(ref, 0)
        for step, attempt in (("a", 2), ("b", 1), ("synthesis", 1)):
            running = await there.running(job, step, attempt)
            assert await there.attempts.succeed(running, RESULT, COST) is None
        await there.jobs.sweep(partition, {"worker": 3})
        record = await there.snapshots.job(job)
        assert (record.status, len(record.steps)) == (TaskStatus.COMPLETED, 3)
        step = await there.snapshots.step(job, "a")
        assert step is not None
        assert (step.attempt, len(step.attempts)) == (2, 2)
        assert [event.seq for event in await there.told(job)] == list(range(1, record.seq + 1))
    found = await there.snapshots.jobs(100)
    assert {one.status for one in found} == {TaskStatus.COMPLETED}
    counts: list[int] = []
    for node in nodes.nodes:
        one = client(node.url)
        counts.append(one.dbsize())
        one.close()
    assert all(count > 0 for count in counts), "every node holds a part"


async def test_fleet_idempotency_and_cancel(there: Moves) -> None:
    await there.fleet.announce(a_worker())
    assert [one.name for one in await there.fleet.workers()] == ["w1"]
    await there.fleet.leave(a_worker())
    async with AsyncTroupe(settings=there.store.settings) as troupe:
        first = await troupe.submit("Find out.", idempotency_key="k")
        assert (await troupe.submit("Find out.", idempotency_key="k")).id == first.id
        assert await first.cancel() is TaskStatus.CANCELLED
        with pytest.raises(UnknownJob):
            await troupe.job(new_job_id(3)).status()


async def test_who_waits_for_an_end_is_told(there: Moves) -> None:
    endings = Endings(there.store)
    jobs = [await there.jobs.submit(a_job(partition=partition), None) for partition in range(PARTITIONS)]
    seen = [endings.watch(job) for job in jobs]
    for job in jobs:
        await endings.placed(job)
        await there.jobs.end_job(job, TaskStatus.FAILED, Failure(code="x", message="x"))
    for future in seen:
        await until(future, timedelta(seconds=10))
        assert future.done()
    await endings.close()


async def test_tool_calls_are_counted(there: Moves) -> None:
    counts = ToolCounts()
    counts.note(2.0, code=None, success=True)
    stats = ToolStats(there.store)
    assert await stats.add("w1", 1, {("search", "look"): counts})
    assert (await stats.read(timedelta(days=7))).pairs["search", "look"] == counts


async def test_an_idle_stream_is_no_dead_server(there: Moves) -> None:
    await there.outbox.open(1)
    await asyncio.gather(*(there.outbox.read(1, count=1, block=timedelta(seconds=0.3)) for _ in range(3)))


async def test_a_node_that_is_away_is_a_transient_error_and_all_goes_on_when_it_is_back(
    there: Moves, nodes: Cluster
) -> None:
    jobs = [await there.jobs.submit(a_job(partition=partition), None) for partition in range(PARTITIONS)]
    quick = Moves(Store(there.store.settings.model_copy(update={"store_timeout_s": 1.0})))
    await asyncio.to_thread(nodes.nodes[1].stop)
    failures = 0
    for job in jobs:
        try:
            await quick.snapshots.status(job)
        except StoreUnavailable:
            failures += 1
    assert failures
    await asyncio.to_thread(nodes.start_node, 1)

    async def all_answer() -> bool:
        try:
            for job in jobs:
                await quick.snapshots.status(job)
                await quick.jobs.end_job(job, TaskStatus.CANCELLED, BAD)
        except StoreUnavailable:
            return False
        return True

    await wait_until(all_answer, within=30)
    await quick.store.close()
    await asyncio.to_thread(nodes.wait_until_whole)


async def test_rate_limits_and_circuits_are_kept_in_a_cluster(there: Moves) -> None:
    limits = LimitStore(there.store)
    for number in range(5):
        bucket = Bucket(f"account{number}", "claude-sonnet-5-5")
        booking = await limits.book(
            bucket, "c", input_tokens=10, max_output=10, patience=timedelta(0), hold=timedelta(seconds=60)
        )
        assert booking.verdict is Verdict.GO
        assert await limits.correct(bucket, "c", Outcome.DONE, input_tokens=10, output_tokens=1)
        await limits.trip(bucket.account, "used up", None)
        assert await limits.mend(bucket.account)
        assert await limits.admit(f"tool-{number}", 1) is None
