"""Ten calls with one prefix from several processes: the provider is paid for it once."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from orchestrator.local.redis_server import RedisServer
from workers.testing import FakeMessages, Fault, Say

LATENCY_S = 1.0
CALLS = (4, 3, 3)

PROCESS = """
import asyncio, json, sys, time
from tasks.errors import TroupeError
from tasks.settings import StoreSettings, read_settings
from tasks.store import Store
from tasks.store.prefixes import PrefixStore
from workers.llm.base import ModelRequest
from workers.llm.claude import ClaudeModel
from workers.llm.leading import LeadingModel
from workers.llm.settings import ModelSettings

MODEL = "claude-sonnet-5-5"

def request(number, system):
    messages = [{"role": "user", "content": f"Do part {number}."}]
    return ModelRequest(model=MODEL, agent="reader", system=system, messages=messages)

async def one(model, number, system):
    begun = time.monotonic()
    try:
        used = (await model.reply(request(number, system))).usage
    except TroupeError as error:
        return {"failed": error.code}
    return {"s": time.monotonic() - begun, "wrote": used.cache_write_tokens, "read": used.cache_read_tokens}

async def main(first, count):
    store = Store(read_settings(StoreSettings))
    models = {"naive": ClaudeModel(MODEL, ModelSettings())}
    models["led"] = LeadingModel(models["naive"], PrefixStore(store), ModelSettings())
    await models["naive"].reply(request(0, "Be brief."))  # the SDK is loaded, connections are open
    await store.ping()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        how, rule = line.split()
        calls = [one(models[how], first + at, f"Keep to {rule}. " * 1000) for at in range(count)]
        print(json.dumps(await asyncio.gather(*calls)), flush=True)
    await models["led"].close()
    await store.close()

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""


class Fleet:
    """Three processes that wait for a word, and the provider that they call."""

    def __init__(self, fake: FakeMessages, processes: list[subprocess.Popen[str]]) -> None:
        self.fake = fake
        self.processes = processes
        self.lines()

    def lines(self) -> list[str]:
        """What each says next."""
        return [process.stdout.readline() for process in self.processes if process.stdout is not None]

    def ask(self, how: str, rule: str, *queued: Say | Fault) -> list[dict[str, Any]]:
        """Ten calls at once, with a prefix of their own; what each of them met."""
        self.fake.queue(*queued)
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{how} {rule}\n")
            process.stdin.flush()
        return [call for line in self.lines() for call in json.loads(line)]


@pytest.fixture(scope="module")
def fleet(redis_server: RedisServer) -> Iterator[Fleet]:
    with ExitStack() as stack:
        fake = stack.enter_context(FakeMessages(lambda _: "It is so.", latency_s=LATENCY_S))
        settings = {
            "ANTHROPIC_BASE_URL": fake.url,
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "TROUPE_REDIS_URL": redis_server.url,
            "TROUPE_PREFIX": "leading",
        }
        started: list[subprocess.Popen[str]] = []
        for at, count in enumerate(CALLS):
            command = [sys.executable, "-c", PROCESS, str(sum(CALLS[:at])), str(count)]
            environment = {**os.environ, **settings}
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            started.append(process)
        yield Fleet(fake, started)


def paid(calls: list[dict[str, Any]]) -> tuple[int, int]:
    """How many wrote the prefix, and how many read it."""
    return sum(call.get("wrote", 0) > 0 for call in calls), sum(call.get("read", 0) > 0 for call in calls)


def test_one_of_ten_calls_writes_and_nine_read(fleet: Fleet) -> None:
    naive, led = fleet.ask("naive", "one"), fleet.ask("led", "two")
    assert paid(led) == (1, 9)
    assert paid(naive)[0] > 1
    assert fleet.fake.violations == []
    leader = next(call for call in led if call["wrote"])
    others = [call["s"] for call in led if call["read"]]
    # They wait for the leader's answer to begin, and then for their own: twice the time to the first token, and some.
    assert min(others) > leader["s"]
    assert statistics.median(others) < 10 * LATENCY_S


def test_a_prefix_that_is_warm_holds_nobody_up(fleet: Fleet) -> None:
    fleet.ask("led", "three")
    assert paid(fleet.ask("led", "three")) == (0, 10)


def test_when_the_leader_fails_one_other_leads(fleet: Fleet) -> None:
    led = fleet.ask("led", "four", Fault.of(529))
    assert sum("failed" in call for call in led) == 1
    assert paid(led) == (1, 8)
