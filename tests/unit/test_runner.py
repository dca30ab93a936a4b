"""One attempt: claimed, worked on, settled, whatever the agent does."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

import pytest

from tasks.errors import (
    ContractError,
    DeadlinePassed,
    IncompatibleVersion,
    ModelRefused,
    ModelUnavailable,
    StepFailed,
    StoreUnavailable,
    TroupeError,
)
from tasks.ids import SessionId, WorkerName
from tasks.models import MAX_TEXT_CHARS, AgentDefinition, Claim, Failure, StepKind, StepResult
from tasks.queues import BUILT_IN
from tasks.store import FleetStore, Refusal
from tasks.usage import Usage
from tests.unit.attempts import (
    PASSAGE,
    REF,
    TABLE,
    FakeAttempts,
    make_claim,
    make_context,
    make_input,
    make_source,
)
from workers.agents.base import Agent, AgentReply
from workers.agents.registry import AgentRegistry
from workers.answering import Answering
from workers.context import StepContext, current_step
from workers.lease import DRAINING, Leases
from workers.llm.settings import ModelSettings
from workers.outcomes import CUT, deferred, failure_of, finish
from workers.patience import patiently
from workers.runner import Runner

Run = Callable[[StepContext], Awaitable[AgentReply | str]]


class FakeFleet:
    """A fleet of the built-in agents."""

    async def agents(self) -> list[AgentDefinition]:
        return list(BUILT_IN)


class Scene:
    """A runner with one agent, whose code is given."""

    def __init__(self, run: Run, claim: Claim | None = None, *, settle_within: float = 0.0) -> None:
        self.attempts = FakeAttempts(claim or make_claim())
        self.leases = Leases(self.attempts.store, 1.0)
        self.runner = Runner(
            worker=WorkerName("w@here"),
            attempts=self.attempts.store,
            fleet=cast(FleetStore, FakeFleet()),
            leases=self.leases,
            agents=AgentRegistry([Agent(name="search", description="Does as told.", run=run)]),
            answering=Answering(ModelSettings(model="offline")),
            settle_within=timedelta(seconds=settle_within),
        )

    async def run(self) -> str:
        return await asyncio.create_task(self.runner.run(REF))

    async def failure(self) -> Failure:
        """Run it, and the failure that it was settled with."""
        outcome = await self.run()
        ((how, ref, fact, _),) = self.attempts.settled
        assert (how, ref) == ("failed", REF)
        assert isinstance(fact, Failure)
        assert outcome.startswith(f"failed: {fact.code}: ")
        return fact


def raising(error: BaseException) -> Run:
    async def run(_: StepContext) -> str:
        raise error

    return run


async def test_a_good_attempt_is_settled_with_result_and_usage() -> None:
    async def run(context: StepContext) -> str:
        assert current_step() is context
        context.spend(Usage(requests=2))
        context.progress("half way")
        return "It is so."

    scene = Scene(run)
    assert await scene.run() == "succeeded"
    assert scene.attempts.settled == [("succeeded", REF, StepResult(text="It is so."), Usage(requests=2))]
    assert scene.attempts.events == [("step_progress", '{"message": "half way"}')]
    assert scene.leases.held == {}


@pytest.mark.parametrize(
    ("kind", "session"), [(StepKind.SYNTHESIS, True), (StepKind.SYNTHESIS, False), (StepKind.WORK, True)]
)
async def test_a_session_is_told_the_answer_and_nothing_else(kind: StepKind, session: bool) -> None:
    async def run(_: StepContext) -> str:
        return "So it is."

    scene = Scene(run)
    claim = make_claim(kind)
    talk = SessionId("talk.3") if session else None
    scene.attempts.given = claim.model_copy(update={"job": claim.job.model_copy(update={"session": talk})})
    assert await scene.run() == "succeeded"
    told = [("assistant", "So it is.")] if kind is StepKind.SYNTHESIS and session else []
    assert [(one.role, one.text) for one in scene.attempts.said] == told


async def test_a_message_without_a_claim_is_dropped() -> None:
    scene = Scene(raising(AssertionError("must not run")))
    scene.attempts.given = None
    assert await scene.run() == "dropped"
    assert scene.attempts.settled == []


async def test_a_claim_whose_answer_was_lost_is_repeated_as_the_same_claim() -> None:
    async def run(_: StepContext) -> str:
        return "found"

    scene = Scene(run)
    scene.attempts.errors = [StoreUnavailable("no answer")]
    assert await scene.run() == "succeeded"
    first, second = scene.attempts.tokens
    assert first == second
    assert first
    assert await scene.run() == "succeeded"
    assert scene.attempts.tokens[2] != first


async def test_a_result_that_comes_too_late_is_refused() -> None:
    async def run(_: StepContext) -> str:
        return "late"

    scene = Scene(run)
    scene.attempts.refusal = Refusal.SUPERSEDED
    assert await scene.run() == "refused: superseded"


async def test_an_agent_that_is_not_here_is_a_failure() -> None:
    scene = Scene(raising(AssertionError()), make_claim(agent="finance"))
    failure = await scene.failure()
    assert (failure.code, failure.retryable) == ("unknown_agent", False)


async def test_what_an_agent_raises_is_settled() -> None:
    failure = await Scene(raising(KeyError("x"))).failure()
    assert (failure.code, failure.message, failure.retryable) == ("agent_raised", "KeyError: 'x'", True)


class Mute(BaseException):
    """No Exception, and its own text fails."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), Mute()])
async def test_an_agent_that_exits_does_not_end_the_event_loop(error: BaseException) -> None:
    failure = await Scene(raising(error)).failure()
    assert failure.code == "agent_raised"
    assert type(error).__name__ in failure.message


async def test_an_agents_own_timeout_is_not_taken_for_the_deadline() -> None:
    failure = await Scene(raising(TimeoutError("their server"))).failure()
    assert (failure.code, failure.message) == ("agent_raised", "TimeoutError: their server")


async def test_an_agents_own_cancellation_is_a_failure_too() -> None:
    async def run(_: StepContext) -> str:
        task = asyncio.ensure_future(asyncio.Event().wait())
        task.cancel()
        return str(await task)

    failure = await Scene(run).failure()
    assert failure.code == "agent_raised"


async def test_a_cancelled_runner_settles_nothing() -> None:
    begun = asyncio.Event()

    async def run(_: StepContext) -> str:
        begun.set()
        return str(await asyncio.Event().wait())

    scene = Scene(run)
    task = asyncio.create_task(scene.runner.run(REF))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (scene.attempts.settled, scene.leases.held) == ([], {})


async def test_the_deadline_ends_the_work() -> None:
    async def run(_: StepContext) -> str:
        return str(await asyncio.Event().wait())

    failure = await Scene(run, make_claim(deadline_ms=20)).failure()
    assert (failure.code, failure.message, failure.retryable) == ("deadline_passed", "no result within 0.02 s", True)


async def test_a_stopped_attempt_whose_lease_is_lost_says_nothing() -> None:
    scene: Scene

    async def run(_: StepContext) -> str:
        scene.leases.stop(REF, Refusal.CANCELLED)
        return str(await asyncio.Event().wait())

    scene = Scene(run)
    assert await scene.run() == "stopped: cancelled"
    assert scene.attempts.settled == []


async def test_a_draining_worker_hands_the_attempt_back_with_what_it_spent() -> None:
    scene: Scene

    async def run(context: StepContext) -> str:
        context.spend(Usage(requests=1))
        scene.leases.stop_all(DRAINING)
        return str(await asyncio.Event().wait())

    scene = Scene(run)
    assert await scene.run() == "stopped: draining"
    assert scene.attempts.settled == [("returned", REF, "the worker is stopping", Usage(requests=1))]


async def test_a_stopping_worker_hands_a_new_attempt_back_unbegun() -> None:
    scene = Scene(raising(AssertionError("must not run")))
    scene.attempts.errors = [StoreUnavailable("no answer")]
    assert await scene.runner.decline(REF) == "stopped: draining"
    assert scene.attempts.settled == [("returned", REF, "the worker is stopping", Usage())]
    first, second = scene.attempts.tokens
    assert first == second


async def test_a_stopping_worker_hands_back_also_what_it_cannot_read() -> None:
    scene = Scene(raising(AssertionError("must not run")))
    scene.attempts.errors = [IncompatibleVersion("of a later release")]
    assert await scene.runner.decline(REF) == "stopped: draining"
    assert [how for how, *_ in scene.attempts.settled] == ["returned"]


async def test_a_stopping_worker_drops_a_message_without_a_claim() -> None:
    scene = Scene(raising(AssertionError("must not run")))
    scene.attempts.given = None
    assert await scene.runner.decline(REF) == "dropped"
    assert scene.attempts.settled == []


async def test_an_agent_that_turns_its_cancellation_into_an_error_is_handed_back_all_the_same() -> None:
    scene: Scene

    async def run(_: StepContext) -> str:
        scene.leases.stop_all(DRAINING)
        try:
            return str(await asyncio.Event().wait())
        except asyncio.CancelledError:
            raise RuntimeError("interrupted") from None

    scene = Scene(run)
    assert await scene.run() == "stopped: draining"
    assert [how for how, *_ in scene.attempts.settled] == ["returned"]


async def test_an_agent_that_finishes_in_spite_of_a_stop_is_settled() -> None:
    scene: Scene

    async def run(_: StepContext) -> str:
        scene.leases.stop_all(DRAINING)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "just done"
        return ""

    scene = Scene(run)
    assert await scene.run() == "succeeded"


async def test_a_finished_attempt_is_not_stopped_while_it_settles() -> None:
    scene: Scene

    async def run(_: StepContext) -> str:
        return "Done."

    scene = Scene(run, settle_within=5.0)
    succeed = scene.attempts.succeed

    async def stopped_meanwhile(*arguments: object, **named: object) -> Refusal | None:
        scene.leases.stop_all(DRAINING)
        await asyncio.sleep(0)
        return await succeed(*arguments, **named)  # pyright: ignore[reportArgumentType]

    scene.attempts.succeed = stopped_meanwhile  # pyright: ignore[reportAttributeAccessIssue]
    assert await scene.run() == "succeeded"
    assert [how for how, *_ in scene.attempts.settled] == ["succeeded"]


async def test_a_store_that_comes_back_gets_the_result() -> None:
    async def run(_: StepContext) -> str:
        scene.attempts.errors = [StoreUnavailable("away")]
        return "Done."

    scene = Scene(run, settle_within=5.0)
    assert await scene.run() == "succeeded"


async def test_a_store_that_stays_away_ends_the_attempt_without_a_result() -> None:
    async def run(_: StepContext) -> str:
        scene.attempts.errors = [StoreUnavailable("away")]
        return "Done."

    scene = Scene(run)
    with pytest.raises(StoreUnavailable):
        await scene.run()


async def test_the_planner_gets_the_living_agents_that_plans_may_use() -> None:
    seen: list[str] = []

    async def run(context: StepContext) -> str:
        seen.extend(agent.name for agent in context.agents)
        return "{}"

    await Scene(run, make_claim(StepKind.PLAN)).run()
    assert seen == ["search", "analysis", "summary"]


async def test_other_agents_do_not_ask_for_the_fleet() -> None:
    async def run(context: StepContext) -> str:
        assert context.agents == ()
        return "Done."

    assert await Scene(run).run() == "succeeded"


async def test_text_with_half_a_surrogate_pair_is_stored_without_it() -> None:
    async def run(_: StepContext) -> AgentReply:
        return AgentReply(text="a\udcffb", data={"path\ud800": ["\udcff", 1.5, None]})

    scene = Scene(run)
    assert await scene.run() == "succeeded"
    assert scene.attempts.settled[0][2] == StepResult(text="a?b", data={"path?": ["?", 1.5, None]})


async def test_data_that_is_no_json_is_a_failure() -> None:
    async def run(_: StepContext) -> AgentReply:
        return AgentReply(text="x", data=cast(None, timedelta(1)))

    failure = await Scene(run).failure()
    assert "timedelta is not JSON serializable" in failure.message


async def test_an_agent_that_returns_nothing_is_told_so() -> None:
    async def run(_: StepContext) -> str:
        return cast(str, None)

    failure = await Scene(run).failure()
    assert (failure.code, failure.retryable) == ("contract", False)
    assert failure.message == "agent 'search' returned a NoneType; return text or an AgentReply"


def test_citations_of_what_was_shown_are_kept_and_others_dropped() -> None:
    context = make_context()
    context.cite(make_source(PASSAGE))
    result = finish(context.claim, context, AgentReply(text=f"So [{PASSAGE}], not [{TABLE}].", model="m"))
    assert result == StepResult(text=f"So [{PASSAGE}], not.", sources=(make_source(PASSAGE),), model="m")


def test_sources_of_the_inputs_may_be_cited() -> None:
    claim = make_claim(inputs=[make_input("before", "…", make_source(TABLE))])
    result = finish(claim, StepContext(claim=claim), AgentReply(text=f"So [{TABLE}]."))
    assert [source.id for source in result.sources] == [TABLE]


def test_the_final_answer_is_numbered() -> None:
    claim = make_claim(StepKind.SYNTHESIS, inputs=[make_input("a", "…", make_source(TABLE), make_source(PASSAGE))])
    result = finish(claim, StepContext(claim=claim), AgentReply(text=f"One [{PASSAGE}], two [{TABLE}]."))
    assert result.text == "One [1], two [2]."
    assert [(source.id, source.number) for source in result.sources] == [(PASSAGE, 1), (TABLE, 2)]


@pytest.mark.parametrize("kind", [StepKind.WORK, StepKind.SYNTHESIS])
def test_a_text_that_is_too_long_is_cut_and_has_only_the_sources_that_are_left(kind: StepKind) -> None:
    ids = [f"p{number:010x}" for number in range(20_000)]
    claim = make_claim(kind, inputs=[make_input("a", "…", *(make_source(one) for one in ids))])
    result = finish(claim, StepContext(claim=claim), AgentReply(text="".join(f"word [{one}]" for one in ids)))
    assert len(result.text) <= MAX_TEXT_CHARS
    assert result.text.endswith(CUT)
    last = result.sources[-1]
    assert f"[{last.number or last.id}]" in result.text
    assert result.text.count("[") == len(result.sources) < len(ids)


@pytest.mark.parametrize("inside", range(1, 14))
def test_a_citation_is_not_cut_in_half(inside: int) -> None:
    context = make_context()
    context.cite(make_source(TABLE))
    kept = MAX_TEXT_CHARS * 12 // 13 - len(CUT)
    text = "x" * (kept - inside) + f"[{TABLE}]" + "y" * MAX_TEXT_CHARS
    result = finish(context.claim, context, AgentReply(text=text))
    assert result.text.count("[") == result.text.count("]") == len(result.sources) == (inside == 13)


def test_a_text_just_within_the_limit_is_not_cut() -> None:
    context = make_context()
    assert finish(context.claim, context, AgentReply(text="x" * MAX_TEXT_CHARS)).text == "x" * MAX_TEXT_CHARS


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            ModelUnavailable("busy", retry_after=timedelta(seconds=1.5)),
            Failure(code="model_unavailable", message="busy", retryable=True, retry_after_ms=1500),
        ),
        (ModelUnavailable("busy"), Failure(code="model_unavailable", message="busy", retryable=True)),
        (ModelRefused("no"), Failure(code="model_refused", message="no")),
        (StepFailed(), Failure(code="step_failed", message="StepFailed")),
        (DeadlinePassed("late"), Failure(code="deadline_passed", message="late")),
        (StoreUnavailable("away"), Failure(code="store_unavailable", message="away", retryable=True)),
        (ContractError("wrong"), Failure(code="contract", message="wrong")),
        (TroupeError("odd"), Failure(code="error", message="odd")),
        (ValueError("bad"), Failure(code="agent_raised", message="ValueError: bad", retryable=True)),
        (ValueError("\udcff"), Failure(code="agent_raised", message="ValueError: ?", retryable=True)),
        (AssertionError(), Failure(code="agent_raised", message="AssertionError: AssertionError", retryable=True)),
    ],
    ids=str,
)
def test_the_fact_behind_an_error(error: Exception, failure: Failure) -> None:
    assert failure_of(error) == failure


def test_an_own_error_brings_its_code_and_says_whether_to_retry() -> None:
    class Closed(StepFailed):
        code = "market_closed"
        retryable = True

    assert failure_of(Closed("until nine")) == Failure(code="market_closed", message="until nine", retryable=True)


def test_a_long_message_is_cut() -> None:
    assert len(failure_of(ValueError("x" * 10_000)).message) < 2100


async def test_patience_ends_with_its_time() -> None:
    calls: list[int] = []

    async def away() -> None:
        calls.append(1)
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        await patiently(away, timedelta(seconds=0.15))
    assert len(calls) == 2


async def test_patience_is_for_an_absent_store_only() -> None:
    async def wrong() -> None:
        raise ContractError("wrong")

    with pytest.raises(ContractError):
        await patiently(wrong, timedelta(seconds=60))


@pytest.mark.parametrize("code", ["handed_back", "worker_lost"])
def test_an_agent_cannot_pass_its_own_failure_off_as_the_loss_of_its_worker(code: str) -> None:
    error = StepFailed("mine")
    error.code = code
    failure = failure_of(error)
    assert (failure.code, failure.retryable) == ("agent_raised", False)


def test_a_call_that_the_fleets_own_limits_sent_away_is_put_off_however_short_the_wait() -> None:
    wait = timedelta(seconds=2)
    put_off = deferred(ModelUnavailable("no room", retry_after=wait, asked=False), timedelta(seconds=10))
    assert put_off is not None
    assert (put_off.deferred, put_off.retry_after_ms) == (True, 2000)
    assert deferred(ModelUnavailable("busy", retry_after=wait), timedelta(seconds=10)) is None
