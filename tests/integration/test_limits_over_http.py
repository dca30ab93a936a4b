"""Limited models as workers have them: the SDK, a Messages API on loopback, a real store. Each is a process."""

import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from tasks.errors import ModelUnavailable, SpendLimitReached, StoreUnavailable
from tasks.store import Store
from tasks.store.limits import Bucket, LimitStore
from workers import tool
from workers.answering import Answering
from workers.llm.base import Model, ModelRequest
from workers.llm.catalog import make_model
from workers.llm.claude import ClaudeModel
from workers.llm.limited import LimitedModel
from workers.llm.settings import ModelSettings
from workers.testing import FakeMessages, Fault, Limits
from workers.tools.gate import StoreGate

MODEL = "claude-sonnet-5-5"
REQUEST = ModelRequest(model=MODEL, agent="search", system="", messages=[{"role": "user", "content": "Hi"}])

Make = Callable[..., Model]


@tool(rate_limit=2)
async def quote() -> str:
    """A price."""
    return "1"


@tool
async def look() -> str:
    """What there is."""
    return "nothing"


@pytest.fixture
async def make(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Makes models as different processes have them."""
    made: list[Model] = []

    def one(fake: FakeMessages, key: str = "sk-ant-one", **settings: Any) -> Model:
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        made.append(make_model(MODEL, ModelSettings(**settings), LimitStore(store)))
        return made[-1]

    yield one
    for model in made:
        await model.close()


async def bucket_of(store: Store, model: Model) -> dict[str, str]:
    assert isinstance(model, LimitedModel)
    account = await cast(Any, model)._model.account()
    return await cast(Any, store.redis).hgetall(store.keys.limits(*Bucket(account, MODEL))[0])


async def test_limits_are_learnt_from_the_headers_of_an_answer(make: Make, store: Store) -> None:
    with FakeMessages(limits=Limits(requests=50, input_tokens=30_000, output_tokens=8_000)) as fake:
        model = make(fake)
        await model.reply(REQUEST)
        bucket = await bucket_of(store, model)
    assert [float(bucket[f"limit{unit}"]) for unit in "rio"] == [50, 30_000, 8_000]
    assert float(bucket["levelr"]) == 49
    assert "sk-ant" not in str(bucket)


async def test_no_key_of_the_store_holds_the_providers_key(make: Make, store: Store) -> None:
    with FakeMessages() as fake:
        await make(fake).reply(REQUEST)
    keys = [key async for key in cast(Any, store.redis).scan_iter(match=f"{store.settings.prefix}:*")]
    assert keys != []
    assert all("sk-ant" not in key for key in keys)


async def test_a_short_fault_is_sat_out(make: Make) -> None:
    with FakeMessages() as fake:
        fake.queue(Fault.of(529), Fault.of(500))
        await make(fake).reply(REQUEST)
        assert fake.calls == 3


async def test_a_spend_limit_keeps_every_process_from_calling_with_that_key(make: Make) -> None:
    with FakeMessages() as fake:
        fake.queue(Fault.of(429, "enforced_spend_limit_reached"))
        for _ in range(3):
            with pytest.raises(SpendLimitReached) as caught:
                await make(fake).reply(REQUEST)
            assert caught.value.resets_in is not None
            assert timedelta(0) < caught.value.resets_in <= timedelta(days=31)
        assert fake.calls == 1
        await make(fake, key="sk-ant-another").reply(REQUEST)
        assert fake.calls == 2


async def test_a_rate_limit_of_an_hour_keeps_every_process_from_calling_meanwhile(make: Make) -> None:
    with FakeMessages() as fake:
        fake.queue(Fault.of(429, retry_after="3600"))
        for _ in range(2):
            with pytest.raises(ModelUnavailable) as caught:
                await make(fake).reply(REQUEST)
            assert caught.value.retry_after is not None
            assert caught.value.retry_after > timedelta(minutes=59)
        assert fake.calls == 1


async def test_without_a_store_a_model_is_not_limited() -> None:
    assert isinstance(make_model(MODEL, ModelSettings()), ClaudeModel)
    assert "TROUPE_REDIS_URL" not in os.environ


async def test_workers_of_a_fleet_share_the_limits_of_tools(store: Store) -> None:
    gates = [Answering(ModelSettings(model="offline"), store).controls.gate for _ in range(2)]
    assert all(isinstance(gate, StoreGate) for gate in gates)
    assert [await gate.admit(quote) is None for gate in (*gates, *gates)] == [True, True, False, False]
    assert [await gate.admit(look) for gate in gates] == [None, None], "one without a limit asks nobody"


async def test_a_tool_whose_limit_cannot_be_known_is_not_admitted(store: Store) -> None:
    class Away(LimitStore):
        async def admit(self, tool: str, most: int) -> timedelta | None:
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        await StoreGate(Away(store)).admit(quote)
