"""What is known of a fleet, whichever door somebody comes by to ask."""

from datetime import timedelta

import pytest

from orchestrator import AsyncTroupe, Troupe
from orchestrator.scaling import ScaleBounds
from tasks.errors import ContractError
from tasks.ids import SYNTHESIS_STEP, WorkerName
from tasks.presence import MetricsPresence, OrchestratorPresence
from tasks.states import TaskStatus
from tasks.store import Pruned, ToolStats
from tasks.tool_counts import ToolCounts
from tasks.tool_figures import ToolDefinition, ToolPresence
from tests.doors.conftest import ask, planned
from tests.support.builders import OUT_OF_LUCK, a_graph, a_worker
from tests.support.moves import Moves

LOOK = ToolDefinition(name="look", description="Looks a word up.", agents=("search",), timeout_s=30)


async def test_nobody_is_there_at_first(troupe: AsyncTroupe) -> None:
    assert (await troupe.workers(), await troupe.orchestrators(), await troupe.agents()) == ([], [], [])
    assert (await troupe.tools(), await troupe.scale(), await troupe.metrics()) == ([], [], [])
    assert (await troupe.jobs(), await troupe.sessions()) == ([], [])


async def test_who_lives_is_told(troupe: AsyncTroupe, moves: Moves) -> None:
    worker = a_worker("w1", ["search", "sql"])
    leader = OrchestratorPresence(name=WorkerName("o1"), pid=7, host="test", partitions=1, version="0")
    serves = MetricsPresence(name=WorkerName("o1"), role="orchestrator", host="test", address="127.0.0.1:9464")
    for one in (worker, leader, serves):
        await moves.fleet.announce(one)
    assert await troupe.workers() == [worker]
    assert await troupe.orchestrators() == [leader]
    assert await troupe.metrics() == [serves]
    assert [one.name for one in await troupe.agents()] == ["search", "sql"]


async def test_tools_are_told_with_how_their_calls_went(troupe: AsyncTroupe, moves: Moves) -> None:
    await moves.fleet.announce(ToolPresence(name=WorkerName("w1"), tools=(LOOK,)))
    counts = ToolCounts()
    counts.note(20.0, code=None, success=True)
    counts.note(40.0, code="timeout", success=False)
    await ToolStats(moves.store).add("w1", 1, {("search", "look"): counts})
    (found,) = await troupe.tools(timedelta(hours=1))
    assert (found.name, found.figures.calls, found.figures.errors) == ("look", 2, {"timeout": 1})
    assert (await troupe.stats(3600)).totals.calls == 2


async def test_statistics_are_of_the_time_that_was_asked_for(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await planned(troupe, moves)
    await moves.succeed(job.id, "one")
    await moves.succeed(job.id, SYNTHESIS_STEP)
    found = await troupe.stats()
    assert found.jobs.submitted == 1
    assert found.jobs.completed == 1
    for since in (0, -1, 8 * 86_400):
        with pytest.raises(ContractError, match="since"):
            await troupe.stats(since)
        with pytest.raises(ContractError, match="since"):
            await troupe.tools(since)


async def test_workers_are_wanted_where_work_waits(troupe: AsyncTroupe, moves: Moves) -> None:
    await planned(troupe, moves)
    await moves.fleet.announce(a_worker("w1", ["worker"]))
    (found,) = [one for one in await troupe.scale(ScaleBounds(least=2, most=5, slots=1)) if one.queue == "worker"]
    assert 2 <= found.wanted <= 5
    assert found.workers == 1


async def test_a_queue_is_bounded_as_was_said(troupe: AsyncTroupe) -> None:
    with pytest.raises(ContractError):
        await troupe.scale(ScaleBounds(least=9, most=2))


async def test_jobs_that_have_ended_are_forgotten(troupe: AsyncTroupe, moves: Moves) -> None:
    ended, failed, still = [await troupe.submit(f"Number {at}.") for at in range(3)]
    await ended.cancel()
    await moves.jobs.end_job(failed.id, TaskStatus.FAILED, OUT_OF_LUCK)
    told: list[Pruned] = []
    assert await troupe.prune(timedelta(days=1)) == 0
    assert await troupe.prune(0, dry_run=True) == 2
    assert await troupe.prune(0, [TaskStatus.FAILED], progress=told.append) == 1
    assert told[-1].forgotten == 1
    assert await troupe.prune(0) == 1
    assert [one.job_id for one in await troupe.jobs()] == [still.id]
    with pytest.raises(ContractError):
        await troupe.prune(-1)
    with pytest.raises(ContractError):
        await troupe.prune(0, [TaskStatus.PENDING])


async def test_more_jobs_than_a_page_holds_are_listed(troupe: AsyncTroupe, moves: Moves) -> None:
    for _ in range(12):
        await moves.submitted()
    found = await troupe.jobs(1_500)
    assert len({one.job_id for one in found}) == len(found) == 12
    assert await troupe.jobs(5) == found[:5]


async def test_sessions_are_listed_newest_first(troupe: AsyncTroupe) -> None:
    for name in ("a", "b", "c"):
        await troupe.session(name).append("user", "Hello.")
    assert {one.session_id for one in await troupe.sessions()} == {"a.0", "b.0", "c.0"}
    assert len(await troupe.sessions(2)) == 2


async def test_none_of_a_list_is_none_of_it(troupe: AsyncTroupe, moves: Moves) -> None:
    await troupe.session("talk").send("Find out.")
    job = await planned(troupe, moves)
    await ask(moves, job.id, {"agent": "curious", "question": "Which year?"})
    assert (await troupe.jobs(0), await troupe.sessions(0)) == ([], [])
    assert (await troupe.people.list(0), await troupe.dead.list(0)) == ([], [])


def test_ordinary_code_finds_the_same(blocking: Troupe) -> None:
    job = blocking.submit("Find out.", idempotency_key="k")
    assert blocking.submit("Find out.", idempotency_key="k").id == job.id
    assert [one.job_id for one in blocking.jobs()] == [job.id]
    talk = blocking.session("talk")
    assert talk.append("user", "Hello.") == 1
    assert [one.text for one in talk.messages()] == ["Hello."]
    assert talk.save(talk.state()).version == talk.state().version
    assert talk.delete()
    assert job.cancel() is TaskStatus.CANCELLED
    kinds = [event.type for event in job.events()]
    assert (kinds[0], kinds[-1]) == ("job_submitted", "job_finished")
    assert job.wait(10).status is TaskStatus.CANCELLED
    assert (blocking.workers(), blocking.people.list(), blocking.dead.list()) == ([], [], [])
    assert blocking.prune(0) == 1


async def test_ordinary_code_decides(blocking: Troupe, moves: Moves) -> None:
    job = blocking.submit("Find out.")
    assert await moves.extend(job.id, a_graph({"one": ()}))
    await ask(moves, job.id, {"agent": "curious", "question": "Which year?"})
    (one,) = blocking.people.list()
    assert blocking.people.answer(one.job_id, one.step, "2024").key == one.key
    assert blocking.people.list() == []
