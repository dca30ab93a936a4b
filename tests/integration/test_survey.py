"""What a doctor reads from the store."""

from tasks.store.survey import survey
from tests.support.builders import PARTITION
from tests.support.moves import Moves


async def test_an_idle_partition_has_nothing_and_says_so(moves: Moves) -> None:
    found = await survey(moves.store, PARTITION)
    assert (found.entries, found.oldest_ms, found.steps, found.readers) == (0, 0, (), {})
    untouched = await survey(moves.store, 3)
    assert (untouched.entries, untouched.readers) == (0, {})


async def test_entries_steps_and_readers_are_found(moves: Moves) -> None:
    job = await moves.submitted()
    found = await survey(moves.store, PARTITION)
    assert found.entries == 1
    assert 0 <= found.oldest_ms < 60_000
    await moves.entries()
    await moves.dispatched(job, "plan")
    [step] = (await survey(moves.store, PARTITION)).steps
    assert (step.job, step.step, step.status) == (job, "plan", "dispatched")
    assert step.overdue_ms < 0 <= step.since_ms
    assert step.timeout_ms > 0
    await moves.make_due(job, "plan")
    found = await survey(moves.store, PARTITION)
    assert found.steps[0].overdue_ms > 1_000_000
    assert found.readers == {"test": 1}
