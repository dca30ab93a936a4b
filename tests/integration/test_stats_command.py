"""`troupe tools` and `troupe stats` on the command line."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from orchestrator import AsyncTroupe
from orchestrator.cli import call
from tasks.errors import ContractError
from tasks.ids import WorkerName
from tasks.presence import MetricsPresence
from tasks.settings import StoreSettings
from tasks.store import ToolStats
from tasks.tool_counts import UNKNOWN, ToolCounts
from tasks.tool_figures import ToolDefinition, ToolPresence
from tests.support.moves import Moves

LOOK = ToolDefinition(
    name="look",
    description="Looks a word up. And more.",
    agents=("search", "summary"),
    timeout_s=30,
    rate_limit=60,
    requires_approval=True,
)


@pytest.fixture
def command(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command: exit code, stdout, stderr."""
    monkeypatch.setenv("TROUPE_REDIS_URL", store_settings.redis_url.get_secret_value())
    monkeypatch.setenv("TROUPE_PREFIX", store_settings.prefix)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(call, words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
async def counted(moves: Moves) -> None:
    """Three calls of one tool by two agents, one of them in vain, and one of a tool that does not exist."""
    await moves.fleet.announce(ToolPresence(name=WorkerName("w1"), tools=(LOOK,)))
    search, summary, unknown = ToolCounts(), ToolCounts(), ToolCounts()
    search.note(20.0, code=None, success=True)
    search.note(40.0, code="timeout", success=False)
    summary.note(12_000.0, code=None, success=True)
    unknown.note(None, code="unknown_tool", success=False)
    pairs = {("search", "look"): search, ("summary", "look"): summary, ("search", UNKNOWN): unknown}
    await ToolStats(moves.store).add("w1", 1, pairs)


@pytest.mark.usefixtures("counted")
async def test_tools_are_listed_with_limits_and_the_figures_of_their_agents_together(command: Any) -> None:
    code, text, _ = await command("tools")
    assert code == 0
    row = next(line for line in text.splitlines() if line.strip().startswith("look"))
    for part in ("search, summary", "30 s, 60 a minute, asks first", "66.7%", "timeout 1", "Looks a word up"):
        assert part in row
    listed = json.loads((await command("tools", "--json"))[1])
    assert [(one["name"], one["figures"]["calls"]) for one in listed] == [("look", 3)]


@pytest.mark.usefixtures("counted")
async def test_statistics_are_by_tool_and_agent_and_in_total(command: Any) -> None:
    found = json.loads((await command("stats", "--json", "--since", "1h"))[1])
    calls = {(one["tool"], one["agent"]): one["calls"] for one in found["tools"]}
    assert calls == {(UNKNOWN, "search"): 1, ("look", "search"): 2, ("look", "summary"): 1}
    assert found["totals"]["errors"] == {"timeout": 1, "unknown_tool": 1}
    text = (await command("stats"))[1]
    assert "12.0 s" in text
    total = next(line for line in text.splitlines() if line.strip().startswith("total"))
    assert "50.0%" in total


async def test_without_living_workers_the_command_says_how_to_start_some(command: Any) -> None:
    code, text, said = await command("tools")
    assert (code, text) == (0, "")
    assert "troupe worker" in said
    assert json.loads((await command("tools", "--json"))[1]) == []


async def test_statistics_are_also_of_jobs_agents_models_and_tenants(command: Any, moves: Moves) -> None:
    job = await moves.planned({"a": [], "b": ["a"]}, tenant="acme")
    await moves.succeed(job, "a")
    await moves.fail(job, "b")
    found = json.loads((await command("stats", "--json", "--since", "1h"))[1])
    assert (found["jobs"]["submitted"], found["steps"]["succeeded"], found["steps"]["failed"]) == (1, 1, 1)
    assert found["attempts"]["failed"] == 1
    assert {one["agent"]: one["duration"]["count"] for one in found["agents"]}["worker"] == 2
    assert [(one["tenant"], one["jobs"]["submitted"]) for one in found["tenants"]] == [("acme", 1)]
    text = (await command("stats"))[1]
    rows = [line.split() for line in text.splitlines() if line.strip()]
    assert ["steps", "1", "1", "0", "0", "50.0%"] in [row[:6] for row in rows]


async def test_the_wanted_number_of_workers_is_printed_for_every_queue(command: Any, moves: Moves) -> None:
    job = await moves.planned({name: [] for name in "abc"})
    await moves.running(job, "a")
    await moves.dispatched(job, "b")
    code, text, _ = await command("scale", "--json", "--slots", "1")
    (found,) = json.loads(text)
    assert code == 0
    assert (found["queue"], found["ready"], found["dispatched"], found["running"]) == ("worker", 1, 1, 1)
    assert (found["wanted"], found["workers"], found["slots"]) == (3, 0, 1)
    assert "each of these needs a slot" in (await command("scale", "--slots", "1"))[1]
    assert json.loads((await command("scale", "--json", "--slots", "1", "--max", "2"))[1])[0]["wanted"] == 2


async def test_a_queue_limit_bounds_what_is_wanted(command: Any, moves: Moves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_QUEUE_LIMITS", "worker=1")
    await moves.planned({name: [] for name in "abc"})
    assert json.loads((await command("scale", "--json", "--slots", "1"))[1])[0]["wanted"] == 1


async def test_a_fleet_without_anything_wants_nothing(command: Any) -> None:
    assert await command("scale") == (0, "", "no steps and no living workers\n")
    assert json.loads((await command("scale", "--json"))[1]) == []
    assert (await command("scale", "--min", "3", "--max", "2"))[0] == 2


async def test_processes_that_serve_figures_are_listed_as_prometheus_wants_them(command: Any, moves: Moves) -> None:
    code, text, said = await command("metrics")
    assert (code, text) == (0, "")
    assert "TROUPE_METRICS_PORT" in said
    served = MetricsPresence(name=WorkerName("w1"), role="worker", host="box", address="box:9464")
    await moves.fleet.announce(served)
    assert "http://box:9464/metrics" in (await command("metrics"))[1]
    (target,) = json.loads((await command("metrics", "--json"))[1])
    assert target == {"targets": ["box:9464"], "labels": {"role": "worker", "process": "w1"}}
    await moves.fleet.leave(served)
    assert json.loads((await command("metrics", "--json"))[1]) == []


async def test_without_calls_there_are_no_figures(command: Any) -> None:
    found = json.loads((await command("stats", "--json"))[1])
    assert (found["tools"], found["totals"]["calls"], found["totals"]["p95_ms"]) == ([], 0, None)


@pytest.mark.parametrize(("since", "said"), [("soon", "is no age"), ("8d", "at most 7 days")])
async def test_a_time_that_cannot_be_is_a_usage_error(command: Any, since: str, said: str) -> None:
    code, _, complaint = await command("stats", "--since", since)
    assert code == 2
    assert said in complaint


@pytest.mark.usefixtures("counted")
async def test_the_library_takes_seconds_and_timedeltas(store_settings: StoreSettings) -> None:
    async with AsyncTroupe(settings=store_settings) as troupe:
        assert (await troupe.stats(3600)).totals.calls == (await troupe.stats(timedelta(days=7))).totals.calls == 4
        assert [one.name for one in await troupe.tools()] == ["look"]
        with pytest.raises(ContractError, match="no length of time"):
            await troupe.stats(float("nan"))
