"""Budgets, ledger and journal of running attempts: what is held, booked, written down, and lost, is so once."""

from datetime import timedelta

import pytest

from tasks.errors import BudgetHeld, BudgetSpent, DamagedRecord, PayloadTooLarge
from tasks.ids import SYNTHESIS_STEP, AttemptRef, JobId, StepId
from tasks.models import StepResult
from tasks.states import StepStatus, TaskStatus
from tasks.store import Estimate, JournalEntry, Pruning, Refusal, Scope, Unbooked
from tasks.store.payload import MAX_BYTES
from tasks.usage import Budget, Usage
from tests.support.builders import BAD, COST, OUT_OF_LUCK, RESULT, a_step
from tests.support.moves import Moves

ONE = {"a": ()}
LEAF = "worker claude-sonnet-5-5"
CALL = Estimate(cost_microusd=30, tokens=100, requests=1)
"""A call without output tokens to lessen."""
PAID = Usage(input_tokens=80, output_tokens=9, requests=1, cost_microusd=20)
JOB = Scope("job", Budget(cost_microusd=100))


def entry(name: str = "m1", text: str = "{}") -> JournalEntry:
    return JournalEntry(name, text)


async def ledger(moves: Moves, job: JobId) -> dict[str, str]:
    return await moves.redis.hgetall(f"{moves.store.keys.job(job)}:ledger")


async def sums(moves: Moves, job: JobId) -> dict[str, int]:
    """What scopes have spent and hold."""
    return {name: int(value) for name, value in (await ledger(moves, job)).items() if name[:2] in {"b:", "h:"}}


@pytest.fixture
async def ref(moves: Moves) -> AttemptRef:
    """A running attempt."""
    return await moves.running(await moves.planned(ONE), "a")


async def cancelled(moves: Moves, ref: AttemptRef) -> None:
    """Let its job be cancelled."""
    await moves.jobs.end_job(ref.job, TaskStatus.CANCELLED, OUT_OF_LUCK)


async def keys_of(moves: Moves, job: JobId) -> list[str]:
    return [key async for key in moves.redis.scan_iter(match=f"*{job}*", count=1000)]


async def again(moves: Moves, ref: AttemptRef) -> AttemptRef:
    """The next attempt, after its worker was lost."""
    await moves.lost(ref.job, ref.step)
    assert await moves.jobs.postpone(ref, 0)
    return await moves.running(ref.job, ref.step, ref.attempt + 1)


# --- to hold


async def test_a_call_holds_the_most_that_it_can_cost_in_every_scope(moves: Moves, ref: AttemptRef) -> None:
    scopes = [JOB, Scope("agent:worker", Budget(requests=5))]
    most = Estimate(least=1, most=10, nanousd=1_500, cost_microusd=30, tokens=100, requests=1, tool_calls=2)
    assert await moves.accounts.reserve(ref, "m1", most, scopes) == 10
    held = {"cost": 45, "tokens": 110, "requests": 1, "tool_calls": 2}
    assert await sums(moves, ref.job) == {
        f"h:{scope}:{what}": amount for scope in ("job", "agent:worker") for what, amount in held.items()
    }


async def test_a_repeated_reservation_holds_no_more(moves: Moves, ref: AttemptRef) -> None:
    most = Estimate(least=1, most=9, nanousd=1_000, cost_microusd=30)
    assert await moves.accounts.reserve(ref, "m1", most, [JOB]) == 9
    before = await ledger(moves, ref.job)
    assert await moves.accounts.reserve(ref, "m1", most, [JOB]) == 9
    assert await ledger(moves, ref.job) == before


@pytest.mark.parametrize("what", ["cost_microusd", "tokens", "requests", "tool_calls"])
@pytest.mark.parametrize("at", [0, 1])
async def test_a_call_fits_exactly_or_not_at_all(moves: Moves, ref: AttemptRef, what: str, at: int) -> None:
    """Each limit, in each scope."""
    scopes = [Scope("job", Budget()), Scope("agent:worker", Budget())]
    scopes[at] = Scope(scopes[at].name, Budget.model_validate({what: 20}))
    call = Estimate()._replace(**{what: 10})
    assert await moves.accounts.reserve(ref, "m1", call, scopes) == 0
    assert await moves.accounts.book(ref, "m1", LEAF, _used(what, 10)) is None
    assert await moves.accounts.reserve(ref, "m2", call, scopes) == 0
    assert await moves.accounts.book(ref, "m2", LEAF, _used(what, 10)) is None
    before = await ledger(moves, ref.job)
    with pytest.raises(BudgetSpent, match=r"the job may use|agent 'worker' may use"):
        await moves.accounts.reserve(ref, "m3", call, scopes)
    assert await ledger(moves, ref.job) == before


def _used(what: str, amount: int) -> Usage:
    return Usage.model_validate({"input_tokens" if what == "tokens" else what: amount})


async def test_what_others_hold_is_waited_for_and_what_is_spent_is_not(moves: Moves, ref: AttemptRef) -> None:
    call = Estimate(cost_microusd=60)
    assert await moves.accounts.reserve(ref, "m1", call, [JOB]) == 0
    with pytest.raises(BudgetHeld):
        await moves.accounts.reserve(ref, "m2", call, [JOB])
    assert await moves.accounts.book(ref, "m1", LEAF, PAID) is None
    assert await moves.accounts.reserve(ref, "m2", call, [JOB]) == 0
    assert await moves.accounts.book(ref, "m2", LEAF, Usage(cost_microusd=60)) is None
    with pytest.raises(BudgetSpent, match=r"the job may use \$0\.0001; \$2e-05 of it is left"):
        await moves.accounts.reserve(ref, "m3", call, [JOB])


async def test_a_refused_call_holds_nothing_in_scopes_that_had_room(moves: Moves, ref: AttemptRef) -> None:
    with pytest.raises(BudgetSpent):
        await moves.accounts.reserve(ref, "m1", CALL, [JOB, Scope("agent:worker", Budget(cost_microusd=29))])
    assert await ledger(moves, ref.job) == {}


@pytest.mark.parametrize(
    ("limits", "granted"),
    [
        (Budget(cost_microusd=1_000), 50),
        (Budget(cost_microusd=100), 35),
        (Budget(cost_microusd=30 + 2 * 20), 20),
        (Budget(tokens=100 + 49), 49),
        (Budget(cost_microusd=100, tokens=125), 25),
    ],
)
async def test_an_answer_is_as_long_as_the_budget_allows(
    moves: Moves, ref: AttemptRef, limits: Budget, granted: int
) -> None:
    most = Estimate(least=20, most=50, nanousd=2_000, cost_microusd=30, tokens=100, requests=1)
    assert await moves.accounts.reserve(ref, "m1", most, [Scope("job", limits)]) == granted
    held = await sums(moves, ref.job)
    assert held["h:job:cost"] == 30 + 2 * granted
    assert held["h:job:tokens"] == 100 + granted


@pytest.mark.parametrize("limits", [Budget(cost_microusd=30 + 2 * 20 - 1), Budget(tokens=119), Budget(tokens=99)])
async def test_no_answer_is_shorter_than_makes_sense(moves: Moves, ref: AttemptRef, limits: Budget) -> None:
    most = Estimate(least=20, most=50, nanousd=2_000, cost_microusd=30, tokens=100, requests=1)
    with pytest.raises(BudgetSpent):
        await moves.accounts.reserve(ref, "m1", most, [Scope("job", limits)])


async def test_an_answer_is_not_cut_short_for_what_others_only_hold(moves: Moves, ref: AttemptRef) -> None:
    most = Estimate(least=10, most=100, nanousd=1_000)
    assert await moves.accounts.reserve(ref, "m1", most._replace(most=70), [JOB]) == 70
    with pytest.raises(BudgetHeld):  # 30 now, 100 once the other call has ended for nothing
        await moves.accounts.reserve(ref, "m2", most, [JOB])
    await moves.accounts.free(ref, "m1")
    assert await moves.accounts.reserve(ref, "m1", most._replace(most=60), [JOB]) == 60
    assert await moves.accounts.reserve(ref, "m2", most, [JOB]) == 40, "four times the least: long enough to begin"


async def test_fractions_of_a_micro_dollar_are_held_as_whole_ones(moves: Moves, ref: AttemptRef) -> None:
    most = Estimate(least=1, most=3, nanousd=1, cost_microusd=99)
    assert await moves.accounts.reserve(ref, "m1", most, [JOB]) == 3
    assert (await sums(moves, ref.job))["h:job:cost"] == 100


# --- to book


async def test_a_booked_call_holds_nothing_and_is_spent(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    assert await moves.accounts.book(ref, "m1", LEAF, PAID, entry()) is None
    assert await sums(moves, ref.job) == {"b:job:cost": 20, "b:job:tokens": 89, "b:job:requests": 1}
    assert int(await moves.field(ref.job, "cost")) == 20
    (line,) = (await moves.accounts.ledger(ref.job)).lines
    assert (line.step, line.agent, line.model, line.usage) == ("a", "worker", "claude-sonnet-5-5", PAID)


async def test_a_repeated_booking_counts_once(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    assert await moves.accounts.book(ref, "m1", LEAF, PAID, entry()) is None
    before = await ledger(moves, ref.job)
    assert await moves.accounts.book(ref, "m1", LEAF, PAID, entry("m1", "other"), [JOB]) is None
    assert await ledger(moves, ref.job) == before
    assert await moves.accounts.recall(ref.job, ref.step) == [entry()]


async def test_a_repeated_booking_without_an_entry_counts_once(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    for _ in range(2):
        assert await moves.accounts.book(ref, "m1", LEAF, PAID, None, [JOB]) is None
    assert (await moves.accounts.ledger(ref.job)).total == PAID


async def test_a_call_that_was_not_begun_counts_with_its_entry(moves: Moves, ref: AttemptRef) -> None:
    used = Usage(tool_calls=1)
    for _ in range(2):
        assert await moves.accounts.book(ref, "", LEAF, used, entry("t1:0"), [JOB]) is None
    assert (await moves.accounts.ledger(ref.job)).total == used
    assert await sums(moves, ref.job) == {"b:job:tool_calls": 1}


async def test_a_call_whose_beginning_the_store_has_lost_is_booked_all_the_same(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    await moves.redis.delete(f"{moves.store.keys.job(ref.job)}:ledger")
    for _ in range(2):
        assert await moves.accounts.book(ref, "m1", LEAF, PAID, entry(), [JOB]) is None
    assert (await moves.accounts.ledger(ref.job)).total == PAID
    assert (await sums(moves, ref.job))["b:job:cost"] == 20


async def test_the_lines_of_a_ledger_add_up_to_the_job(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()})
    for step, agent, model in (("a", "worker", "m"), ("a", "worker", "n"), ("b", "other", "m")):
        ref = AttemptRef(job, StepId(step), 1)
        if await moves.status(job, step) is StepStatus.READY:
            await moves.running(job, step)
        await moves.accounts.reserve(ref, f"{agent}{model}", CALL, [])
        await moves.accounts.book(ref, f"{agent}{model}", f"{agent} {model}", PAID)
    found = await moves.accounts.ledger(job)
    assert [(line.step, line.agent, line.model) for line in found.lines] == [
        ("a", "worker", "m"), ("a", "worker", "n"), ("b", "other", "m"),
    ]  # fmt: skip
    assert found.total == PAID + PAID + PAID
    assert found.total.cost_microusd == int(await moves.field(job, "cost"))


async def test_what_an_agents_own_code_spent_leaves_less_for_others(moves: Moves, ref: AttemptRef) -> None:
    used = Usage(requests=1, cost_microusd=80)
    assert await moves.attempts.succeed(ref, RESULT, used, Unbooked(used, "worker")) is None
    (line,) = (await moves.accounts.ledger(ref.job)).lines
    assert (line.agent, line.model, line.usage) == ("worker", "-", used)
    closing = await moves.running(ref.job, SYNTHESIS_STEP)
    with pytest.raises(BudgetSpent):
        await moves.accounts.reserve(closing, "m1", CALL, [JOB])
    with pytest.raises(BudgetSpent):
        await moves.accounts.reserve(closing, "m1", CALL, [Scope("agent:worker", Budget(cost_microusd=100))])
    with pytest.raises(BudgetSpent):
        await moves.accounts.reserve(closing, "m1", CALL, [Scope("work", Budget(cost_microusd=100))])


async def test_what_writing_the_answer_spent_is_not_taken_from_the_work(moves: Moves, ref: AttemptRef) -> None:
    assert await moves.attempts.succeed(ref, RESULT, Usage(), Unbooked(Usage())) is None
    closing = await moves.running(ref.job, SYNTHESIS_STEP)
    assert await moves.attempts.fail(closing, BAD, COST, Unbooked(COST, "summary")) is None
    assert "b:work:cost" not in await sums(moves, ref.job)


# --- attempts that are over


@pytest.mark.parametrize("over", ["superseded", "over", "cancelled", "gone"])
async def test_an_attempt_that_is_over_begins_nothing(moves: Moves, ref: AttemptRef, over: str) -> None:
    match over:
        case "superseded":
            await again(moves, ref)
        case "over":
            await moves.attempts.fail(ref, BAD, COST)
        case "cancelled":
            await cancelled(moves, ref)
        case _:
            await moves.redis.delete(*await keys_of(moves, ref.job))
    assert await moves.accounts.reserve(ref, "m9", CALL, [JOB]) == Refusal(over)
    assert await moves.accounts.rewind(ref, 0) == Refusal(over)
    assert await moves.accounts.book(ref, "", LEAF, PAID, entry("m9"), [JOB]) == Refusal(over)
    assert await moves.accounts.recall(ref.job, ref.step) == []
    assert PAID not in [line.usage for line in (await moves.accounts.ledger(ref.job)).lines]


async def test_a_lost_worker_holds_nothing(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", Estimate(cost_microusd=100), [JOB])
    await moves.accounts.reserve(ref, "t1:0", Estimate(tool_calls=1), [])
    await moves.lost(ref.job, ref.step)
    assert await sums(moves, ref.job) == {}
    assert (await moves.accounts.ledger(ref.job)).unanswered == 2
    assert await moves.jobs.postpone(ref, 0)
    heir = await moves.running(ref.job, "a", 2)
    assert await moves.accounts.reserve(heir, "m1", Estimate(cost_microusd=100), [JOB]) == 0


@pytest.mark.parametrize("how", ["settled", "returned", "cancelled", "succeeded"])
async def test_whatever_ends_an_attempt_ends_its_calls(moves: Moves, ref: AttemptRef, how: str) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    match how:
        case "settled":
            await moves.attempts.fail(ref, BAD, COST)
        case "returned":
            await moves.attempts.hand_back(ref, "stopping", Usage())
        case "cancelled":
            await cancelled(moves, ref)
        case _:
            await moves.attempts.succeed(ref, RESULT, Usage())
    assert not any(name.startswith("h:") for name in await sums(moves, ref.job))
    assert (await moves.accounts.ledger(ref.job)).unanswered == 1


async def test_usage_that_comes_late_is_booked_once_and_its_entry_is_not(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    heir = await again(moves, ref)
    await moves.accounts.reserve(heir, "m1", CALL, [JOB])
    for _ in range(2):
        assert await moves.accounts.book(ref, "m1", LEAF, PAID, entry(), [JOB]) is Refusal.SUPERSEDED
    found = await moves.accounts.ledger(ref.job)
    assert (found.total, found.unanswered) == (PAID, 0)
    assert (await sums(moves, ref.job))["b:job:cost"] == PAID.cost_microusd
    assert (await sums(moves, ref.job))["h:job:cost"] == CALL.cost_microusd, "the heir's call is another one"
    assert await moves.accounts.recall(ref.job, ref.step) == []


async def test_usage_that_comes_after_the_jobs_end_is_booked(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    await cancelled(moves, ref)
    assert await moves.accounts.book(ref, "m1", LEAF, PAID, entry()) is Refusal.CANCELLED
    assert (await moves.accounts.ledger(ref.job)).total == PAID


# --- to free


async def test_a_call_that_came_to_nothing_is_freed_once(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    await moves.accounts.reserve(ref, "m2", CALL, [JOB])
    for _ in range(2):
        await moves.accounts.free(ref, "m1")
    assert await sums(moves, ref.job) == {"h:job:cost": 30, "h:job:tokens": 100, "h:job:requests": 1}
    assert (await moves.accounts.ledger(ref.job)).unanswered == 0


async def test_a_call_that_may_have_cost_something_is_remembered(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    for _ in range(2):
        await moves.accounts.free(ref, "m1", unknown=True)
    assert await sums(moves, ref.job) == {}
    await moves.lost(ref.job, ref.step)
    assert (await moves.accounts.ledger(ref.job)).unanswered == 1
    await moves.accounts.free(ref, "m1")
    assert await ledger(moves, ref.job) == {}, "it turned out to have come to nothing"


async def test_to_free_what_was_never_begun_is_nothing(moves: Moves, ref: AttemptRef) -> None:
    for unknown in (False, True):
        await moves.accounts.free(ref, "m1", unknown=unknown)
    await moves.redis.delete(*await keys_of(moves, ref.job))
    await moves.accounts.free(ref, "m1", unknown=True)
    assert await keys_of(moves, ref.job) == []


# --- the journal


async def test_a_journal_keeps_its_order_over_attempts(moves: Moves, ref: AttemptRef) -> None:
    names = ["o", "m1", "t1:1", "t1:0", "m10", "m2"]
    for name in names[:4]:
        assert await moves.accounts.book(ref, "", LEAF, Usage(), entry(name, f"«{name}»")) is None
    heir = await again(moves, ref)
    for name in names[4:]:
        assert await moves.accounts.book(heir, "", LEAF, Usage(), entry(name, f"«{name}»")) is None
    assert await moves.accounts.recall(ref.job, ref.step) == [entry(name, f"«{name}»") for name in names]


async def test_steps_have_journals_of_their_own(moves: Moves) -> None:
    job = await moves.planned({"a": (), "a-b": ()})
    for step in ("a", "a-b"):
        one = await moves.running(job, step)
        await moves.accounts.book(one, "", LEAF, Usage(), entry("m1", step))
    assert await moves.accounts.recall(job, StepId("a")) == [entry("m1", "a")]
    assert await moves.accounts.rewind(AttemptRef(job, StepId("a"), 1), 0) is None
    assert await moves.accounts.recall(job, StepId("a-b")) == [entry("m1", "a-b")]


@pytest.mark.parametrize("kept", [0, 1, 3, 9])
async def test_the_end_of_a_journal_can_be_forgotten(moves: Moves, ref: AttemptRef, kept: int) -> None:
    for name in ("m1", "m2", "m3"):
        await moves.accounts.book(ref, "", LEAF, Usage(), entry(name))
    for _ in range(2):
        assert await moves.accounts.rewind(ref, kept) is None
    assert await moves.accounts.recall(ref.job, ref.step) == [entry(name) for name in ("m1", "m2", "m3")[:kept]]
    assert await moves.accounts.book(ref, "", LEAF, Usage(), entry("m2", "new")) is None
    assert (await moves.accounts.recall(ref.job, ref.step))[min(kept, 3) :] == (
        [entry("m2", "new")] if kept < 2 else []
    )


async def test_a_large_entry_comes_back_whole(moves: Moves, ref: AttemptRef) -> None:
    texts = ["ü" * 40_000, "x" * 16_385, "y" * 1_000_000, ""]
    for at, text in enumerate(texts):
        assert await moves.accounts.book(ref, "", LEAF, Usage(), entry(f"m{at}", text)) is None
    stored = await moves.redis.hvals(f"{moves.store.keys.job(ref.job)}:journal")
    assert sum(map(len, stored)) < 200_000
    found = await moves.accounts.recall(ref.job, ref.step)
    assert [one.text for one in found] == texts


async def test_an_entry_that_is_too_large_is_refused_and_nothing_booked(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    with pytest.raises(PayloadTooLarge, match="an entry of the journal"):
        await moves.accounts.book(ref, "m1", LEAF, PAID, entry("m1", "x" * (MAX_BYTES + 1)))
    assert (await moves.accounts.ledger(ref.job)).lines == ()
    assert await moves.accounts.book(ref, "m1", LEAF, PAID) is None


@pytest.mark.parametrize("stored", ["@100", "@100 !!", "@1 eJwDAAAAAAE="])
async def test_a_damaged_entry_is_told_of(moves: Moves, ref: AttemptRef, stored: str) -> None:
    await moves.accounts.book(ref, "", LEAF, Usage(), entry("m1"))
    await moves.redis.hset(f"{moves.store.keys.job(ref.job)}:journal", "a m1", stored)
    with pytest.raises(DamagedRecord):
        await moves.accounts.recall(ref.job, ref.step)


async def test_a_damaged_ledger_is_told_of(moves: Moves, ref: AttemptRef) -> None:
    await moves.redis.hset(f"{moves.store.keys.job(ref.job)}:ledger", "u:a worker m", "1 2")
    await moves.redis.expire(f"{moves.store.keys.job(ref.job)}:ledger", 60)
    with pytest.raises(DamagedRecord, match="the ledger of job"):
        await moves.accounts.ledger(ref.job)


async def test_a_job_that_is_not_there_has_an_empty_ledger_and_no_journal(moves: Moves, ref: AttemptRef) -> None:
    gone = JobId("j0123456789abcdefgh0")
    assert (await moves.accounts.ledger(gone)).total == Usage()
    assert await moves.accounts.recall(gone, ref.step) == []


# --- moves that concern journals


async def _written(moves: Moves, ref: AttemptRef) -> None:
    assert await moves.accounts.book(ref, "", LEAF, Usage(), entry()) is None


async def test_a_failure_may_ask_for_a_new_conversation(moves: Moves, ref: AttemptRef) -> None:
    await _written(moves, ref)
    await moves.attempts.fail(ref, BAD, Usage())
    assert await moves.accounts.recall(ref.job, ref.step) == [entry()]
    assert await moves.jobs.postpone(ref, 0)
    second = await moves.running(ref.job, "a", 2)
    await moves.attempts.fail(second, BAD, Usage(), anew=True)
    assert await moves.accounts.recall(ref.job, ref.step) == []


async def test_a_fallback_agent_begins_a_conversation_of_its_own(moves: Moves, ref: AttemptRef) -> None:
    await _written(moves, ref)
    await moves.attempts.fail(ref, BAD, Usage())
    heir = a_step("a", agent="heir", queue="heir")
    await moves.jobs.fall_back(ref, heir, '{"agent":"worker","fallback":"heir"}', seen=StepStatus.DELAYED)
    assert await moves.accounts.recall(ref.job, ref.step) == []


async def test_a_step_that_is_retried_by_hand_goes_on_where_it_was_interrupted(moves: Moves, ref: AttemptRef) -> None:
    await _written(moves, ref)
    await moves.attempts.fail(ref, BAD, Usage())
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK)
    await moves.reopen(ref.job, "a")
    assert await moves.accounts.recall(ref.job, ref.step) == [entry()]


async def test_a_step_that_killed_its_workers_begins_anew_when_it_is_retried(moves: Moves, ref: AttemptRef) -> None:
    await _written(moves, ref)
    await moves.lost(ref.job, ref.step)
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK.model_copy(update={"code": "poison"}))
    await moves.reopen(ref.job, "a")
    assert await moves.accounts.recall(ref.job, ref.step) == []


async def test_a_step_whose_inputs_are_made_anew_begins_anew(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ("a",)}, joins=None)
    await moves.succeed(job, "a")
    second = await moves.running(job, "b")
    await _written(moves, second)
    await moves.attempts.succeed(second, RESULT, Usage())
    closing = await moves.running(job, SYNTHESIS_STEP)
    await _written(moves, closing)
    await moves.attempts.fail(closing, BAD, Usage())
    assert await moves.jobs.give_up(closing, OUT_OF_LUCK)
    await moves.reopen(job, SYNTHESIS_STEP)
    assert await moves.accounts.recall(job, closing.step) == [entry()]
    assert await moves.accounts.recall(job, second.step) == [entry()]


async def test_what_waited_for_a_retried_step_begins_anew(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()})
    await moves.succeed(job, "a")
    failing = await moves.faltered(job, "b")
    assert await moves.jobs.give_up(failing, OUT_OF_LUCK)
    closing = await moves.running(job, SYNTHESIS_STEP)
    await _written(moves, closing)
    await moves.attempts.succeed(closing, RESULT, Usage())
    await moves.reopen(job, "b")
    assert await moves.accounts.recall(job, closing.step) == []


async def test_what_was_found_is_kept_until_the_step_is_done(moves: Moves, ref: AttemptRef) -> None:
    await moves.attempts.fail(ref, BAD, Usage(), found=StepResult(text="half of it"))
    assert await moves.jobs.postpone(ref, 0)
    second = await moves.running(ref.job, "a", 2)
    await moves.attempts.fail(second, BAD, Usage())
    record = await moves.snapshots.step(ref.job, "a")
    assert record is not None
    assert record.found == StepResult(text="half of it")


# --- the life of the keys


async def test_ledger_and_journal_live_as_long_as_their_job(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    await _written(moves, ref)
    key = moves.store.keys.job(ref.job)

    async def ends() -> set[int]:
        return {await moves.redis.pexpiretime(key + part) for part in ("", ":ledger", ":journal")}

    assert len(await ends()) == 1
    await moves.accounts.free(ref, "m1")  # the hash is empty now, and gone
    await moves.accounts.rewind(ref, 0)
    await moves.accounts.reserve(ref, "m2", CALL, [JOB])
    await _written(moves, ref)
    assert len(await ends()) == 1
    await cancelled(moves, ref)
    assert len(await ends()) == 1
    await moves.accounts.book(ref, "m2", LEAF, PAID)
    assert min(await ends()) > 0


async def test_pruning_a_job_takes_ledger_and_journal_along(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    await _written(moves, ref)
    await cancelled(moves, ref)
    async for _ in Pruning(moves.store).run(timedelta(0)):
        pass
    assert await keys_of(moves, ref.job) == []
    assert await moves.accounts.book(ref, "m1", LEAF, PAID, entry("m2"), [JOB]) is Refusal.GONE
    assert await keys_of(moves, ref.job) == []


async def test_a_ledger_of_another_type_is_an_error_not_a_number(moves: Moves, ref: AttemptRef) -> None:
    await moves.redis.set(f"{moves.store.keys.job(ref.job)}:ledger", "x", ex=60)
    with pytest.raises(DamagedRecord):
        await moves.accounts.reserve(ref, "m1", CALL, [JOB])
