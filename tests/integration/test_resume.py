"""Conversations that are interrupted, on the real store: the next attempt goes on, and buys and does nothing twice."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from tasks.errors import (
    ModelNonsense,
    ModelTruncated,
    ModelUnavailable,
    StoreUnavailable,
    TroupeError,
)
from tasks.ids import AttemptRef, JobId
from tasks.models import Failure, Source
from tasks.states import StepStatus
from tasks.store import JournalEntry, Refusal
from tasks.usage import Usage
from tests.support.builders import a_step
from tests.support.doing import Doing
from tests.support.moves import Moves
from tests.support.waiting import wait_until
from workers import tool
from workers.agents.base import Agent
from workers.context import current_step
from workers.journal import journal as journals
from workers.lease import DRAINING
from workers.llm.base import ModelRequest
from workers.llm.scripted import Call, ScriptedModel, Step, Turn
from workers.tools.current import current_call

MODEL: Final = "claude-sonnet-5-5"
PAID: Final = Usage(input_tokens=100, output_tokens=10, requests=1, cost_microusd=450)
GONE: Final = ModelUnavailable("overloaded")


def turn(*content: str | Call, **fields: Any) -> Turn:
    return Turn(content, usage=PAID, **fields)


def look(where: str) -> Turn:
    """A turn with a call of the tool `look`."""
    return turn(Call("look", {"where": where}, id=f"toolu_{where}"))


class Hands:
    """Tools that note what they do; some wait until they may end."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        """Where, and the key of the call."""
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def look(self, where: str) -> str:
        """Looks somewhere."""
        self.done.append((where, current_call().key))
        return f"saw {where}"

    async def hang(self, where: str) -> str:
        """Looks somewhere, for long."""
        self.done.append((where, current_call().key))
        self.begun.set()
        await self.may_end.wait()
        return f"saw {where}"

    async def cite(self, where: str) -> str:
        """Shows a source."""
        source = Source(id=f"p012345678{where}-1", title=where, path=f"/{where}.md", text=where)
        return f"[{current_step().cite(source)}] {where}"

    async def pay(self, amount: int) -> str:
        """Spends something of its own."""
        current_step().spend(Usage(requests=1, cost_microusd=amount))
        return "paid"


class Scene:
    """One job with one step, whose attempts this process runs, one after the other."""

    def __init__(self, moves: Moves, job: JobId, hands: Hands) -> None:
        self.moves = moves
        self.job = job
        self.hands = hands
        self.number = 0
        self.asked: list[ModelRequest] = []
        """Of all attempts."""
        tools = (hands.look, hands.hang, hands.cite, hands.pay)
        self.agent = Agent(name="worker", description="Looks.", tools=[tool(one) for one in tools])

    def doing(self, *turns: Step, agent: Agent | None = None) -> tuple[Doing, ScriptedModel]:
        """A worker whose model says so."""
        model = ScriptedModel(turns, name=MODEL)
        return Doing(self.moves, [agent or self.agent], model=model, keeps_accounts=True), model

    async def ready(self) -> AttemptRef:
        """The next attempt, its message published."""
        self.number += 1
        if await self.moves.status(self.job, "a") is StepStatus.DELAYED:
            assert await self.moves.jobs.postpone(AttemptRef(self.job, a_step("a").id, self.number - 1), 0)
        return await self.moves.dispatched(self.job, "a", self.number)

    async def attempt(self, *turns: Step, agent: Agent | None = None) -> str:
        """Run the next attempt to its end; all its turns must have been played."""
        ref = await self.ready()
        doing, model = self.doing(*turns, agent=agent)
        outcome = await doing.start(ref)
        model.assert_consumed()
        self.asked += model.requests
        return outcome

    async def failure(self) -> Failure:
        """Of the last attempt."""
        record = await self.moves.snapshots.step(self.job, "a")
        assert record is not None
        failure = record.attempts[-1].failure
        assert failure is not None
        return failure

    async def journal(self) -> list[str]:
        """Ids of what is written down."""
        return [one.id for one in await self.moves.accounts.recall(self.job, a_step("a").id)]

    async def paid(self) -> tuple[int, int]:
        """Calls that were answered, and not, by the ledger."""
        found = await self.moves.accounts.ledger(self.job)
        return found.total.requests, found.unanswered


@pytest.fixture
async def scene(moves: Moves) -> Scene:
    return Scene(moves, await moves.planned({"a": ()}), Hands())


def texts(request: ModelRequest) -> list[str]:
    """What the model was shown, message by message, without the opening."""
    return [str(message["content"]) for message in request.messages[1:]]


async def test_the_next_attempt_goes_on_where_the_last_one_was(scene: Scene) -> None:
    assert await scene.attempt(look("x"), look("y"), GONE) == "failed: model_unavailable: overloaded"
    assert await scene.attempt(GONE) == "failed: model_unavailable: overloaded"
    assert await scene.attempt(look("z"), turn("It is so.")) == "succeeded"
    assert [where for where, _ in scene.hands.done] == ["x", "y", "z"]
    undisturbed = Scene(scene.moves, await scene.moves.planned({"a": ()}), Hands())
    await undisturbed.attempt(look("x"), look("y"), look("z"), turn("It is so."))
    assert [texts(one) for one in scene.asked[-2:]] == [texts(one) for one in undisturbed.asked[-2:]]
    assert scene.asked[2].messages == scene.asked[3].messages == scene.asked[4].messages
    assert await scene.paid() == (4, 2)
    assert await scene.journal() == ["o", "m1", "t1:0", "m2", "t2:0", "m3", "t3:0", "m4"]


async def test_attempts_say_what_each_consumed_and_the_ledger_the_sum(scene: Scene) -> None:
    await scene.attempt(look("x"), GONE)
    await scene.attempt(turn("It is so."))
    record = await scene.moves.snapshots.step(scene.job, "a")
    assert record is not None
    once = replace_usage(PAID, tool_calls=1)
    assert [one.usage for one in record.attempts] == [once, PAID]
    (line,) = (await scene.moves.accounts.ledger(scene.job)).lines
    assert (line.agent, line.model, line.usage) == ("worker", MODEL, once + PAID)


def replace_usage(usage: Usage, **fields: int) -> Usage:
    return usage.model_copy(update=fields)


@pytest.mark.parametrize(
    ("error", "unanswered"),
    [
        (ModelUnavailable("the answer broke off"), 1),
        (ModelNonsense("the answer is a page of a proxy"), 1),
        (ModelUnavailable("limited", retry_after=timedelta(seconds=3), limited=True), 0),
        (ModelUnavailable("no room", retry_after=timedelta(seconds=3), asked=False), 0),
    ],
)
async def test_a_call_that_fails_interrupts_the_conversation(scene: Scene, error: TroupeError, unanswered: int) -> None:
    assert "succeeded" not in await scene.attempt(look("x"), error)
    assert await scene.paid() == (1, unanswered)
    assert await scene.attempt(turn("It is so.")) == "succeeded"
    assert [where for where, _ in scene.hands.done] == ["x"]


async def test_a_conversation_that_failed_by_itself_begins_anew(scene: Scene) -> None:
    assert (await scene.attempt(look("x"), turn(), turn(), turn())).startswith("failed: model_nonsense")
    assert await scene.journal() == []
    assert await scene.attempt(look("x"), turn("It is so.")) == "succeeded"
    assert await scene.paid() == (6, 0)


async def test_a_defect_interrupts_a_conversation_that_has_come_further(scene: Scene) -> None:
    def defect(_: ModelRequest) -> Turn:
        raise OSError("no file is left")

    assert (await scene.attempt(look("x"), defect)).startswith("failed: agent_raised")
    assert (await scene.attempt(look("y"), defect)).startswith("failed: agent_raised")
    assert [where for where, _ in scene.hands.done] == ["x", "y"]
    assert (await scene.attempt(defect)).startswith("failed: agent_raised")
    assert await scene.journal() == [], "it comes to the same end each time"


async def test_a_limit_that_is_far_off_puts_the_attempt_off(scene: Scene) -> None:
    later = ModelUnavailable("come back", retry_after=timedelta(hours=1))
    assert (await scene.attempt(look("x"), later)).startswith("deferred: model_unavailable")
    record = await scene.moves.snapshots.step(scene.job, "a")
    assert record is not None
    assert (record.status, record.failures, record.losses) == (StepStatus.DELAYED, 0, 0)
    assert (await scene.failure()).retry_after_ms == 3_600_000
    assert await scene.attempt(turn("It is so.")) == "succeeded"
    assert await scene.paid() == (2, 1)


async def test_a_prompt_that_was_too_long_is_not_tried_again(scene: Scene) -> None:
    long = turn(Call("look", {"where": "x" * 4_000}, id="toolu_x"))
    too_long = ModelTruncated("too large")
    assert (await scene.attempt(long, look("y"), too_long, look("z"), GONE)).startswith("failed: model_unavailable")
    assert await scene.attempt(turn("It is so.")) == "succeeded"
    assert "m3" in await scene.journal()
    assert await scene.paid() == (4, 1)


# --- stopped in the middle


async def stopped(scene: Scene, doing: Doing, ref: AttemptRef, when: asyncio.Event) -> str:
    """Let the attempt's worker stop at that moment."""
    task = doing.start(ref)
    await when.wait()
    doing.leases.stop(ref, DRAINING)
    return await task


async def test_a_call_that_is_under_way_when_its_worker_stops_is_unanswered(scene: Scene) -> None:
    begun = asyncio.Event()

    async def hang(_: ModelRequest) -> Turn:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    ref = await scene.ready()
    doing, model = scene.doing(look("x"), hang)
    assert await stopped(scene, doing, ref, begun) == "stopped: draining"
    assert await scene.paid() == (1, 1)
    assert await scene.attempt(turn("It is so.")) == "succeeded"
    assert [where for where, _ in scene.hands.done] == ["x"]
    assert len(model.requests) == 2


async def test_a_finished_tool_call_is_not_repeated_and_an_interrupted_one_has_the_same_key(scene: Scene) -> None:
    both = turn(Call("look", {"where": "x"}, id="toolu_x"), Call("hang", {"where": "y"}, id="toolu_y"))
    ref = await scene.ready()
    doing, _ = scene.doing(both)
    task = doing.start(ref)
    await scene.hands.begun.wait()
    await wait_until(lambda: written(scene, "t1:0"))
    doing.leases.stop(ref, DRAINING)
    assert await task == "stopped: draining"
    scene.hands.may_end.set()
    assert await scene.attempt(turn("It is so.")) == "succeeded"
    (x, _), (y, first), (again, second) = scene.hands.done
    assert (x, y, again) == ("x", "y", "y")
    assert first == second
    assert "saw x" in texts(scene.asked[0])[1]
    assert "saw y" in texts(scene.asked[0])[1]


async def written(scene: Scene, entry: str) -> bool:
    return entry in await scene.journal()


class Slow:
    """An account store whose bookings wait at a gate, or fail first."""

    def __init__(self, doing: Doing, errors: Sequence[Exception] = (), *, waits_for: str = "") -> None:
        accounts = doing.runner.answering.accounts
        assert accounts is not None
        self.book: Callable[..., Any] = accounts.book
        self.errors = list(errors)
        self.waits_for = waits_for
        self.begun = asyncio.Event()
        self.may_go = asyncio.Event()
        accounts.book = self._book  # pyright: ignore[reportAttributeAccessIssue]

    async def _book(self, *args: Any) -> Refusal | None:
        entry: JournalEntry | None = args[4]
        if entry is not None and entry.id == self.waits_for:
            self.begun.set()
            await self.may_go.wait()
            if self.errors:  # the answer is lost, after all was done
                await self.book(*args)
                raise self.errors.pop()
        return await self.book(*args)


@pytest.mark.parametrize("entry", ["m2", "t1:0"])
async def test_what_was_paid_for_is_written_down_although_the_worker_stops(scene: Scene, entry: str) -> None:
    ref = await scene.ready()
    doing, _ = scene.doing(look("x"), *([look("y")] if entry == "m2" else []))
    slow = Slow(doing, waits_for=entry)
    task = doing.start(ref)
    await slow.begun.wait()
    doing.leases.stop(ref, DRAINING)
    slow.may_go.set()
    assert await task == "stopped: draining"
    assert entry in await scene.journal()
    rest = [turn("It is so.")] if entry == "m2" else [look("y"), turn("It is so.")]
    assert await scene.attempt(*rest) == "succeeded"
    assert [where for where, _ in scene.hands.done] == ["x", "y"]
    assert await scene.paid() == (3, 0)


async def test_a_booking_whose_answer_was_lost_is_made_again_and_counts_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await scene.ready()
    doing, _ = scene.doing(look("x"), turn("It is so."))
    slow = Slow(doing, [StoreUnavailable("no answer"), StoreUnavailable("no answer")], waits_for="m1")
    slow.may_go.set()
    assert await doing.start(ref) == "succeeded"
    assert slow.errors == []
    assert await scene.paid() == (2, 0)
    assert await scene.journal() == ["o", "m1", "t1:0", "m2"]


async def test_an_answer_that_comes_after_the_attempt_was_lost_is_paid_for_and_not_used(scene: Scene) -> None:
    begun, may_answer = asyncio.Event(), asyncio.Event()

    async def late(_: ModelRequest) -> Turn:
        begun.set()
        await may_answer.wait()
        return turn("Too late.")

    ref = await scene.ready()
    doing, _ = scene.doing(late)
    task = doing.start(ref)
    await begun.wait()
    await scene.moves.lost(scene.job, "a")
    assert await scene.paid() == (0, 1)
    may_answer.set()
    assert await task == "refused: over"
    assert await scene.paid() == (1, 0)
    assert await scene.journal() == ["o"]
    assert await scene.attempt(turn("It is so.")) == "succeeded"
    assert await scene.paid() == (2, 0)


# --- what the next attempt knows


async def test_sources_of_earlier_attempts_can_be_cited(scene: Scene) -> None:
    assert (await scene.attempt(turn(Call("cite", {"where": "1"}, id="toolu_1")), GONE)).startswith("failed")
    last = turn("So [p0123456781-1] and [p0123456782-1].")
    assert await scene.attempt(turn(Call("cite", {"where": "2"}, id="toolu_2")), last) == "succeeded"
    record = await scene.moves.snapshots.step(scene.job, "a")
    assert record is not None
    assert record.result is not None
    assert [source.id for source in record.result.sources] == ["p0123456781-1", "p0123456782-1"]


async def test_uses_of_a_tool_count_over_attempts(scene: Scene) -> None:
    agent = replace(scene.agent, tools=(tool(max_uses=2)(scene.hands.look),))
    await scene.attempt(look("x"), look("y"), GONE, agent=agent)
    assert await scene.attempt(look("z"), turn("It is so."), agent=agent) == "succeeded"
    assert [where for where, _ in scene.hands.done] == ["x", "y"]
    assert "may be used 2 times" in texts(scene.asked[-1])[-1]


async def test_identical_calls_count_over_attempts(scene: Scene) -> None:
    same = [turn(Call("look", {"where": "x"}, id=f"toolu_{at}")) for at in range(6)]
    await scene.attempt(*same[:3], GONE)
    assert await scene.attempt(same[3], GONE) == "failed: model_unavailable: overloaded"
    assert len(scene.hands.done) == 3, "the fourth was refused"
    assert await scene.attempt(same[4], turn("It is so.")) == "succeeded"
    assert len(scene.hands.done) == 4, "and then it may be tried afresh, as in one attempt"
    assert len({key for _, key in scene.hands.done}) == 4


async def test_what_tools_spend_themselves_is_in_the_ledger_once(scene: Scene) -> None:
    await scene.attempt(turn(Call("pay", {"amount": 7})), GONE)
    await scene.attempt(turn("It is so."))
    lines = {line.model: line.usage for line in (await scene.moves.accounts.ledger(scene.job)).lines}
    assert lines == {"-": Usage(requests=1, cost_microusd=7), MODEL: PAID + PAID + Usage(tool_calls=1)}


async def test_what_a_tool_spends_is_counted_beside_an_answer_that_nobody_saw(scene: Scene) -> None:
    """The second answer is booked, and its attempt stopped before it is used."""
    ref = await scene.ready()
    doing, _ = scene.doing(turn(Call("pay", {"amount": 7})), turn("It is so."))
    slow = Slow(doing, waits_for="m2")
    task = doing.start(ref)
    await slow.begun.wait()
    doing.leases.stop(ref, DRAINING)
    slow.may_go.set()
    await task
    found = await scene.moves.accounts.ledger(scene.job)
    assert found.total == PAID + PAID + Usage(tool_calls=1, requests=1, cost_microusd=7)
    record = await scene.moves.snapshots.step(scene.job, "a")
    assert record is not None
    assert record.attempts[0].usage == found.total


# --- journals that do not fit


async def test_an_agent_with_other_instructions_begins_anew(scene: Scene) -> None:
    await scene.attempt(look("x"), look("y"), GONE)
    changed = replace(scene.agent, instructions="Look twice.")
    assert await scene.attempt(look("x"), turn("It is so."), agent=changed) == "succeeded"
    assert await scene.journal() == ["o", "m1", "t1:0", "m2"]
    assert [where for where, _ in scene.hands.done] == ["x", "y", "x"]


async def test_the_conversation_begins_as_it_began(scene: Scene) -> None:
    await scene.attempt(look("x"), GONE)
    await scene.moves.redis.hset(
        f"{scene.moves.store.keys.job(scene.job)}:specs", "a", a_step("a", description="Now this.").model_dump_json()
    )
    assert await scene.attempt(turn("It is so.")) == "succeeded"
    assert scene.asked[-1].messages[0] == scene.asked[0].messages[0]


@pytest.mark.parametrize("text", ['{"kind":"later"}', "{}", "@9 !", "@99999999999 eA==", "@5"])
async def test_what_cannot_be_read_is_done_anew(scene: Scene, text: str) -> None:
    await scene.attempt(look("x"), look("y"), GONE)
    key = f"{scene.moves.store.keys.job(scene.job)}:journal"
    await scene.moves.redis.hset(key, "a m2", text)
    again = [look("y"), turn("It is so.")] if not text.startswith("@") else [look("x"), look("y"), turn("It is so.")]
    assert await scene.attempt(*again) == "succeeded"
    assert (await scene.journal())[-1] == "m3"


async def test_a_full_journal_ends_where_it_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MAX_BYTES", 4_000)
    long = "ü" * 900
    assert (await scene.attempt(look("x"), look(long), look("z"), GONE)).startswith("failed")
    kept = await scene.journal()
    assert kept == ["o", "m1", "t1:0"], "and nothing behind the gap"
    assert await scene.paid() == (3, 1)
    assert await scene.attempt(look("y"), turn("It is so.")) == "succeeded"
    assert [where for where, _ in scene.hands.done] == ["x", long, "z", "y"]
    assert await scene.paid() == (5, 1)


async def test_an_answer_that_is_too_large_to_be_written_down_is_used_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.store.payload.MAX_BYTES", 100_000)
    assert await scene.attempt(look("x"), look("y" * 100_001), turn("It is so.")) == "succeeded"
    assert await scene.journal() == ["o", "m1", "t1:0"]
    assert await scene.paid() == (3, 0)


async def test_a_store_that_stays_away_fails_the_attempt_for_another_to_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "PATIENCE", timedelta(seconds=0.05))
    ref = await scene.ready()
    doing, _ = scene.doing(look("x"), look("y"))
    slow = Slow(doing, [StoreUnavailable("no answer")], waits_for="m2")
    slow.may_go.set()
    assert (await doing.start(ref)).startswith("failed: store_unavailable")
    assert await scene.attempt(turn("It is so.")) == "succeeded"
    assert [where for where, _ in scene.hands.done] == ["x", "y"], "it had been written down all the same"
