"""Announcements: who is alive."""

from collections.abc import Callable

from tasks.ids import WorkerName
from tasks.presence import OrchestratorPresence
from tasks.tool_figures import ToolDefinition, ToolPresence
from tests.support.builders import a_worker
from tests.support.moves import Moves
from tests.support.waiting import wait_until


def an_orchestrator(name: str) -> OrchestratorPresence:
    return OrchestratorPresence(name=WorkerName(name), pid=1, host="test", partitions=4, version="0")


async def test_announced_processes_are_alive_by_name(moves: Moves) -> None:
    for name in ("w2", "w1"):
        await moves.fleet.announce(a_worker(name))
    await moves.fleet.announce(an_orchestrator("o1"))
    assert await moves.fleet.workers() == [a_worker("w1"), a_worker("w2")]
    assert await moves.fleet.orchestrators() == [an_orchestrator("o1")]


async def test_a_process_is_announced_once(moves: Moves) -> None:
    await moves.fleet.announce(a_worker("w1"))
    await moves.fleet.announce(a_worker("w1", ["other"]))
    assert [worker.queues for worker in await moves.fleet.workers()] == [("other",)]


async def test_a_process_that_leaves_is_gone_at_once(moves: Moves) -> None:
    await moves.fleet.announce(a_worker("w1"))
    await moves.fleet.leave(a_worker("w1"))
    assert await moves.fleet.workers() == []


async def test_a_process_that_goes_silent_is_dropped(moves_with: Callable[..., Moves]) -> None:
    brief, moves = moves_with(presence_s=0.02, heartbeat_s=0.01), moves_with()
    await brief.fleet.announce(a_worker("silent"))

    async def gone() -> bool:
        return await moves.fleet.workers() == []

    await wait_until(gone, within=2)
    await moves.fleet.announce(a_worker("other"))
    assert await moves.redis.hkeys(moves.store.keys.fleet("workers")[0]) == ["other"]


async def test_agents_of_living_workers_are_known_in_their_highest_version(moves: Moves) -> None:
    await moves.fleet.announce(a_worker("w1", ["b", "a"], version="1"))
    await moves.fleet.announce(a_worker("w2", ["b"], version="2"))
    assert [(agent.name, agent.version) for agent in await moves.fleet.agents()] == [("a", "1"), ("b", "2")]


async def test_an_announcement_of_another_release_is_left_out(moves: Moves) -> None:
    await moves.fleet.announce(a_worker("w1"))
    await moves.redis.hset(moves.store.keys.fleet("workers")[0], "w1", '{"shape":"new"}')
    await moves.fleet.announce(a_worker("w2"))
    assert [worker.name for worker in await moves.fleet.workers()] == ["w2"]


def the_tools(name: str, *tools: ToolDefinition) -> ToolPresence:
    return ToolPresence(name=WorkerName(name), tools=tools)


async def test_tools_of_living_workers_are_listed_once_with_all_their_agents(moves: Moves) -> None:
    one = ToolDefinition(name="look", description="Looks.", agents=("b",), timeout_s=30)
    await moves.fleet.announce(the_tools("w1", one, one.model_copy(update={"name": "ask"})))
    await moves.fleet.announce(the_tools("w2", one.model_copy(update={"agents": ("a",)})))
    await moves.fleet.announce(the_tools("w3", one.model_copy(update={"agents": ("c",), "timeout_s": 5.0})))
    found = [(tool.name, tool.agents, tool.timeout_s) for tool in await moves.fleet.tools()]
    assert found == [("ask", ("b",), 30), ("look", ("a", "b"), 30), ("look", ("c",), 5)]
    await moves.fleet.leave(the_tools("w3"))
    assert len(await moves.fleet.tools()) == 2
