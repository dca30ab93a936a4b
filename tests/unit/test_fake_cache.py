"""The fake API's prompt cache and rate limits, on a clock of the test's own."""

import itertools
from typing import Any

import pytest

from workers.testing.cache import LOOK_BACK, PromptCache, breakpoints
from workers.testing.limits import Limits, RateLimiter

Json = dict[str, Any]
MARK: Json = {"cache_control": {"type": "ephemeral"}}
HOUR: Json = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
LONG = "word " * 1000


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def text(content: str, mark: Json | None = None) -> Json:
    return {"type": "text", "text": content, **(mark or {})}


def body(*content: Json, system: str = LONG, mark: Json | None = MARK, **fields: Any) -> Json:
    return {
        "model": "claude-sonnet-5-5",
        "max_tokens": 10,
        "system": [text(system, mark)],
        "messages": [{"role": "user", "content": list(content) or "Hi"}],
        **fields,
    }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> PromptCache:
    return PromptCache(clock)


def ask(cache: PromptCache, request: Json, key: str = "k") -> tuple[int, int, int]:
    """Uncached, written and read tokens of a request that is answered at once."""
    use = cache.look_up(key, request)
    cache.begin(use)
    return use.uncached, use.written_5m + use.written_1h, use.read


def test_the_first_request_writes_and_the_next_reads(cache: PromptCache) -> None:
    rest, written, read = ask(cache, body())
    assert (written > 1000, read, rest < 30) == (True, 0, True)
    assert ask(cache, body(text("Something else"))) == (ask(cache, body(text("Something else")))[0], 0, written)


def test_requests_that_are_sent_together_all_pay(cache: PromptCache) -> None:
    uses = [cache.look_up("k", body()) for _ in range(3)]
    assert [use.read for use in uses] == [0, 0, 0]
    cache.begin(uses[0])
    assert cache.look_up("k", body()).read == uses[0].written_5m


@pytest.mark.parametrize(
    "other",
    [
        body(system=f"{LONG}!"),
        body(model="claude-opus-5-5"),
        body(tools=[{"name": "a"}]),
        {**body(), "system": [{"text": LONG, "type": "text", **MARK}]},
    ],
    ids=["text", "model", "tools", "order of fields"],
)
def test_whatever_changes_the_prefix_misses(cache: PromptCache, other: Json) -> None:
    ask(cache, body())
    assert ask(cache, other)[2] == 0


def test_another_key_reads_nothing(cache: PromptCache) -> None:
    ask(cache, body(), key="one")
    assert ask(cache, body(), key="two")[2] == 0


def test_a_prefix_lives_for_its_time_from_its_last_use(cache: PromptCache, clock: Clock) -> None:
    ask(cache, body())
    for _ in range(3):
        clock.now += 299
        assert ask(cache, body())[2] > 0
    clock.now += 301
    assert ask(cache, body())[2] == 0


def test_an_hour_costs_more_and_lasts_longer(cache: PromptCache, clock: Clock) -> None:
    use = cache.look_up("k", body(mark=HOUR))
    assert (use.written_5m, use.written_1h > 1000) == (0, True)
    assert use.usage()["cache_creation"]["ephemeral_1h_input_tokens"] == use.written_1h
    cache.begin(use)
    clock.now += 3599
    assert ask(cache, body(mark=HOUR))[2] == use.written_1h


def test_a_conversation_that_grows_reads_what_came_before(cache: PromptCache) -> None:
    turns: list[Json] = []
    before = 0
    for number in range(4):
        turns = [{name: value for name, value in one.items() if name != "cache_control"} for one in turns]
        turns.append(text(f"turn {number} {LONG}", MARK))
        rest, written, read = ask(cache, body(*turns))
        assert (rest, read) == (0, before)
        before = read + written


def test_an_entry_more_than_twenty_blocks_back_is_not_found(cache: PromptCache) -> None:
    ask(cache, body(text(LONG, MARK), mark=None))
    near = [text(LONG), *(text(str(n)) for n in range(LOOK_BACK - 1)), text("end", MARK)]
    far = [text(LONG), *(text(str(n)) for n in range(LOOK_BACK)), text("end", MARK)]
    assert PromptCache.look_up(cache, "k", body(*near, mark=None)).read > 0
    assert PromptCache.look_up(cache, "k", body(*far, mark=None)).read == 0


def test_a_short_prefix_is_not_cached(cache: PromptCache) -> None:
    assert [ask(cache, body(system="short"))[1:] for _ in range(2)] == [(0, 0)] * 2
    small = PromptCache(Clock(), minimum=5)
    assert ask(small, body(system="quite a short text"))[1] > 0


def test_without_breakpoints_nothing_is_cached(cache: PromptCache) -> None:
    use = cache.look_up("k", body(mark=None))
    assert use.usage() == {
        "input_tokens": use.uncached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }


def test_a_mark_on_the_request_itself_is_one_on_its_last_block(cache: PromptCache) -> None:
    request = body(text("a"), text("b"), mark=None, **MARK)
    assert breakpoints(request) == 1
    assert ask(cache, request)[0] == 0


def test_tokens_are_those_of_the_prompt_however_they_are_split(cache: PromptCache) -> None:
    request = body(text("a"), tools=[{"name": "look", "description": LONG}])
    assert sum(ask(cache, request)) == sum(ask(cache, request)) == sum(ask(cache, {**request, "stream": True}))


KEYED = ("k", "claude-sonnet-5-5")


def test_a_bucket_refuses_what_is_over_its_limit_and_says_when(clock: Clock) -> None:
    limiter = RateLimiter(Limits(requests=2), clock)
    assert [limiter.admit(*KEYED, 1).refused_by for _ in range(3)] == [None, None, "requests"]
    refused = limiter.admit(*KEYED, 1).headers
    assert refused["retry-after"] == "30"
    assert refused["anthropic-ratelimit-requests-limit"] == "2"
    assert refused["anthropic-ratelimit-requests-remaining"] == "0"
    assert refused["anthropic-ratelimit-requests-reset"] == "1970-01-12T13:47:40Z"
    clock.now += 30
    assert limiter.admit(*KEYED, 1).refused_by is None


def test_keys_and_models_have_buckets_of_their_own(clock: Clock) -> None:
    limiter = RateLimiter(Limits(requests=1), clock)
    pairs = itertools.product(("a", "b"), ("claude-opus-5-5", "claude-sonnet-5-5"))
    assert [limiter.admit(*pair, 1).refused_by for pair in pairs] == [None] * 4


def test_input_tokens_are_taken_at_the_door(clock: Clock) -> None:
    limiter = RateLimiter(Limits(input_tokens=600), clock)
    assert limiter.admit(*KEYED, 400).headers["anthropic-ratelimit-input-tokens-remaining"] == "200"
    assert limiter.admit(*KEYED, 400).refused_by == "input-tokens"
    assert limiter.admit(*KEYED, 200).refused_by is None
    assert limiter.admit(*KEYED, 700).headers["retry-after"] == "60"  # never fits; the bucket is full by then


def test_output_tokens_are_taken_when_they_are_written(clock: Clock) -> None:
    limiter = RateLimiter(Limits(output_tokens=60), clock)
    assert limiter.admit(*KEYED, 1).refused_by is None
    limiter.wrote(*KEYED, 70)
    assert limiter.admit(*KEYED, 1).refused_by == "output-tokens"
    clock.now += 11
    assert limiter.admit(*KEYED, 1).refused_by is None


def test_a_small_burst_makes_a_small_bucket(clock: Clock) -> None:
    limiter = RateLimiter(Limits(requests=60, burst=0.05), clock)
    assert [limiter.admit(*KEYED, 1).refused_by for _ in range(4)] == [None] * 3 + ["requests"]
    clock.now += 1
    assert limiter.admit(*KEYED, 1).refused_by is None


def test_over_a_minute_no_more_comes_in_than_limit_and_burst(clock: Clock) -> None:
    limiter = RateLimiter(Limits(requests=100, burst=0.1), clock)
    admitted = 0
    for _ in range(6000):
        clock.now += 0.01
        admitted += limiter.admit(*KEYED, 1).refused_by is None
    assert 105 <= admitted <= 110
