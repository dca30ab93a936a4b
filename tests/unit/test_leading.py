"""Calls that begin alike: one leads, the others wait for its answer to begin. With fakes of model and store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tasks.errors import ModelUnavailable, StoreUnavailable
from tasks.models import Usage
from tasks.store.prefixes import Standing
from tests.support.waiting import wait_until
from tests.unit.attempts import make_context
from workers.context import enter_step
from workers.llm import leading
from workers.llm.base import ModelReply, ModelRequest
from workers.llm.leading import LeadingModel
from workers.llm.settings import ModelSettings

MODEL = "claude-sonnet-5-5"
READ, WROTE = Usage(requests=1, cache_read_tokens=9), Usage(requests=1, cache_write_tokens=9)
REQUEST = ModelRequest(
    model=MODEL, agent="search", system="rule " * 2000, messages=[{"role": "user", "content": "Find it."}]
)
LONG_S = 60.0


@dataclass
class FakePrefixes:
    """One prefix in memory, by the rules of the store."""

    is_warm: bool = False
    leader: str | None = None
    asked: int = 0
    told: list[tuple[str, timedelta | None]] = field(default_factory=list[tuple[str, timedelta | None]])
    keys: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    error: Exception | None = None
    hold: asyncio.Event | None = None

    async def lead(self, prefixes: Sequence[str], token: str, lease: timedelta) -> Standing:
        self.asked += 1
        self.keys.add(tuple(prefixes))
        if self.error is not None:
            raise self.error
        taken = self.leader in (None, token)
        if not self.is_warm and taken:
            self.leader = token
        if self.hold is not None:
            await self.hold.wait()
        if self.is_warm:
            return Standing.WARM
        return Standing.LEAD if taken else Standing.WAIT

    async def warm(self, prefixes: Sequence[str], token: str, ttl: timedelta) -> None:
        self._end(token, ttl)
        self.is_warm = True

    async def leave(self, prefixes: Sequence[str], token: str) -> None:
        self._end(token, None)

    def _end(self, token: str, ttl: timedelta | None) -> None:
        if self.error is not None:
            raise self.error
        self.told.append((token, ttl))
        if self.leader == token:
            self.leader = None


class Call:
    """A call that has reached the inner model."""

    def __init__(self, request: ModelRequest) -> None:
        self.request = request
        self.answer: asyncio.Future[Usage] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        assert self.request.on_begin is not None
        self.request.on_begin()


class HeldModel:
    """Answers each call when the test says so."""

    name = MODEL

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.closed = False

    async def reply(self, request: ModelRequest) -> ModelReply:
        call = Call(request)
        self.calls.append(call)
        return ModelReply("msg", MODEL, [], "end_turn", await call.answer)

    async def close(self) -> None:
        self.closed = True


class Scene:
    """A leading model, with its fakes and the calls made through it."""

    def __init__(self, prefixes: FakePrefixes | None = None, **settings: object) -> None:
        self.prefixes = prefixes or FakePrefixes()
        self.inner = HeldModel()
        self.now = 0.0
        self.prepared = 0
        self.model = LeadingModel(
            self.inner,
            self.prefixes,
            ModelSettings.model_validate({"prompt_cache_wait_s": LONG_S, **settings}),
            clock=lambda: self.now,
            prepare=self.prepare,
        )
        self.asking: list[asyncio.Task[ModelReply]] = []

    def prepare(self) -> None:
        self.prepared += 1

    def ask(self, request: ModelRequest = REQUEST) -> asyncio.Task[ModelReply]:
        self.asking.append(asyncio.create_task(self.model.reply(request)))
        return self.asking[-1]

    async def reached(self, count: int) -> Call:
        """Wait until so many calls have reached the model; gives the last."""
        await wait_until(lambda: len(self.inner.calls) >= count)
        assert len(self.inner.calls) == count
        return self.inner.calls[-1]

    async def looked(self, more: int = 3) -> None:
        """Wait until the store was asked some times more: whoever waits has had its chance to go."""
        aim = self.prefixes.asked + more
        await wait_until(lambda: self.prefixes.asked >= aim)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "POLL_S", 0.001)


async def test_others_go_when_the_answer_of_the_first_begins() -> None:
    scene = Scene()
    for _ in range(10):
        scene.ask()
    first = await scene.reached(1)
    await scene.looked()
    assert len(scene.inner.calls) == 1
    first.begin()
    await scene.reached(10)
    for call in scene.inner.calls:
        call.answer.set_result(READ)
    replies = await asyncio.gather(*scene.asking)
    assert len(replies) == 10
    assert [call.request.on_begin is not None for call in scene.inner.calls] == [True] + [False] * 9
    assert scene.prepared == 9


async def test_a_leader_that_cannot_tell_when_it_begins_lets_others_go_at_its_reply() -> None:
    scene = Scene()
    scene.ask()
    scene.ask()
    (await scene.reached(1)).answer.set_result(WROTE)
    (await scene.reached(2)).answer.set_result(READ)
    await asyncio.gather(*scene.asking)
    assert scene.prefixes.leader is None


async def test_a_leader_that_fails_hands_over_to_exactly_one() -> None:
    scene = Scene()
    for _ in range(5):
        scene.ask()
    (await scene.reached(1)).answer.set_exception(ModelUnavailable("busy"))
    second = await scene.reached(2)
    await scene.looked()
    assert len(scene.inner.calls) == 2
    second.begin()
    await scene.reached(5)
    for call in scene.inner.calls[1:]:
        call.answer.set_result(READ)
    done = await asyncio.gather(*scene.asking, return_exceptions=True)
    assert [isinstance(one, ModelUnavailable) for one in done] == [True] + [False] * 4


async def test_a_leader_that_is_cancelled_hands_over() -> None:
    scene = Scene()
    leader = scene.ask()
    await scene.reached(1)
    scene.ask()
    await scene.looked()
    leader.cancel()
    (await scene.reached(2)).answer.set_result(WROTE)
    assert (await scene.asking[1]).usage == WROTE


async def test_one_that_fails_after_its_answer_began_has_warmed_the_prefix() -> None:
    scene = Scene()
    scene.ask()
    first = await scene.reached(1)
    first.begin()
    first.begin()
    first.answer.set_exception(ModelUnavailable("broke off"))
    with pytest.raises(ModelUnavailable):
        await scene.asking[0]
    await scene.model.close()
    assert scene.prefixes.is_warm
    assert [ttl for _, ttl in scene.prefixes.told] == [timedelta(seconds=270)]


async def test_a_waiter_that_is_cancelled_leaves_nothing_behind() -> None:
    scene = Scene()
    scene.ask()
    first = await scene.reached(1)
    waiters = [scene.ask() for _ in range(3)]
    await scene.looked()
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    asked = scene.prefixes.asked
    first.answer.set_result(WROTE)
    await scene.asking[0]
    await scene.model.close()
    assert (scene.prefixes.asked, scene.prefixes.leader) == (asked, None)
    assert len(scene.inner.calls) == 1


async def test_one_that_is_cancelled_while_it_takes_the_lead_gives_it_up() -> None:
    scene = Scene(FakePrefixes(hold=asyncio.Event()))
    taker = scene.ask()
    await wait_until(lambda: scene.prefixes.leader is not None)
    taker.cancel()
    await asyncio.gather(taker, return_exceptions=True)
    await scene.model.close()
    assert scene.prefixes.leader is None
    assert scene.inner.calls == []


async def test_after_the_longest_wait_a_call_goes_all_the_same() -> None:
    scene = Scene(prompt_cache_wait_s=0.05)
    scene.ask()
    await scene.reached(1)
    late = scene.ask()
    (await scene.reached(2)).answer.set_result(WROTE)
    assert (await late).usage == WROTE
    scene.inner.calls[0].answer.set_result(WROTE)
    await scene.asking[0]
    await scene.model.close()


async def test_nobody_waits_where_waiting_is_switched_off() -> None:
    scene = Scene(prompt_cache_wait_s=0)
    for _ in range(3):
        scene.ask()
    await scene.reached(3)
    for call in scene.inner.calls:
        call.answer.set_result(WROTE)
    await asyncio.gather(*scene.asking)


async def test_without_the_store_nobody_waits_and_it_is_left_alone_for_a_while() -> None:
    scene = Scene(FakePrefixes(error=StoreUnavailable("away")))
    with capture_logs() as logs:
        for expected in (1, 2):
            task = scene.ask()
            (await scene.reached(expected)).answer.set_result(WROTE)
            await task
    assert scene.prefixes.asked == 1
    assert [one["event"] for one in logs] == ["prefixes_unknown"]
    scene.prefixes.error = None
    scene.now += leading.AWAY_S
    scene.ask()
    call = await scene.reached(3)
    assert scene.prefixes.leader is not None
    scene.prefixes.error = StoreUnavailable("away again")
    call.answer.set_result(WROTE)
    await scene.asking[-1]
    await scene.model.close()


async def test_a_lead_is_kept_while_the_answer_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "RENEW_S", 0.001)
    scene = Scene()
    scene.ask()
    first = await scene.reached(1)
    await scene.looked()
    first.begin()
    await wait_until(lambda: not any("_renew" in str(task.get_coro()) for task in asyncio.all_tasks()))
    first.answer.set_result(WROTE)
    await scene.asking[0]


@pytest.mark.parametrize(
    "request_",
    [replace(REQUEST, system="Be brief."), replace(REQUEST, cache=False)],
    ids=["too short", "switched off for the agent"],
)
async def test_what_is_not_kept_is_not_waited_for(request_: ModelRequest) -> None:
    scene = Scene()
    for _ in range(3):
        scene.ask(request_)
    await scene.reached(3)
    for call in scene.inner.calls:
        call.answer.set_result(Usage(requests=1))
    await asyncio.gather(*scene.asking)
    assert scene.prefixes.asked == 0


async def test_switched_off_it_does_nothing() -> None:
    scene = Scene(prompt_cache=False)
    scene.ask()
    (await scene.reached(1)).answer.set_result(Usage())
    await scene.asking[0]
    assert scene.prefixes.asked == 0


async def test_each_use_keeps_the_prefix_warm_from_when_it_was_sent() -> None:
    scene = Scene(FakePrefixes(is_warm=True))
    for usage, seconds in ((READ, 100.0), (READ, 400.0), (Usage(requests=1), 1.0)):
        task = scene.ask()
        call = await scene.reached(len(scene.asking))
        scene.now += seconds
        call.answer.set_result(usage)
        await task
    await scene.model.close()
    assert [ttl for _, ttl in scene.prefixes.told] == [timedelta(seconds=170)]


async def test_whoever_asked_to_hear_of_the_beginning_still_does() -> None:
    scene = Scene()
    heard: list[str] = []
    scene.ask(replace(REQUEST, on_begin=lambda: heard.append("begun")))
    first = await scene.reached(1)
    first.begin()
    first.answer.set_result(WROTE)
    await scene.asking[0]
    assert heard == ["begun"]


async def test_waiting_is_not_idle() -> None:
    scene = Scene()
    scene.ask()
    first = await scene.reached(1)
    context = make_context()

    async def in_a_step() -> ModelReply:
        enter_step(context)
        return await scene.model.reply(REQUEST)

    task = asyncio.create_task(in_a_step())
    await wait_until(lambda: context.unseen == 1)
    first.begin()
    second = await scene.reached(2)
    assert context.unseen == 0
    for call in (first, second):
        call.answer.set_result(READ)
    await asyncio.gather(task, *scene.asking)


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, system="other " * 2000),
        replace(REQUEST, model="claude-opus-5-5"),
        replace(REQUEST, output=Usage),
        replace(REQUEST, server_tools=[{"type": "web_search_20250305", "name": "web_search"}]),
    ],
    ids=["system", "model", "form", "tools"],
)
async def test_calls_that_begin_otherwise_have_prefixes_of_their_own(other: ModelRequest) -> None:
    scene = Scene(FakePrefixes(is_warm=True))
    for request in (REQUEST, replace(REQUEST, agent="other", messages=[{"role": "user", "content": "x"}])):
        scene.ask(request)
    await scene.reached(2)
    assert len(scene.prefixes.keys) == 1
    scene.ask(other)
    await scene.reached(3)
    assert len(scene.prefixes.keys) == 2
    for call in scene.inner.calls:
        call.answer.set_result(READ)
    await asyncio.gather(*scene.asking)


async def test_what_openings_share_is_a_prefix_of_its_own() -> None:
    scene = Scene(FakePrefixes(is_warm=True))
    text = "input " * 1000
    for own in ("one", "two"):
        scene.ask(replace(REQUEST, messages=[{"role": "user", "content": text + own}], shared_chars=len(text)))
    scene.ask()
    await scene.reached(3)
    assert sorted(map(len, scene.prefixes.keys)) == [1, 2]
    assert len({keys[0] for keys in scene.prefixes.keys}) == 1
    for call in scene.inner.calls:
        call.answer.set_result(READ)
    await asyncio.gather(*scene.asking)


async def test_keys_do_not_share_what_they_do_not_pay_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    prefixes = FakePrefixes(is_warm=True)
    for key in ("sk-ant-one", "sk-ant-two"):
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
        scene = Scene(prefixes)
        task = scene.ask()
        (await scene.reached(1)).answer.set_result(READ)
        await task
    assert len(prefixes.keys) == 2
    assert "sk-ant" not in str(prefixes.keys)


async def test_a_cache_that_stops_hitting_is_told_of_in_the_log_and_to_the_job() -> None:
    scene = Scene(FakePrefixes(is_warm=True))
    context = make_context()
    lines: list[str] = []
    context.emit = lambda _, data: lines.append(str(data["message"]))

    async def in_a_step() -> ModelReply:
        enter_step(context)
        return await scene.model.reply(REQUEST)

    with capture_logs() as logs:
        for number in range(1, 6):
            task = asyncio.create_task(in_a_step())
            (await scene.reached(number)).answer.set_result(WROTE)
            await task
    assert [(one["event"], one["agent"], one["reason"], one["times"]) for one in logs] == [
        ("prompt_cache_missed", "search", "not_kept", 3)
    ]
    assert len(lines) == 1
    assert lines[0].startswith("3 calls in a row found nothing in the provider's cache")


async def test_outside_a_step_the_log_is_enough() -> None:
    scene = Scene(FakePrefixes(is_warm=True))
    with capture_logs() as logs:
        for number in range(1, 4):
            task = scene.ask()
            (await scene.reached(number)).answer.set_result(WROTE)
            await task
    assert len(logs) == 1


async def test_it_is_the_inner_model_to_the_outside() -> None:
    scene = Scene()
    assert scene.model.name == MODEL
    await scene.model.close()
    assert scene.inner.closed
