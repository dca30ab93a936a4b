"""Journals that are filled before their job is there: for it alone, whole, and as long as it needs them."""

import pytest

from tasks.errors import ContractError, PayloadTooLarge
from tasks.ids import JobId, StepId, new_job_id
from tasks.models import JobSpec
from tasks.store import AccountStore, JournalEntry
from tasks.store.accounts import BATCH, SEEDED_FOR
from tasks.usage import Usage
from tests.support.builders import BAD, COST, PARTITION, a_graph, a_planning_step
from tests.support.moves import Moves
from workers.agents.base import Agent
from workers.context import StepContext
from workers.journal.account import Account
from workers.journal.journal import UNPAID
from workers.journal.purse import Purse
from workers.llm.pricing import Pricing

ONE = StepId("one")
ENTRIES = [JournalEntry("r", '{"kind":"recorded"}'), JournalEntry("o", '{"kind":"opening","text":"Go."}')]


@pytest.fixture
def accounts(moves: Moves) -> AccountStore:
    return AccountStore(moves.store)


def a_replay() -> JobSpec:
    return JobSpec(id=new_job_id(PARTITION), task="Why?", replay=True)


async def lifetime_s(moves: Moves, job: JobId) -> float:
    return await moves.redis.pttl(f"{moves.store.keys.job(job)}:journal") / 1000


async def test_a_seeded_journal_is_recalled_in_order_and_a_second_seeding_changes_nothing(
    moves: Moves, accounts: AccountStore
) -> None:
    job = a_replay().id
    for _ in range(2):
        await accounts.seed(job, ONE, ENTRIES)
    await accounts.seed(job, ONE, [ENTRIES[0], JournalEntry("m1", "{}")])
    assert await accounts.recall(job, ONE) == [*ENTRIES, JournalEntry("m1", "{}")]
    assert await accounts.recall(job, StepId("two")) == []


async def test_many_and_large_entries_are_seeded_whole(accounts: AccountStore) -> None:
    job = a_replay().id
    entries = [JournalEntry(f"m{number}", f'"{number}"') for number in range(2 * BATCH + 1)]
    entries[3] = JournalEntry("m3", '"' + "A finding. " * 100_000 + '"')
    await accounts.seed(job, ONE, entries)
    assert await accounts.recall(job, ONE) == entries


async def test_an_entry_that_is_too_large_is_refused(accounts: AccountStore) -> None:
    with pytest.raises(PayloadTooLarge, match="an entry of the journal"):
        await accounts.seed(a_replay().id, ONE, [JournalEntry("m1", "x" * 5_000_000)])


async def test_a_journal_without_a_job_is_forgotten_soon_and_with_one_is_kept_as_long_as_that(
    moves: Moves, accounts: AccountStore
) -> None:
    spec = a_replay()
    await accounts.seed(spec.id, ONE, ENTRIES)
    assert 0 < await lifetime_s(moves, spec.id) <= SEEDED_FOR.total_seconds()
    await moves.jobs.submit(spec, a_planning_step())
    assert await lifetime_s(moves, spec.id) > spec.timeout_ms / 1000


async def test_the_journals_of_a_job_that_is_there_cannot_be_seeded(moves: Moves, accounts: AccountStore) -> None:
    job = await moves.planned({"one": ()})
    with pytest.raises(ContractError, match="was submitted before"):
        await accounts.seed(job, ONE, ENTRIES)
    assert await accounts.recall(job, ONE) == []


@pytest.mark.parametrize("replay", [True, False])
async def test_what_a_failure_leaves_of_a_journal_is_all_in_a_replay_only(
    moves: Moves, accounts: AccountStore, replay: bool
) -> None:
    spec = a_replay().model_copy(update={"replay": replay})
    await accounts.seed(spec.id, ONE, ENTRIES)
    await moves.jobs.submit(spec, None)
    assert await moves.extend(spec.id, a_graph({"one": ()}))
    ref = await moves.running(spec.id, "one")
    await accounts.rewind(ref, 1)
    assert await accounts.recall(spec.id, ONE) == (ENTRIES if replay else ENTRIES[:1])
    await moves.attempts.fail(ref, BAD, COST, anew=True)
    assert await accounts.recall(spec.id, ONE) == (ENTRIES if replay else [])


async def test_a_later_attempt_forgets_that_the_budget_ended_an_earlier_one(
    moves: Moves, accounts: AccountStore
) -> None:
    job = await moves.planned({"one": ()})
    ref = await moves.running(job, "one")
    for entry in (ENTRIES[1], JournalEntry(UNPAID, '{"kind":"unpaid","reason":"spent"}')):
        assert await accounts.book(ref, "", "worker -", Usage(), entry) is None
    await moves.make_due(job, "one")
    await moves.jobs.sweep(PARTITION)
    await moves.jobs.postpone(ref, 0)
    await moves.jobs.sweep(PARTITION)
    again = await moves.dispatched(job, "one", 2)
    claim = await moves.claim(again)
    assert claim is not None
    agent = Agent(name="worker", description="Works.")
    await Account(StepContext(claim), agent, Purse(Pricing.read()), accounts).open()
    assert await accounts.recall(job, ONE) == ENTRIES[1:]
