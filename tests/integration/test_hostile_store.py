"""Entries that no release writes, of somebody who may write to the store: refused, and nothing else stops."""

from typing import Any

import pytest

from tasks.errors import DamagedRecord, IncompatibleVersion, UnknownJob
from tasks.ids import JobId, StepId
from tasks.store import Outbox
from tasks.store.board import BoardStore
from tasks.store.ended import EndedJobs
from tests.support.builders import PARTITION
from tests.support.moves import NO_WAIT, Moves

JOB = "j" + "0" * 19
GARBAGE: list[dict[str, str]] = [
    {"x": "y"},
    {"kind": "step_ready"},
    {"kind": "step_ready", "job": JOB},
    {"kind": "step_ready", "job": JOB, "step": "a", "attempt": "many", "data": ""},
    {"kind": "step_ready", "job": JOB, "step": "a", "attempt": "9" * 5000, "data": ""},
    {"kind": "step_ready", "job": JOB, "step": "../../a b", "attempt": "1", "data": ""},
    {"kind": "step_ready", "job": "../" + JOB, "step": "a", "attempt": "1", "data": ""},
    {"kind": "step_ready", "job": "j" + "0" * 18 + "!", "step": "a", "attempt": "1", "data": ""},
    {"kind": "step_ready", "job": "", "step": "", "attempt": "", "data": ""},
    {"kind": "", "job": JOB, "step": "a", "attempt": "1"},
    {"kind": "x" * 100_000, "step": "a"},
    {"kind": "plan_proposed", "job": JOB * 1000, "step": "", "attempt": "", "data": "[" * 100_000},
]


@pytest.mark.parametrize("hostile", GARBAGE, ids=range(len(GARBAGE)))
async def test_an_entry_of_nobody_is_dropped_and_those_behind_it_are_read(
    moves: Moves, hostile: dict[str, str]
) -> None:
    control = moves.store.keys.control(PARTITION)
    await moves.redis.xadd(control, hostile)
    job = await moves.submitted()
    entries = await moves.outbox.read(PARTITION, count=10, block=NO_WAIT)
    assert [(entry.ref.job, entry.ref.step) for entry in entries] == [(job, "plan")]
    await moves.outbox.done(PARTITION, entries)
    left = await moves.redis.xrange(control)
    assert left == [] or [fields for _, fields in left] == [hostile]
    assert (left != []) is (set(hostile) >= {"kind", "job"} and hostile["kind"] == "")


async def test_what_a_dead_reader_left_unreadable_is_dropped_too(moves: Moves, monkeypatch: pytest.MonkeyPatch) -> None:
    control = moves.store.keys.control(PARTITION)
    await moves.redis.xadd(control, {"x": "y"})
    await moves.redis.xreadgroup("orchestrators", "dead", {control: ">"})
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    assert await Outbox(moves.store, "other").take_over(PARTITION, count=10) == []
    assert await moves.redis.xlen(control) == 0


async def test_ends_of_nothing_do_not_hold_up_real_ones(moves: Moves) -> None:
    ended = EndedJobs(moves.store, "group", "reader")
    await ended.open(PARTITION)
    finished = moves.store.keys.finished(PARTITION)
    for fields in ({"x": "y"}, {"job": "x" * 100_000}, {"job": JOB}):
        await moves.redis.xadd(finished, fields)
    assert [end.job for end in await ended.read(PARTITION, count=10)] == [JOB]
    pending: Any = await moves.redis.xpending(finished, "group")
    assert pending["pending"] == 1


PRESENCES = [
    "no JSON",
    "[" * 100_000,
    "{}",
    '{"name": 7}',
    '{"name": "w", "pid": 1, "host": "h", "queues": ["../x"], "agents": [], "concurrency": 1, "model": "m"}',
    '{"name": "w", "__class__": "os.system", "args": ["id"]}',
]


@pytest.mark.parametrize("text", PRESENCES, ids=range(len(PRESENCES)))
async def test_a_process_that_announces_nonsense_is_not_seen(moves: Moves, text: str) -> None:
    for role in ("workers", "orchestrators", "tools", "metrics"):
        names, until = moves.store.keys.fleet(role)
        await moves.redis.hset(names, "liar", text)
        await moves.redis.zadd(until, {"liar": 9e12})
    assert await moves.fleet.workers() == []
    assert await moves.fleet.orchestrators() == []
    assert await moves.fleet.tools() == []
    assert await moves.fleet.metrics() == []
    assert await moves.fleet.agents() == []


async def test_agents_of_absurd_versions_are_listed_all_the_same(moves: Moves) -> None:
    names, until = moves.store.keys.fleet("workers")
    for at, version in enumerate(("9" * 5000, "1.2", "x" * 4000)):
        agent = f'{{"name": "a", "description": "d", "capabilities": [], "queue": "a", "version": "{version}"}}'
        word = (
            f'{{"name": "w{at}", "pid": 1, "host": "h", "queues": ["a"], "agents": [{agent}], "concurrency": 1, '
            '"model": "m", "version": "1"}'
        )
        await moves.redis.hset(names, f"w{at}", word)
        await moves.redis.zadd(until, {f"w{at}": 9e12})
    assert len(await moves.fleet.agents()) <= 1


BOARD = [
    {"x": "y"},
    {"at": "now", "step": "a", "agent": "a", "attempt": "1", "to": "", "content": "{}"},
    {"at": "1", "step": "a", "agent": "a", "attempt": "1", "to": "", "content": "[" * 100_000},
    {"at": "9" * 30, "step": "a", "agent": "a", "attempt": "1", "to": "", "content": "1"},
    {"at": "1", "step": "a", "agent": "a", "attempt": "9" * 5000, "to": "", "content": "1"},
]


@pytest.mark.parametrize("hostile", BOARD, ids=range(len(BOARD)))
async def test_a_message_of_nobody_on_a_board_is_damage_and_no_more(moves: Moves, hostile: dict[str, str]) -> None:
    job, other = await moves.planned({"a": []}), await moves.planned({"a": []})
    await moves.redis.xadd(moves.store.keys.board(job), hostile, id="1-0")
    await moves.redis.expire(moves.store.keys.board(job), 60)
    board = BoardStore(moves.store)
    with pytest.raises(DamagedRecord):
        await board.board(job)
    assert (await board.board(other)).messages == ()


@pytest.mark.parametrize("text", ["[" * 100_000, "\x00", "{}", "~" + "x" * 1000, '{"__reduce__": 1}', "9" * 5000])
async def test_a_journal_of_somebody_else_is_read_as_text_or_not_at_all(moves: Moves, text: str) -> None:
    job = await moves.planned({"a": []})
    key = f"{moves.store.keys.job(job)}:journal"
    await moves.accounts.seed(JobId(JOB), StepId("a"), [])
    await moves.redis.hset(key, "a 1", text)
    await moves.redis.hset(key, "#a", "1")
    await moves.redis.expire(key, 60)
    try:
        found = await moves.accounts.recall(job, StepId("a"))
    except DamagedRecord:
        return
    assert all(isinstance(one.text, str) for one in found)


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", '{"kind": "job_finished"}', '{"seq": 1e400}', "9" * 5000])
async def test_an_event_of_nobody_is_damage_and_no_more(moves: Moves, text: str) -> None:
    job, other = await moves.submitted(), await moves.submitted()
    stream = moves.store.keys.events(job)
    await moves.redis.xadd(stream, {"type": "job_finished", "step": "", "attempt": "", "at": "1", "data": text})
    with pytest.raises(DamagedRecord):
        await moves.told(job)
    assert [event.type for event in await moves.told(other)] == ["job_submitted"]


@pytest.mark.parametrize("field", ["spec", "status", "created", "seq"])
@pytest.mark.parametrize("text", ["", "[" * 100_000, "\x00\x01", '{"id": "' + JOB + '"}', "9" * 5000])
async def test_a_job_that_was_overwritten_is_refused_and_others_are_listed(moves: Moves, field: str, text: str) -> None:
    job, fine = await moves.submitted(), await moves.submitted()
    await moves.redis.hset(moves.store.keys.job(job), field, text)
    if (field, text) != ("created", ""):
        with pytest.raises((DamagedRecord, IncompatibleVersion, UnknownJob)):
            await moves.snapshots.job(job)
    assert fine in {one.job_id for one in await moves.snapshots.jobs(10)}
