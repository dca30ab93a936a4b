"""Rate limits of a key over the whole fleet, on a real server: what is booked, refused, held, corrected; circuits."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from typing import Any, cast

import pytest

from tasks.store import Store
from tasks.store.limits import (
    FIRST_OUTPUT,
    NO_LIMITS,
    UNKNOWN_RESET,
    Booking,
    Bucket,
    LimitStore,
    Outcome,
    Rates,
    Readings,
    Told,
    Verdict,
)

BUCKET = Bucket("0123456789abcdef", "claude-sonnet-5-5")
PLENTY = timedelta(hours=1)
SOON = timedelta(seconds=2)
"""Less than this has passed between two lines of a test."""
LATER = timedelta(minutes=10)
CALLS = count()


class Fleet:
    """Calls of a fleet, in one line each."""

    def __init__(self, store: Store, rates: Rates | None = None) -> None:
        self.limits = LimitStore(store)
        self.redis = cast(Any, store.redis)
        self.keys = store.keys.limits(*BUCKET)
        self.rates = rates

    async def book(self, call: str | None = None, tokens: int = 100, **options: Any) -> Booking:
        values: dict[str, Any] = {"max_output": 1000, "patience": PLENTY, "hold": LATER, "rates": self.rates, **options}
        name = call or f"call-{next(CALLS)}"
        return await self.limits.book(BUCKET, name, input_tokens=tokens, **values)

    async def end(self, call: str, tokens: int = 100, output: int = 10, **options: Any) -> bool:
        outcome = options.pop("outcome", Outcome.DONE)
        values: dict[str, Any] = {"input_tokens": tokens, "output_tokens": output, "rates": self.rates, **options}
        return await self.limits.correct(BUCKET, call, outcome, **values)

    async def field(self, name: str) -> float:
        return float(await self.redis.hget(self.keys[0], name) or "0")

    async def corrected(self, unit: str) -> float:
        """Sum of all corrections, up or down."""
        return sum([await self.field(f"{name}{unit}") for name in ("raised", "lowered")])

    async def age(self, seconds: float) -> None:
        """Let time have passed for the levels."""
        await self.redis.hincrbyfloat(self.keys[0], "at", -seconds * 1000)


@pytest.fixture
def fleet(store: Store) -> Fleet:
    return Fleet(store)


def requests(limit: int, remaining: int, full_in: float | None = None) -> Readings:
    return Readings(requests=Told(limit, remaining, None if full_in is None else timedelta(seconds=full_in)))


def output(limit: int, remaining: int, full_in: float | None = None) -> Readings:
    return Readings(output_tokens=Told(limit, remaining, None if full_in is None else timedelta(seconds=full_in)))


async def test_a_full_bucket_lets_its_burst_go_and_the_rest_in_order(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=60))
    waits = [(await fleet.book()).wait for _ in range(64)]
    assert all(wait == timedelta(0) for wait in waits[:59])
    late = [wait.total_seconds() for wait in waits[60:]]
    assert late == sorted(late)
    assert late == pytest.approx([2, 3, 4, 5], abs=SOON.total_seconds()), "one a second; one more is kept in reserve"


async def test_a_call_that_would_wait_too_long_books_nothing(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=6))
    for _ in range(6):
        await fleet.book()
    held = await fleet.field("heldr")
    refused = await fleet.book("late", patience=timedelta(seconds=1))
    assert refused.verdict is Verdict.LATER
    assert refused.wait == pytest.approx(timedelta(seconds=11), abs=SOON)
    assert await fleet.field("heldr") == held
    assert not await fleet.end("late")


async def test_calls_that_are_sent_away_are_told_to_come_back_one_after_the_other(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=60))
    for _ in range(60):
        await fleet.book()
    away = [(await fleet.book(patience=timedelta(0))).wait.total_seconds() for _ in range(5)]
    assert away == pytest.approx([1, 2, 3, 4, 5], abs=SOON.total_seconds())
    assert away == sorted(away)
    assert away[-1] - away[0] > 3
    await fleet.age(60)
    assert (await fleet.book()).wait == timedelta(0), "who comes when there is room need not stand in that line"


async def test_the_longest_of_the_three_waits_counts(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=600, input_tokens=6000, output_tokens=600_000))
    await fleet.book(tokens=5900)
    booking = await fleet.book(tokens=1000)
    assert booking.wait == pytest.approx(timedelta(seconds=10), abs=SOON)


async def test_a_call_larger_than_the_bucket_waits_until_it_is_full(store: Store) -> None:
    fleet = Fleet(store, Rates(input_tokens=6000))
    assert (await fleet.book(tokens=50_000)).wait == timedelta(0)
    assert (await fleet.book(tokens=50_000)).wait == pytest.approx(timedelta(seconds=500), abs=SOON)


async def test_booking_the_same_call_again_takes_nothing_and_says_how_long_it_still_waits(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=6))
    for _ in range(6):
        await fleet.book()
    first = await fleet.book("same")
    level = await fleet.field("levelr")
    again = await fleet.book("same")
    assert again.verdict is Verdict.GO
    assert first.wait - SOON < again.wait <= first.wait
    assert await fleet.field("levelr") == level


async def test_a_call_that_is_given_back_makes_room_for_another(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=6))
    await fleet.book("first")
    level = await fleet.field("levelr")
    await fleet.book("second")
    assert await fleet.end("second", outcome=Outcome.BACK)
    assert await fleet.field("levelr") == pytest.approx(level, abs=0.2)
    assert await fleet.field("heldr") == 1
    assert not await fleet.end("second", outcome=Outcome.BACK), "nothing is given back twice"
    assert await fleet.field("levelr") == pytest.approx(level, abs=0.2)


async def test_an_answer_settles_what_was_estimated(store: Store) -> None:
    fleet = Fleet(store, Rates(input_tokens=60_000, output_tokens=60_000))
    await fleet.book("one", tokens=1000)
    assert await fleet.field("leveli") == pytest.approx(59_000)
    assert await fleet.field("levelo") == pytest.approx(59_000)
    await fleet.end("one", tokens=300, output=5000)
    assert await fleet.field("leveli") == pytest.approx(59_700, abs=1500)
    assert await fleet.field("levelo") == pytest.approx(55_000, abs=1500)


async def test_what_was_read_from_the_cache_is_not_expected_to_count_next_time(store: Store) -> None:
    fleet = Fleet(store, Rates(input_tokens=60_000))
    await fleet.book("one", tokens=10_000)
    await fleet.end("one", tokens=1000)
    held = await fleet.field("heldi")
    await fleet.book("two", tokens=10_000)
    assert await fleet.field("heldi") - held == 1000


async def test_as_much_output_is_expected_as_calls_wrote_and_at_most_what_they_may(store: Store) -> None:
    fleet = Fleet(store, Rates(output_tokens=60_000))
    await fleet.book("one", max_output=50_000)
    assert await fleet.field("heldo") == FIRST_OUTPUT
    await fleet.end("one", output=200)
    await fleet.book("two", max_output=50_000)
    assert await fleet.field("heldo") == 200
    await fleet.book("three", max_output=50)
    assert await fleet.field("heldo") == 250


async def test_a_bucket_fills_again_and_never_over_its_size(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=60))
    for _ in range(60):
        await fleet.book()
    await fleet.age(30)
    await fleet.book()
    assert await fleet.field("levelr") == pytest.approx(28.7, abs=SOON.total_seconds()), "a per cent less than 29"
    await fleet.age(3600)
    await fleet.book()
    assert await fleet.field("levelr") == 59


async def test_a_clock_that_was_set_back_gives_nothing_away_and_stops_nothing(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=60))
    for _ in range(30):
        await fleet.book()
    await fleet.age(-3600)
    await fleet.book()
    assert await fleet.field("levelr") == pytest.approx(29, abs=0.5)
    await fleet.age(10)
    await fleet.book()
    assert await fleet.field("levelr") == pytest.approx(38, abs=1.5)


async def test_until_limits_are_known_one_call_finds_out(fleet: Fleet) -> None:
    assert (await fleet.book("first")).verdict is Verdict.GO
    asked = await fleet.book("second")
    assert (asked.verdict, asked.wait < timedelta(seconds=1)) == (Verdict.ASK, True)
    await fleet.end("first", readings=requests(60, 59))
    assert (await fleet.book("second")).verdict is Verdict.GO
    assert await fleet.field("levelr") == pytest.approx(58, abs=0.5)


async def test_one_that_finds_out_slowly_does_not_hold_up_the_fleet(fleet: Fleet) -> None:
    await fleet.book("first")
    await fleet.redis.hincrbyfloat(fleet.keys[0], "probing", -2000)
    went = [(await fleet.book()).verdict for _ in range(3)]
    assert went == [Verdict.GO, Verdict.GO, Verdict.ASK]


async def test_one_that_finds_out_and_is_killed_gives_way_to_another(fleet: Fleet) -> None:
    await fleet.book("first", hold=timedelta(0))

    async def another_goes() -> bool:
        return (await fleet.book()).verdict is Verdict.GO

    await eventually(another_goes)


async def test_an_answer_without_limits_means_that_there_are_none_for_a_while(fleet: Fleet) -> None:
    await fleet.book("first")
    await fleet.end("first")
    assert [(await fleet.book()).verdict for _ in range(50)] == [Verdict.GO] * 50
    await fleet.redis.hincrbyfloat(fleet.keys[0], "free", -NO_LIMITS.total_seconds() * 1000)
    assert (await fleet.book()).verdict is Verdict.ASK


async def test_an_error_without_limits_says_nothing_about_them(fleet: Fleet) -> None:
    await fleet.book("first")
    await fleet.end("first", outcome=Outcome.BACK)
    assert (await fleet.book("second")).verdict is Verdict.GO
    assert (await fleet.book("third")).verdict is Verdict.ASK


async def test_what_others_use_of_a_key_lowers_the_level(fleet: Fleet) -> None:
    await fleet.book("one")
    await fleet.end("one", readings=requests(60, 59))
    await fleet.book("two")
    await fleet.end("two", readings=requests(60, 20))
    assert await fleet.field("levelr") == pytest.approx(21, abs=1)


async def test_a_level_that_is_too_low_is_raised(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=10))
    await fleet.book("one")
    await fleet.end("one", readings=requests(100, 80))
    assert await fleet.field("levelr") == pytest.approx(79, abs=1)
    assert await fleet.field("limitr") == 100, "what headers say wins"


async def test_calls_that_overtake_each_other_change_nothing(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=600))
    calls = [f"c{at}" for at in range(10)]
    for call in calls:
        await fleet.book(call)
    level = await fleet.field("levelr")
    for at, call in enumerate(reversed(calls)):
        await fleet.end(call, readings=requests(600, 599 - at))
    assert await fleet.field("levelr") == pytest.approx(level, abs=40), "refilled meanwhile"
    assert await fleet.corrected("r") == 0


async def test_an_answer_that_took_long_is_compared_as_at_its_beginning(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=60))
    await fleet.book("slow")
    for at in range(30):
        await fleet.book("quick")
        await fleet.end("quick", readings=requests(60, 58 - at))
    before = await fleet.field("levelr")
    await fleet.end("slow", readings=requests(60, 59))
    assert await fleet.field("levelr") == pytest.approx(before, abs=2), "59 was left then, not now"


async def test_the_size_of_a_bucket_is_what_was_seen_in_it(fleet: Fleet) -> None:
    await fleet.book("one")
    await fleet.end("one", readings=requests(600, 29))
    await fleet.age(3600)
    await fleet.book("two")
    assert await fleet.field("levelr") == 29
    await fleet.end("two", readings=requests(600, 49))
    assert await fleet.field("sizer") == 50


async def test_tokens_that_are_told_in_thousands_are_not_taken_for_exact(store: Store) -> None:
    fleet = Fleet(store, Rates(input_tokens=100_000))
    await fleet.book("one", tokens=400)
    await fleet.end("one", tokens=400, readings=Readings(input_tokens=Told(100_000, 100_000)))
    assert await fleet.corrected("i") == 0
    await fleet.book("two", tokens=400)
    await fleet.end("two", tokens=400, readings=Readings(input_tokens=Told(100_000, 90_000)))
    assert await fleet.field("leveli") == pytest.approx(90_500, abs=1500)


async def test_output_that_overdrew_the_bucket_is_known_from_its_reset(fleet: Fleet) -> None:
    await fleet.book("one")
    await fleet.end("one", output=0, readings=output(6000, 0, full_in=122))
    assert await fleet.field("levelo") == pytest.approx(-6000, abs=200)
    assert (await fleet.book(max_output=1)).wait > timedelta(seconds=50)


async def test_output_counts_when_it_is_written(fleet: Fleet) -> None:
    await fleet.book("one")
    await fleet.end("one", output=100, readings=output(6000, 6000))
    for name in ("two", "three"):
        await fleet.book(name)
    level = await fleet.field("levelo")
    await fleet.end("two", output=100, readings=output(6000, 5910))
    await fleet.end("three", output=100, readings=output(6000, 5920))
    assert await fleet.field("levelo") == pytest.approx(level, abs=250)
    assert await fleet.corrected("o") < 250


async def test_a_refusal_stops_the_fleet_until_its_time_and_is_believed_at_once(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=60))
    await fleet.book("waiting")
    for _ in range(5):
        await fleet.book()
    await fleet.book("one")
    await fleet.end("one", outcome=Outcome.BACK, readings=requests(60, 0), pause=timedelta(seconds=30))
    assert await fleet.field("levelr") == pytest.approx(0, abs=2)
    told = [await fleet.book("waiting"), await fleet.book("new")]
    assert [one.wait for one in told] == [pytest.approx(timedelta(seconds=30), abs=SOON)] * 2
    late = await fleet.book("waiting", patience=timedelta(seconds=5))
    assert late.verdict is Verdict.LATER
    assert not await fleet.end("waiting"), "one that cannot wait so long gives back what it held"


async def test_what_a_killed_process_held_ends_by_itself(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=600))
    await fleet.book("killed", hold=timedelta(0))

    async def gone() -> bool:
        await fleet.book("other")
        return await fleet.field("heldr") == 1

    await eventually(gone)
    assert not await fleet.end("killed")


async def test_what_nobody_knows_of_stays_as_estimated(store: Store) -> None:
    fleet = Fleet(store, Rates(requests=6, input_tokens=600))
    await fleet.book("one", tokens=300)
    await fleet.end("one", outcome=Outcome.KEPT)
    assert await fleet.field("leveli") == pytest.approx(300, abs=20)
    assert await fleet.field("heldi") == 0


async def test_a_thousand_calls_of_many_callers_get_turns_that_the_limit_allows(store: Store) -> None:
    fleet, callers = Fleet(store, Rates(requests=600)), asyncio.Semaphore(50)
    clock = asyncio.get_running_loop().time
    await fleet.book()
    before = clock()

    async def begins() -> float:
        async with callers:
            booking = await fleet.book(patience=timedelta(minutes=5))
            return clock() + booking.wait.total_seconds()

    begun = sorted(await asyncio.gather(*(begins() for _ in range(1000))))
    took = clock() - before
    assert sum(at < before + 1 for at in begun) <= 600 + 10 * (took + 2), "the burst, and what came meanwhile"
    for first, last in zip(begun[700:], begun[710:], strict=False):
        assert last - first > 0.5, "no more than 10 in any second, but for what a slow machine adds to its clock"


async def test_an_open_circuit_lets_no_call_pass_and_says_why(fleet: Fleet) -> None:
    await fleet.limits.trip(BUCKET.account, "the limit is reached", timedelta(days=3))
    refused = await fleet.book()
    assert (refused.verdict, refused.said, refused.known) == (Verdict.OPEN, "the limit is reached", True)
    assert refused.wait == pytest.approx(timedelta(days=3), abs=SOON)
    other = Bucket(BUCKET.account, "claude-haiku-5-5")
    again = await fleet.limits.book(other, "x", input_tokens=1, max_output=1, patience=PLENTY, hold=LATER)
    assert again.verdict is Verdict.OPEN, "it is the key's, whatever the model"
    assert (await fleet.book()).verdict is Verdict.OPEN


async def test_a_circuit_that_nobody_knows_the_end_of_lets_one_call_pass_after_a_while(fleet: Fleet) -> None:
    await fleet.limits.trip(BUCKET.account, "out of credit", None)
    refused = await fleet.book()
    assert (refused.known, refused.wait) == (False, pytest.approx(UNKNOWN_RESET, abs=SOON))
    await fleet.redis.hset(fleet.keys[3], "until", "1")
    assert (await fleet.book("probe")).verdict is Verdict.GO
    assert (await fleet.book("other")).verdict is Verdict.OPEN
    assert (await fleet.book("probe")).verdict is Verdict.GO
    await fleet.end("probe", outcome=Outcome.BACK)
    assert (await fleet.book("next")).verdict is Verdict.GO, "that one did not find out"
    await fleet.end("next")
    assert (await fleet.book("other")).verdict is Verdict.GO
    assert not await fleet.limits.mend(BUCKET.account), "it is closed"


async def test_a_circuit_opens_again_when_the_call_that_finds_out_is_refused(fleet: Fleet) -> None:
    await fleet.limits.trip(BUCKET.account, "out of credit", None)
    await fleet.redis.hset(fleet.keys[3], "until", "1")
    await fleet.book("probe")
    await fleet.limits.trip(BUCKET.account, "still out of credit", None)
    await fleet.end("probe", outcome=Outcome.BACK)
    assert (await fleet.book()).said == "still out of credit"


async def test_a_circuit_can_be_closed_by_hand(fleet: Fleet) -> None:
    await fleet.limits.trip(BUCKET.account, "out of credit", None)
    assert await fleet.limits.mend(BUCKET.account)
    assert (await fleet.book()).verdict is Verdict.GO


async def test_a_tool_begins_no_more_often_than_its_limit_whoever_asks(store: Store) -> None:
    limits = LimitStore(store)
    answers = await asyncio.gather(*(limits.admit("quote", 20) for _ in range(50)))
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) == 30
    assert all(timedelta(seconds=50) < answer <= timedelta(seconds=60) for answer in refused)
    assert await limits.admit("other", 1) is None, "each tool has its own"


async def test_a_tool_has_room_again_when_its_oldest_run_is_a_minute_old(store: Store) -> None:
    limits, redis = LimitStore(store), cast(Any, store.redis)
    for _ in range(3):
        assert await limits.admit("quote", 3) is None
    key = store.keys.tool_rate("quote")
    await redis.lset(key, 0, int(await redis.lindex(key, 0)) - 60_000)
    assert await limits.admit("quote", 3) is None
    assert await limits.admit("quote", 3) is not None
    assert await redis.llen(key) == 3, "it remembers no more than it must"


async def test_a_tool_whose_limit_was_lowered_remembers_the_newest_runs(store: Store) -> None:
    limits, redis = LimitStore(store), cast(Any, store.redis)
    for _ in range(5):
        await limits.admit("quote", 5)
    key = store.keys.tool_rate("quote")
    await redis.lset(key, 3, int(await redis.lindex(key, 3)) - 30_000)
    wait = await limits.admit("quote", 2)
    assert wait == pytest.approx(timedelta(seconds=30), abs=SOON)
    assert await redis.llen(key) == 2


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Holds and clocks are in milliseconds."""
    for _ in range(1000):
        if await condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("never")
