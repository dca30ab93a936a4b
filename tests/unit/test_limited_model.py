"""A model under rate limits: when it waits, when it asks again, what it tells the fleet. The store is played."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from tasks.errors import (
    BadSetting,
    ModelRefused,
    ModelUnavailable,
    SpendLimitReached,
    StoreUnavailable,
)
from tasks.models import Usage
from tasks.store.limits import Booking, Bucket, LimitStore, Outcome, Rates, Readings, Told, Verdict
from tests.support.waiting import wait_until
from tests.unit.attempts import make_claim
from workers.context import StepContext, enter_step
from workers.llm.base import ModelReply, ModelRequest
from workers.llm.limited import TRIES, LimitedModel
from workers.llm.rate_headers import Glimpse, look, read, watching
from workers.llm.rates import RateTable
from workers.llm.settings import ModelSettings
from workers.llm.turns import FEW, SURE

REQUEST = ModelRequest(model="claude-own", agent="search", system="", messages=[{"role": "user", "content": "Hi"}])
REPLY = ModelReply(
    id="msg_1",
    model="claude-own",
    content=[{"type": "text", "text": "So."}],
    stop_reason="end_turn",
    usage=Usage(input_tokens=10, cache_write_tokens=5, cache_read_tokens=1000, output_tokens=3, requests=1),
)
GO = Booking(Verdict.GO, timedelta(0))
HEADERS = {"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49"}
Act = Exception | ModelReply | Callable[[], Awaitable[ModelReply]]


def wait_of(seconds: float, verdict: Verdict = Verdict.GO) -> Booking:
    return Booking(verdict, timedelta(seconds=seconds))


class Limits:
    """Books as it is told, and remembers."""

    def __init__(self, *bookings: Booking | Exception) -> None:
        self.bookings = list(bookings)
        self.booked: list[tuple[str, dict[str, Any]]] = []
        self.ended: list[tuple[str, Outcome, dict[str, Any]]] = []
        self.tripped: list[tuple[str, timedelta | None]] = []
        self.away = False

    async def book(self, bucket: Bucket, call: str, **options: Any) -> Booking:
        self.booked.append((call, {"bucket": bucket, **options}))
        booking = self.bookings.pop(0) if self.bookings else GO
        if self.away or isinstance(booking, Exception):
            raise booking if isinstance(booking, Exception) else StoreUnavailable("away")
        return booking

    async def correct(self, _bucket: Bucket, call: str, outcome: Outcome, **options: Any) -> bool:
        if self.away:
            raise StoreUnavailable("away")
        self.ended.append((call, outcome, options))
        return True

    async def trip(self, account: str, _said: str, resets_in: timedelta | None) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.tripped.append((account, resets_in))

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome, _ in self.ended]


class Provider:
    """A model that does what it is told, behind the middleware that sees its answers."""

    name = "claude-own"

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.calls = 0
        self.closed = False
        self.status: int | None = 200
        self.sends = True
        self.under_way = 0
        self.most = 0

    async def account(self) -> str:
        return "0123456789abcdef"

    def rate_class(self, model: str) -> str:
        return f"class of {model}"

    async def count_tokens(self, request: ModelRequest) -> int:
        assert request is REQUEST
        return 17

    async def reply(self, request: ModelRequest) -> ModelReply:
        assert request is REQUEST
        self.calls += 1
        act = self.acts.pop(0) if self.acts else REPLY
        if self.sends:
            await look(cast(Any, None), cast(Any, self._head))
        if isinstance(act, Exception):
            raise act
        if isinstance(act, ModelReply):
            return act
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await act()
        finally:
            self.under_way -= 1

    async def _head(self, _request: object) -> Any:
        if self.status is None:
            return await hang()
        return Head(self.status)

    async def close(self) -> None:
        self.closed = True


class Head:
    """The head of an answer."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.headers = HEADERS


async def hang() -> ModelReply:
    return await asyncio.get_running_loop().create_future()


class Model:
    """A limited model whose sleeping is only noted."""

    def __init__(self, limits: Limits, provider: Provider, **settings: Any) -> None:
        self.slept: list[float] = []
        self.limits = limits
        self.provider = provider
        self.model = LimitedModel(
            provider, cast(LimitStore, limits), ModelSettings(**settings), sleep=self._sleep, chance=lambda: 1.0
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def reply(self) -> ModelReply:
        return await self.model.reply(REQUEST)


def under(*bookings: Booking | Exception, acts: tuple[Act, ...] = (), **settings: Any) -> Model:
    return Model(Limits(*bookings), Provider(*acts), **settings)


async def test_a_call_goes_at_its_turn_and_tells_what_it_used() -> None:
    one = under(rate_limits="requests=7;class of claude-own:input_tokens=9")
    assert await one.reply() is REPLY
    ((call, asked),) = one.limits.booked
    assert asked["bucket"] == Bucket("0123456789abcdef", "class of claude-own")
    assert asked["rates"] == Rates(input_tokens=9)
    assert (asked["max_output"], asked["patience"]) == (REQUEST.max_tokens, timedelta(seconds=10))
    ((ended, outcome, said),) = one.limits.ended
    assert (ended, outcome) == (call, Outcome.DONE)
    assert (said["input_tokens"], said["output_tokens"], said["pause"]) == (15, 3, None)
    assert said["readings"] == Readings(requests=Told(50, 49))
    assert one.slept == []


async def test_it_waits_for_its_turn_and_after_a_long_wait_makes_sure_that_it_still_stands() -> None:
    short = under(wait_of(SURE.total_seconds()))
    await short.reply()
    assert (short.slept, len(short.limits.booked)) == ([SURE.total_seconds()], 1)
    long = under(wait_of(4), GO)
    await long.reply()
    assert long.slept == [4]
    (first, _), (again, _) = long.limits.booked
    assert first == again


async def test_a_turn_that_was_put_off_meanwhile_is_waited_for_again() -> None:
    one = under(wait_of(4), wait_of(5), GO)
    await one.reply()
    assert one.slept == [4, 5]
    assert [asked["patience"].total_seconds() for _, asked in one.limits.booked] == [10, 7, 2]


async def test_a_circuit_that_opens_during_the_wait_ends_it_without_a_call() -> None:
    one = under(wait_of(4), Booking(Verdict.OPEN, timedelta(days=2), "used up", known=True))
    with pytest.raises(SpendLimitReached, match="used up") as caught:
        await one.reply()
    assert caught.value.resets_in == timedelta(days=2)
    await one.model.close()
    assert one.provider.calls == 0
    assert one.limits.outcomes == [Outcome.BACK]


async def test_nobody_knows_when_a_circuit_closes_that_was_opened_for_no_known_time() -> None:
    one = under(Booking(Verdict.OPEN, timedelta(minutes=9), "pay first"))
    with pytest.raises(SpendLimitReached) as caught:
        await one.reply()
    assert caught.value.resets_in is None
    assert one.limits.ended == [], "nothing was booked"


async def test_a_wait_longer_than_its_patience_is_told_to_the_caller() -> None:
    one = under(wait_of(70, Verdict.LATER))
    with pytest.raises(ModelUnavailable, match=r"room in 70\.0 s") as caught:
        await one.reply()
    assert (caught.value.retry_after, caught.value.asked) == (timedelta(seconds=70), False)
    assert one.limits.ended == []
    assert one.provider.calls == 0


async def test_while_limits_are_unknown_it_asks_again_until_its_patience_ends() -> None:
    patient = under(wait_of(0.2, Verdict.ASK), wait_of(0.2, Verdict.ASK), GO)
    await patient.reply()
    assert patient.slept == [0.2, 0.2]
    hasty = under(wait_of(0.2, Verdict.ASK), patience_s=0.1)
    with pytest.raises(ModelUnavailable):
        await hasty.reply()
    assert hasty.slept == []


async def test_its_patience_is_no_longer_than_its_step() -> None:
    context = StepContext(claim=make_claim(deadline_ms=3000))
    enter_step(context)
    one = under()
    await one.reply()
    assert timedelta(seconds=2) < one.limits.booked[0][1]["patience"] <= timedelta(seconds=3)
    context.begun -= 5
    await one.reply()
    assert one.limits.booked[1][1]["patience"] == timedelta(0)


async def test_a_step_that_waits_is_not_idle() -> None:
    context = StepContext(claim=make_claim())
    enter_step(context)
    seen: list[int] = []

    async def sleep(_: float) -> None:
        seen.append(context.unseen)

    model = LimitedModel(Provider(), cast(LimitStore, Limits(wait_of(0.1))), ModelSettings(), sleep=sleep)
    await model.reply(REQUEST)
    assert (seen, context.unseen) == ([1], 0)


async def test_errors_that_pass_are_tried_again_with_growing_pauses_and_at_most_so_often() -> None:
    error = ModelUnavailable("overloaded")
    once = under(acts=(error,))
    once.provider.status = 529
    assert await once.reply() is REPLY
    assert once.slept == [0.5]
    assert once.limits.outcomes == [Outcome.BACK, Outcome.DONE]
    always = under(acts=(error,) * TRIES)
    always.provider.status = 529
    with pytest.raises(ModelUnavailable, match="overloaded"):
        await always.reply()
    assert (always.slept, always.provider.calls) == ([0.5, 1.0], TRIES)


async def test_it_does_not_wait_where_the_provider_says_that_it_will_be_long() -> None:
    one = under(acts=(ModelUnavailable("busy", retry_after=timedelta(hours=1)),))
    one.provider.status = 529
    with pytest.raises(ModelUnavailable) as caught:
        await one.reply()
    assert caught.value.retry_after == timedelta(hours=1)
    assert (one.slept, one.provider.calls) == ([], 1)
    soon = under(acts=(ModelUnavailable("busy", retry_after=timedelta(seconds=3)),))
    soon.provider.status = 529
    await soon.reply()
    assert soon.slept == [3]


async def test_all_waits_of_a_call_together_are_within_its_patience() -> None:
    error = ModelUnavailable("busy", retry_after=timedelta(seconds=6))
    one = under(acts=(error, error))
    one.provider.status = 529
    with pytest.raises(ModelUnavailable):
        await one.reply()
    assert one.slept == [6]


async def test_after_a_rate_limit_the_fleet_is_stopped_and_the_bucket_makes_the_pause() -> None:
    one = under(GO, wait_of(3), GO, acts=(ModelUnavailable("limited", retry_after=timedelta(seconds=3)),))
    one.provider.status = 429
    await one.reply()
    assert one.slept == [3]
    _, outcome, said = one.limits.ended[0]
    assert (outcome, said["pause"], said["readings"].requests) == (Outcome.BACK, timedelta(seconds=3), Told(50, 49))


async def test_a_rate_limit_that_does_not_say_how_long_stops_the_fleet_for_a_moment() -> None:
    one = under(acts=(ModelUnavailable("limited"),))
    one.provider.status = 429
    await one.reply()
    assert one.limits.ended[0][2]["pause"] == timedelta(seconds=1)


async def test_a_spend_limit_opens_the_circuit_and_is_not_tried_again() -> None:
    one = under(acts=(SpendLimitReached("used up", resets_in=timedelta(days=1)),))
    one.provider.status = 429
    with pytest.raises(SpendLimitReached):
        await one.reply()
    assert one.limits.tripped == [("0123456789abcdef", timedelta(days=1))]
    assert (one.provider.calls, one.limits.ended[0][1:]) == (
        1,
        (Outcome.BACK, {**one.limits.ended[0][2], "pause": None}),
    )


async def test_errors_of_our_own_making_are_not_tried_again_and_cost_nothing() -> None:
    one = under(acts=(BadSetting("no key"),))
    one.provider.sends = False
    with pytest.raises(BadSetting):
        await one.reply()
    assert (one.limits.outcomes, one.limits.tripped, one.provider.calls) == ([Outcome.BACK], [], 1)


async def test_an_answer_that_broke_off_may_have_counted_and_is_not_bought_again_here() -> None:
    one = under(acts=(ModelUnavailable("broke off", begun=True), ModelRefused("no")))
    for error in (ModelUnavailable, ModelRefused):
        with pytest.raises(error):
            await one.reply()
    assert one.limits.outcomes == [Outcome.KEPT, Outcome.KEPT]


@pytest.mark.parametrize(("sends", "outcome"), [(True, Outcome.KEPT), (False, Outcome.BACK)])
async def test_a_call_that_is_cancelled_counts_if_it_was_sent(sends: bool, outcome: Outcome) -> None:
    one = under(acts=(hang,))
    one.provider.sends = sends
    task = asyncio.create_task(one.reply())
    await wait_until(lambda: one.provider.under_way == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await one.model.close()
    assert one.limits.outcomes == [outcome]
    assert one.provider.closed


async def test_a_call_that_is_cancelled_before_its_turn_gives_it_back() -> None:
    limits, provider = Limits(wait_of(5)), Provider()

    async def sleep(_: float) -> None:
        await hang()

    model = LimitedModel(provider, cast(LimitStore, limits), ModelSettings(), sleep=sleep)
    task = asyncio.create_task(model.reply(REQUEST))
    await wait_until(lambda: limits.booked != [])
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await model.close()
    assert (limits.outcomes, provider.calls) == ([Outcome.BACK], 0)


async def test_a_store_that_is_away_stops_nobody_but_lets_few_go_at_a_time() -> None:
    one = under(acts=(hang,) * FEW)
    one.limits.away = True
    with capture_logs() as logs:
        tasks = [asyncio.create_task(one.reply()) for _ in range(FEW + 3)]
        await wait_until(lambda: one.provider.under_way == FEW)
        assert sum(log["event"] == "rate_limits_not_shared" for log in logs) == 1
        asked = len(one.limits.booked)
        tasks[0].cancel()
        await wait_until(lambda: sum(task.done() for task in tasks) == 4)
    assert one.provider.most == FEW
    assert len(one.limits.booked) == asked, "a store that did not answer is left alone for a while"
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_without_the_store_a_call_that_finds_no_room_in_time_comes_later() -> None:
    one = under(acts=(hang,) * FEW, patience_s=0.01)
    one.limits.away = True
    tasks = [asyncio.create_task(one.reply()) for _ in range(FEW)]
    await wait_until(lambda: one.provider.under_way == FEW)
    with pytest.raises(ModelUnavailable):
        await one.reply()
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_without_the_store_the_pause_after_a_rate_limit_is_made_in_place() -> None:
    one = under(acts=(ModelUnavailable("limited", retry_after=timedelta(seconds=3)),))
    one.limits.away, one.provider.status = True, 429
    await one.reply()
    assert one.slept == [3]


async def test_a_store_that_goes_away_during_a_call_costs_no_answer() -> None:
    one = under()

    async def go_away() -> ModelReply:
        one.limits.away = True
        return REPLY

    one.provider.acts.append(go_away)
    assert await one.reply() is REPLY
    spent = under()

    async def fail() -> ModelReply:
        spent.limits.away = True
        raise SpendLimitReached("used up")

    spent.provider.acts.append(fail)
    with pytest.raises(SpendLimitReached):
        await spent.reply()


async def test_a_store_that_is_back_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.llm.turns.AWAY_S", 0.0)
    one = under(StoreUnavailable("away"))
    with capture_logs() as logs:
        await one.reply()
        await one.reply()
    assert [log["event"] for log in logs] == ["rate_limits_not_shared", "rate_limits_shared_again"]
    assert one.limits.outcomes == [Outcome.DONE]


async def test_it_has_the_name_of_its_model() -> None:
    assert under().model.name == "claude-own"


async def test_counting_tokens_takes_no_turn() -> None:
    one = under()
    assert await one.model.count_tokens(REQUEST) == 17
    assert one.limits.booked == []


def test_headers_tell_limit_remaining_and_reset_by_the_providers_clock() -> None:
    begins = "anthropic-ratelimit-input-tokens"
    headers = {
        f"{begins}-limit": "30000",
        f"{begins}-remaining": "29000",
        f"{begins}-reset": "2026-11-20T10:00:12Z",
        "date": "Fri, 20 Nov 2026 10:00:10 GMT",
    }
    assert read(headers) == Readings(input_tokens=Told(30_000, 29_000, timedelta(seconds=2)))
    assert read({**headers, "date": "nonsense"}) == Readings(input_tokens=Told(30_000, 29_000))
    assert read({**headers, f"{begins}-reset": "2026-11-20T10:00:12"}) == Readings(input_tokens=Told(30_000, 29_000))


@pytest.mark.parametrize(("limit", "remaining"), [("0", "0"), ("many", "1"), ("5", "-1"), ("5", "")])
def test_headers_that_make_no_sense_say_nothing(limit: str, remaining: str) -> None:
    begins = "anthropic-ratelimit-requests"
    assert read({f"{begins}-limit": limit, f"{begins}-remaining": remaining}) == Readings()


async def test_a_call_that_nobody_watches_passes() -> None:
    provider = Provider()
    provider.sends = True
    assert await provider.reply(REQUEST) is REPLY
    glimpse = Glimpse()
    with watching(glimpse):
        await provider.reply(REQUEST)
    assert (glimpse.sent, glimpse.status, glimpse.readings) == (True, 200, Readings(requests=Told(50, 49)))


def test_rate_limits_are_read_from_the_setting() -> None:
    table = RateTable.parse(" requests=50, input_tokens=30000 ; claude-opus-5-5 : requests=5,output_tokens=8000;")
    assert table.of("claude-sonnet-5-5") == Rates(requests=50, input_tokens=30_000)
    assert table.of("claude-opus-5-5") == Rates(requests=5, output_tokens=8000)
    assert RateTable.parse("").of("any") == Rates()


@pytest.mark.parametrize("text", ["requests", "requests=", "requests=0", "tokens=5", "requests=5;x:", "requests=-1"])
def test_a_setting_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no limit: write requests=…"):
        ModelSettings(rate_limits=text)
