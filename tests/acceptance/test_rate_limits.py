"""Limits that several processes keep together. `python -m benchmarks limiter` measures the same for minutes."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.limiter import CASES, callers, measure, tell
from orchestrator.local.redis_server import RedisServer
from workers.testing import FakeMessages, Fault

ROOT: Final = Path(__file__).parents[2]
PROCESSES: Final = 4
TOOL: Final = """
import asyncio, sys
from tasks.settings import StoreSettings
from tasks.store import Store
from tasks.store.limits import LimitStore
from workers import tool
from workers.tools.gate import StoreGate

@tool(rate_limit=20)
async def quote() -> str:
    "A price."
    return "1"

async def main():
    store = Store(StoreSettings())
    gate = StoreGate(LimitStore(store))
    answers = [await gate.admit(quote) for _ in range(15)]
    print(answers.count(None))
    await store.close()

asyncio.run(main())
"""


def spent(_body: dict[str, Any]) -> Fault:
    return Fault.of(429, "enforced_spend_limit_reached")


def test_a_fleet_that_offers_three_times_its_limit_is_hardly_refused_and_uses_what_it_may(
    redis_server: RedisServer,
) -> None:
    line = measure(redis_server.url, CASES[0], 8.0, limited=True, processes=PROCESSES)
    assert line["refused_share"] < 0.05, line
    assert line["used_share"] > 0.5, line
    beside = measure(redis_server.url, CASES[0], 12.0, limited=False, processes=PROCESSES)
    assert beside["refused_share"] > line["refused_share"], (line, beside)


def test_a_spend_limit_is_met_by_exactly_one_call_of_a_fleet(redis_server: RedisServer) -> None:
    with FakeMessages(spent) as fake:
        environment = {
            "TROUPE_REDIS_URL": redis_server.url,
            "TROUPE_PREFIX": "spent",
            "TROUPE_MODEL": "claude-sonnet-5-5",
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "ANTHROPIC_BASE_URL": fake.url,
        }
        with callers(["20", "3"], PROCESSES, environment) as running:
            for process in running:
                tell(process)
        assert fake.calls == 1


def test_a_tool_runs_no_more_often_than_it_may_in_a_whole_fleet(redis_server: RedisServer) -> None:
    environment = {"TROUPE_REDIS_URL": redis_server.url, "TROUPE_PREFIX": "tools", "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", TOOL], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    admitted = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(admitted) == 20, admitted
