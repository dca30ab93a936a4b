"""Budgets of jobs and agents, as running steps meet them, on the real store."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest

from tasks.errors import BudgetSpent, ModelNonsense, ModelUnavailable
from tasks.ids import SYNTHESIS_STEP, AttemptRef
from tasks.models import Failure, StepResult
from tasks.states import StepStatus, TaskStatus
from tasks.store import Estimate, Scope
from tasks.usage import Budget, Usage
from tests.support.doing import Doing
from tests.support.moves import Moves
from tests.support.waiting import wait_until
from workers import tool
from workers.agents.base import Agent
from workers.journal.governed import GovernedModel
from workers.journal.journal import Journal
from workers.journal.purse import LEAST, Purse
from workers.llm.base import ModelRequest
from workers.llm.pricing import Pricing
from workers.llm.scripted import Call, ScriptedModel, Step, Turn

MODEL: Final = "claude-sonnet-5-5"
PRICING: Final = Pricing.read()
FACTS: Final = PRICING.facts(MODEL)
PAID: Final = Usage(input_tokens=100, output_tokens=10, requests=1, cost_microusd=450)
PROMPT: Final = "How is it? " * 400


def cost(prompt: int, output: int) -> int:
    """Of a call whose prompt is written to the cache."""
    return PRICING.cost_microusd(MODEL, input_tokens=0, cache_write_5m_tokens=prompt, output_tokens=output)


class Counter:
    """Counts every prompt as so many tokens."""

    def __init__(self, tokens: int | Exception) -> None:
        self.tokens = tokens
        self.asked = 0

    async def count_tokens(self, request: ModelRequest) -> int:
        """Say so."""
        self.asked += 1
        if isinstance(self.tokens, Exception):
            raise self.tokens
        return self.tokens


@pytest.fixture
async def ref(moves: Moves) -> AttemptRef:
    """A running attempt."""
    return await moves.running(await moves.planned({"a": ()}), "a")


def governed(
    moves: Moves, ref: AttemptRef, limits: Budget, *turns: Step, counter: Counter | None = None
) -> tuple[GovernedModel, ScriptedModel]:
    """A model within a budget."""
    inner = ScriptedModel(turns, name=MODEL)
    scopes = [Scope("job", limits)]
    return GovernedModel(inner, Journal(moves.accounts, ref), Purse(PRICING), scopes, "worker", counter), inner


def ask(prompt: str = PROMPT, **fields: Any) -> ModelRequest:
    return ModelRequest(MODEL, "worker", "", [{"role": "user", "content": prompt}], max_tokens=8_192, **fields)


async def taken(moves: Moves, ref: AttemptRef, what: str = "cost") -> tuple[int, int]:
    """What the job has spent and holds."""
    key = f"{moves.store.keys.job(ref.job)}:ledger"
    spent, held = await moves.redis.hmget(key, f"b:job:{what}", f"h:job:{what}")
    return int(spent or 0), int(held or 0)


async def test_a_call_within_its_budget_is_made_as_it_is(moves: Moves, ref: AttemptRef) -> None:
    counter = Counter(1)
    model, inner = governed(moves, ref, Budget(cost_microusd=1_000_000), Turn(["Good."], usage=PAID), counter=counter)
    assert (await model.reply(ask())).text == "Good."
    assert (inner.requests[0].max_tokens, counter.asked) == (8_192, 0)
    assert await taken(moves, ref) == (450, 0)


async def test_while_it_is_made_the_most_is_held(moves: Moves, ref: AttemptRef) -> None:
    async def look(_: ModelRequest) -> Turn:
        assert (await taken(moves, ref))[1] >= cost(len(PROMPT), 8_192)
        return Turn(["Good."], usage=PAID)

    model, _ = governed(moves, ref, Budget(cost_microusd=1_000_000), look)
    await model.reply(ask())


async def test_a_prompt_is_counted_before_an_answer_is_cut_short_or_refused(moves: Moves, ref: AttemptRef) -> None:
    for left in (cost(1_200, 8_192), cost(6_000, LEAST + 100)):
        counter = Counter(1_000)
        model, inner = governed(moves, ref, Budget(cost_microusd=left), Turn(["Good."], usage=Usage()), counter=counter)
        await model.reply(ask())
        assert counter.asked == 1
        assert inner.requests[0].max_tokens >= min(8_192, LEAST + 1_300)
        assert await taken(moves, ref) == (0, 0)


async def test_an_answer_may_be_as_long_as_there_is_money_for(moves: Moves, ref: AttemptRef) -> None:
    model, inner = governed(moves, ref, Budget(cost_microusd=cost(1_100, 3_000)), "Good.", counter=Counter(1_000))
    assert (await model.reply(ask())).text == "Good."
    assert 3_000 <= inner.requests[0].max_tokens < 3_100


async def test_without_a_count_the_bound_holds(moves: Moves, ref: AttemptRef) -> None:
    limits = Budget(cost_microusd=cost(len(PROMPT) + 1_100, 3_000))
    for counter in (None, Counter(ModelUnavailable("away")), Counter(10_000)):
        model, inner = governed(moves, ref, limits, Turn(["Good."], usage=Usage()), counter=counter)
        await model.reply(ask())
        assert 3_000 <= inner.requests[0].max_tokens < 3_100
        assert await taken(moves, ref) == (0, 0)


async def test_a_call_that_does_not_fit_is_not_made(moves: Moves, ref: AttemptRef) -> None:
    model, inner = governed(moves, ref, Budget(cost_microusd=cost(1_000, LEAST)), counter=Counter(1_000))
    with pytest.raises(BudgetSpent, match="the job may use"):
        await model.reply(ask())
    assert inner.requests == []
    assert await taken(moves, ref) == (0, 0)


async def test_an_answer_that_was_cut_for_the_budget_ends_the_conversation_and_is_kept(
    moves: Moves, ref: AttemptRef
) -> None:
    cut = Turn(["It is quite"], stop_reason="max_tokens", usage=PAID)
    model, _ = governed(moves, ref, Budget(cost_microusd=cost(1_100, 2_000)), cut, counter=Counter(1_000))
    with pytest.raises(BudgetSpent, match="tokens of an answer, and it is longer") as caught:
        await model.reply(ask())
    assert caught.value.partial == "It is quite"
    assert await taken(moves, ref) == (450, 0)
    assert (await moves.accounts.ledger(ref.job)).total == PAID


async def test_an_answer_that_was_cut_by_its_own_limit_is_the_loops_matter(moves: Moves, ref: AttemptRef) -> None:
    cut = Turn(["It is quite"], stop_reason="max_tokens", usage=PAID)
    model, _ = governed(moves, ref, Budget(cost_microusd=1_000_000), cut)
    assert (await model.reply(ask())).stop_reason == "max_tokens"


async def test_a_call_waits_for_what_others_hold(moves: Moves, ref: AttemptRef) -> None:
    limit = cost(1_100, 8_192)
    await moves.accounts.reserve(ref, "other", Estimate(cost_microusd=limit), [Scope("job", Budget())])
    model, inner = governed(moves, ref, Budget(cost_microusd=limit), "Good.", counter=Counter(1_000))
    task = asyncio.create_task(model.reply(ask()))
    await wait_until(lambda: model.calls == 1)
    for _ in range(5):
        await moves.store.ping()
    assert inner.requests == []
    await moves.accounts.free(ref, "other")
    assert (await task).text == "Good."
    assert inner.requests[0].max_tokens == 8_192


async def no_pause(_: float) -> None:
    return None


async def test_an_answer_that_breaks_off_is_bought_anew_and_each_one_is_held_and_entered(
    moves: Moves, ref: AttemptRef
) -> None:
    broke = ModelUnavailable("broke off", begun=True)
    held: list[int] = []

    async def look(_: ModelRequest) -> Turn:
        held.append((await taken(moves, ref))[1])
        raise broke

    model, _ = governed(moves, ref, Budget(cost_microusd=1_000_000), look, look, Turn(["Good."], usage=PAID))
    model.sleep = no_pause
    assert (await model.reply(ask())).text == "Good."
    assert (held[0] > 0, held[1:]) == (True, held[:1])
    found = await moves.accounts.ledger(ref.job)
    assert (found.total, found.unanswered) == (PAID, 2)
    model, inner = governed(moves, ref, Budget(), broke, broke, broke)
    model.sleep = no_pause
    model.calls = 3  # of the same attempt
    with pytest.raises(ModelUnavailable):
        await model.reply(ask())
    inner.assert_consumed()
    assert (await moves.accounts.ledger(ref.job)).unanswered == 5


async def test_nonsense_that_says_what_it_cost_is_paid_for(moves: Moves, ref: AttemptRef) -> None:
    nonsense = ModelNonsense("a tool call without a name")
    nonsense.usage = PAID
    model, _ = governed(moves, ref, Budget(cost_microusd=1_000_000), nonsense)
    with pytest.raises(ModelNonsense):
        await model.reply(ask())
    found = await moves.accounts.ledger(ref.job)
    assert (found.total, found.unanswered) == (PAID, 0)
    assert await taken(moves, ref) == (450, 0)


async def test_a_call_that_was_refused_is_not_made_again_here(moves: Moves, ref: AttemptRef) -> None:
    model, inner = governed(moves, ref, Budget(), ModelUnavailable("overloaded"))
    with pytest.raises(ModelUnavailable):
        await model.reply(ask())
    inner.assert_consumed()


# --- whole steps


def agent(*tools: Any, **fields: Any) -> Agent:
    return Agent(name="worker", description="Works.", tools=[tool(one) for one in tools], **fields)


class Hands:
    """A tool that counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def look(self, where: str) -> str:
        """Looks somewhere."""
        self.calls += 1
        await self.may_end.wait()
        return f"saw {where}"


async def run(
    moves: Moves, ref: AttemptRef, turns: Sequence[Step], agents: Sequence[Agent]
) -> tuple[str, ScriptedModel]:
    model = ScriptedModel(turns, name=MODEL)
    doing = Doing(moves, agents, model=model, keeps_accounts=True)
    return await doing.start(ref), model


async def failure(moves: Moves, ref: AttemptRef) -> tuple[Failure, StepResult | None]:
    record = await moves.snapshots.step(ref.job, ref.step)
    assert record is not None
    failure = record.attempts[-1].failure
    assert failure is not None
    return failure, record.found


def look(*places: str, said: str = "") -> Turn:
    calls = [Call("look", {"where": where}, id=f"toolu_{where}") for where in places]
    return Turn([said, *calls] if said else calls, usage=PAID)


async def test_a_step_that_has_spent_its_requests_ends_with_what_it_has_said(moves: Moves) -> None:
    job = await moves.planned({"a": ()}, limits=Budget(requests=3))
    ref, hands = await moves.dispatched(job, "a"), Hands()
    turns = [look("x", said="The x is red."), look("y", said="The y is blue.")]
    outcome, model = await run(moves, ref, turns, [agent(hands.look)])
    assert outcome.startswith("failed: budget_spent: the job may use 2 model calls (the rest is kept for writing")
    model.assert_consumed()
    fact, found = await failure(moves, ref)
    assert (fact.code, fact.retryable, hands.calls) == ("budget_spent", False, 2)
    assert found is not None
    assert found.text == "The x is red.\n\nThe y is blue."


async def test_an_agents_budget_holds_for_all_its_steps_of_a_job(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()})
    own = [agent(budget=Budget(requests=1))]
    assert (await run(moves, await moves.dispatched(job, "a"), [Turn(["Good."])], own))[0] == "succeeded"
    second = await moves.dispatched(job, "b")
    outcome, _ = await run(moves, second, [], own)
    assert outcome.startswith("failed: budget_spent: agent 'worker' may use 1 model call; 0 of it is left")


async def test_of_calls_that_are_too_many_none_is_made(moves: Moves) -> None:
    job = await moves.planned({"a": ()}, limits=Budget(tool_calls=3))
    ref, hands = await moves.dispatched(job, "a"), Hands()
    outcome, _ = await run(moves, ref, [look("x", "y"), look("z", "w", said="So far.")], [agent(hands.look)])
    assert outcome.startswith("failed: budget_spent: the job may use 3 tool calls; 1 of it is left")
    assert hands.calls == 2
    assert await taken(moves, ref, "tool_calls") == (2, 0)
    _, found = await failure(moves, ref)
    assert found is not None
    assert found.text == "So far."


async def test_tool_calls_are_counted_to_the_last_one(moves: Moves) -> None:
    job = await moves.planned({"a": ()}, limits=Budget(tool_calls=3))
    ref, hands = await moves.dispatched(job, "a"), Hands()
    outcome, _ = await run(moves, ref, [look("x", "y"), look("z"), Turn(["Good."])], [agent(hands.look)])
    assert (outcome, hands.calls) == ("succeeded", 3)
    assert (await moves.accounts.ledger(job)).total.tool_calls == 3


async def test_a_turn_of_calls_waits_for_what_other_steps_hold_and_holds_nothing_meanwhile(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()}, limits=Budget(tool_calls=2))
    other = await moves.running(job, "b")
    scopes = [Scope("job", Budget(tool_calls=2))]
    await moves.accounts.reserve(other, "t1:0", Estimate(tool_calls=1), scopes)
    ref, hands = await moves.dispatched(job, "a"), Hands()
    running = asyncio.create_task(run(moves, ref, [look("x", "y"), Turn(["Good."])], [agent(hands.look)]))

    async def journalled() -> bool:
        return len(await moves.accounts.recall(job, ref.step)) == 2

    await wait_until(journalled)
    for _ in range(5):
        await moves.store.ping()
    assert hands.calls == 0
    await moves.accounts.free(other, "t1:0")
    outcome, _ = await running
    assert (outcome, hands.calls) == ("succeeded", 2)


async def test_calls_of_earlier_attempts_are_not_held_for_again(moves: Moves) -> None:
    job = await moves.planned({"a": ()}, limits=Budget(tool_calls=2))
    ref, hands = await moves.dispatched(job, "a"), Hands()
    await run(moves, ref, [look("x", "y"), ModelUnavailable("overloaded")], [agent(hands.look)])
    assert await moves.jobs.postpone(ref, 0)
    outcome, _ = await run(moves, await moves.dispatched(job, "a", 2), [Turn(["Good."])], [agent(hands.look)])
    assert (outcome, hands.calls) == ("succeeded", 2)
    assert await taken(moves, ref, "tool_calls") == (2, 0)


async def test_without_money_for_the_answer_it_is_put_together_from_what_was_found(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()}, limits=Budget(requests=1))
    assert (await run(moves, await moves.dispatched(job, "a"), [Turn(["The a is red."])], [agent()]))[0] == "succeeded"
    second = await moves.dispatched(job, "b")
    assert (await run(moves, second, [], [agent()]))[0].startswith("failed: budget_spent")
    assert await moves.jobs.give_up(second, (await failure(moves, second))[0])
    assert (await run(moves, await moves.dispatched(job, SYNTHESIS_STEP), [], [agent()]))[0] == "succeeded"
    record = await moves.snapshots.job(job)
    closing = next(one for one in record.steps if one.step.id == SYNTHESIS_STEP)
    assert (record.status, closing.status) == (TaskStatus.COMPLETED, StepStatus.SUCCEEDED)
    assert closing.result is not None
    assert closing.result.model is None
    first, *rest = closing.result.text.split("\n\n")
    assert first.startswith("*This answer was put together without a model: the job may use 1 model call; 0")
    assert rest[:2] == ["**Do a.**", "The a is red."]
    assert rest[2].startswith("**Missing:**\n- Do b.: the job may use 1 model call; 0")


async def test_a_budget_of_nothing_buys_nothing(moves: Moves) -> None:
    job = await moves.planned({"a": ()}, budget_microusd=0)
    outcome, model = await run(moves, await moves.dispatched(job, "a"), [], [agent()])
    assert outcome.startswith("failed: budget_spent")
    assert model.requests == []


async def test_requests_that_were_limited_are_not_counted(moves: Moves) -> None:
    job = await moves.planned({"a": ()}, limits=Budget(requests=2))
    ref = await moves.dispatched(job, "a")
    await run(moves, ref, [ModelUnavailable("overloaded")], [agent()])
    assert await moves.jobs.postpone(ref, 0)
    assert (await run(moves, await moves.dispatched(job, "a", 2), [Turn(["Good."])], [agent()]))[0] == "succeeded"
    assert await taken(moves, ref, "requests") == (1, 0)
