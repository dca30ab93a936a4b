"""Two releases in one fleet: what an earlier one stored and sent is read and brought to its end; what this one writes
when nobody uses what is new, an earlier one can read; and workers of an earlier one work for this one's orchestrators.

`pinned/` has a folder for each release, written by `pin.py`. Those of releases that are out are never changed.
"""

import json
from collections.abc import Mapping
from hashlib import sha1
from pathlib import Path
from typing import Any, Protocol, cast

import jsonschema
import pytest

from orchestrator.report import report
from tasks.errors import IdempotencyConflict
from tasks.ids import AttemptRef, JobId, StepId
from tasks.messages import StepMessage
from tasks.models import StepResult
from tasks.states import FINAL_JOB, StepStatus, TaskStatus
from tasks.store.outbox import Notice
from tasks.store.scripts import Script
from tests.contract.pin import (
    LARGE,
    MUCH,
    PINNED,
    PREFIX,
    WORKERS,
    dump,
    message,
    monday,
    now_ms,
    populate,
    running_ref,
)
from tests.support.builders import COST, DIAMOND, PARTITION, RESULT, a_plan, a_planning_step
from tests.support.deciding import Deciding
from tests.support.moves import NO_WAIT, Moves

RELEASES = sorted(folder.name for folder in PINNED.iterdir())
SHIFTED = ("deadline", "expires")
FOR_MS = 60_000
RESULTS = {"r": "StepResult", "f": "Failure", "a": "Attempt"}
TIMES, A_TIME = ("started_at", "finished_at"), "2026-11-21T05:00:00Z"
"""Scripts write them as numbers, which every release reads; its schema names the other form."""


class Validator(Protocol):
    """What is used of a validator of jsonschema."""

    def validate(self, instance: object) -> None: ...


def pinned(release: str, name: str) -> Any:
    return json.loads((PINNED / release / name).read_text(encoding="utf-8"))


def validators(release: str) -> dict[str, Validator]:
    kind = cast(Any, jsonschema).Draft202012Validator
    return {name: cast(Validator, kind(schema)) for name, schema in pinned(release, "schemas.json").items()}


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def fleet(release: str, moves: Moves) -> dict[str, JobId]:
    """What a fleet of that release has left in Redis, as if it had done so just now; ids of its jobs."""
    content = pinned(release, "fleet.json")
    later = await now_ms(moves) - int(content["now"])
    stored = json.loads(json.dumps(content["stored"]).replace(f"{PREFIX}:", f"{moves.store.settings.prefix}:"))
    await moves.redis.delete(*[key async for key in moves.redis.scan_iter(match=f"{moves.store.settings.prefix}:*")])
    for key, value in stored.items():
        await restore(moves, key, value, later)
    await moves.outbox.open(PARTITION)
    return content["jobs"]


async def restore(moves: Moves, key: str, value: Any, later: int) -> None:
    redis = moves.redis
    match value:
        case {"entries": entries}:
            for entry, fields in entries:
                await redis.xadd(key, fields, id=entry)
        case {"scores": scores}:
            shift = 0 if key.endswith(":line") else later
            await redis.zadd(key, {member: score + shift for member, score in scores.items()})
        case dict():
            fields = cast("dict[str, str]", value)
            shifted = {name: str(int(fields[name]) + later) for name in SHIFTED if name in fields}
            await redis.hset(key, mapping={**fields, **shifted})
        case list():
            await (redis.sadd if key.endswith(":waits") else redis.rpush)(key, *value)
        case _:
            await redis.set(key, value)
    if f"{{{PARTITION}}}:job:j" in key or ":idem:" in key:
        await redis.pexpire(key, FOR_MS)


async def test_every_job_of_an_earlier_release_is_read(fleet: Mapping[str, JobId], moves: Moves) -> None:
    reports = {name: report(await moves.snapshots.job(job)) for name, job in fleet.items()}
    assert {name: one.status for name, one in reports.items() if one.status in FINAL_JOB} == {
        "completed": TaskStatus.COMPLETED,
        "failed": TaskStatus.FAILED,
        "cancelled": TaskStatus.CANCELLED,
    }
    assert reports["large"].task == MUCH
    assert [one.result.text for one in reports["completed"].steps if one.result] == [LARGE, "So it is."]
    steps = {one.id: one.status for one in reports["running"].steps}
    assert (steps["a"], steps["b"], steps["c"]) == (StepStatus.SUCCEEDED, StepStatus.RUNNING, StepStatus.DELAYED)
    assert {one.job_id for one in await moves.snapshots.jobs(100)} == set(fleet.values())
    assert [one.name for one in await moves.fleet.workers()] == ["w1"]
    assert [one.name for one in await moves.fleet.orchestrators()] == ["o1"]


async def test_its_events_are_read_without_a_gap(fleet: Mapping[str, JobId], moves: Moves) -> None:
    told = {name: await moves.told(job) for name, job in fleet.items()}
    for events in told.values():
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {"step_progress", "tool_called", "step_faltered"} <= {event.type for event in told["running"]}


async def test_its_running_step_is_settled_and_its_message_claimed(
    release: str, fleet: dict[str, JobId], moves: Moves
) -> None:
    assert await moves.attempts.heartbeat(PARTITION, [running_ref(fleet)]) == {}
    assert await moves.attempts.succeed(running_ref(fleet), RESULT, COST) is None
    ref = StepMessage.model_validate(pinned(release, "message.json")).ref
    assert ref == AttemptRef(fleet["waiting"], StepId("one"), 1)
    assert await moves.claim(ref) is not None


async def test_its_jobs_are_brought_to_their_end(fleet: Mapping[str, JobId], moves: Moves) -> None:
    deciding = Deciding(moves)
    assert await moves.attempts.succeed(AttemptRef(fleet["running"], StepId("b"), 1), RESULT, COST) is None
    done, played = set[AttemptRef](), 0
    ready = AttemptRef(fleet["waiting"], StepId("one"), 1)
    while played < 10:
        played += 1
        await deciding.turn()
        await moves.redis.zadd(moves.store.keys.timers(PARTITION), {f"{fleet['running']}:c": 1}, xx=True)
        await moves.jobs.sweep(PARTITION)
        for ref in [*([ready] if played == 1 else []), *(one.message.ref for one in deciding.publisher.sent)]:
            if ref not in done and await moves.claim(ref) is not None:
                done.add(ref)
                plan: Any = a_plan(DIAMOND, agent="worker").model_dump(mode="json")
                result = StepResult(text="plan", data=plan) if ref.step == "plan" else RESULT
                assert await moves.attempts.succeed(ref, result, COST) is None
    ends = {name: await moves.field(job, "status") for name, job in fleet.items()}
    assert ends == {**dict.fromkeys(fleet, "completed"), "failed": "failed", "cancelled": "cancelled"}


async def test_its_idempotency_key_stands_for_the_same_request(fleet: Mapping[str, JobId], moves: Moves) -> None:
    """The fingerprint does not change with a release: a new field counts only when it is used."""
    assert await moves.jobs.submit(monday(), a_planning_step()) == fleet["submitted"]
    with pytest.raises(IdempotencyConflict):
        await moves.jobs.submit(monday("Find out on Tuesday."), a_planning_step())


async def test_its_dead_step_is_retried_by_hand(fleet: Mapping[str, JobId], moves: Moves) -> None:
    await moves.reopen(fleet["failed"], "one")
    assert await moves.status(fleet["failed"], "one") is StepStatus.READY


async def test_what_this_release_writes_an_earlier_one_can_read(release: str, moves: Moves) -> None:
    valid, jobs = validators(release), await populate(moves)
    stored = await dump(moves)
    key = f"{PREFIX}:{{0}}:job:"
    for job in jobs.values():
        facts = stored[f"{key}{job}"]
        if not facts["spec"].startswith("@"):
            valid["JobSpec"].validate(json.loads(facts["spec"]))
        if "plan" in facts:
            valid["Plan"].validate(json.loads(facts["plan"]))
        if facts.get("failure"):
            valid["Failure"].validate(json.loads(facts["failure"]))
        for text in stored[f"{key}{job}:specs"].values():
            if text:
                valid["Step"].validate(json.loads(text))
        for name, text in stored.get(f"{key}{job}:results", {}).items():
            if not text.startswith("@"):
                kind, content = RESULTS[name[0]], json.loads(text)
                valid[kind].validate(content if kind != "Attempt" else content | dict.fromkeys(TIMES, A_TIME))
    for event in [one for job in jobs.values() for one in await moves.told(job)]:
        valid["event"].validate(json.loads(event.model_dump_json(exclude_unset=True)))
    for text in stored[f"{PREFIX}:{{fleet}}:workers"].values():
        valid["WorkerPresence"].validate(json.loads(text))
    for text in stored[f"{PREFIX}:{{fleet}}:orchestrators"].values():
        valid["OrchestratorPresence"].validate(json.loads(text))
    valid["StepMessage"].validate(message(jobs["waiting"]))


async def test_no_field_of_a_record_has_gone_since(release: str, moves: Moves) -> None:
    """The scripts of the earlier release look for it."""
    before, jobs = pinned(release, "fleet.json"), await populate(moves)
    stored = await dump(moves)
    for name, old in before["jobs"].items():
        for part in ("", ":steps", ":specs", ":results"):
            was = before["stored"].get(f"{PREFIX}:{{0}}:job:{old}{part}", {})
            now = stored.get(f"{PREFIX}:{{0}}:job:{jobs[name]}{part}", {})
            assert set(was) <= set(now), (name, part)
    entries = stored[f"{PREFIX}:{{0}}:control"]["entries"]
    earlier = {fields["kind"] for _, fields in before["stored"][f"{PREFIX}:{{0}}:control"]["entries"]}
    assert {fields["kind"] for _, fields in entries} <= earlier | set(Notice)
    assert all(set(fields) == {"kind", "job", "step", "attempt", "data"} for _, fields in entries)


async def test_a_worker_of_an_earlier_release_works_for_this_one(
    release: str, moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scripts come with it, and work on the same records as this release's."""
    for name in ("claim", "heartbeat", "report", "settle"):
        monkeypatch.setattr(f"tasks.store.attempts.{name.upper()}", pinned_script(release, name))
    deciding = Deciding(moves)
    job = await deciding.submitted((monday()).model_copy(update={"plan": a_plan(DIAMOND)}))
    done: list[str] = []
    while len(done) < len(deciding.publisher.sent):
        ref = deciding.publisher.sent[len(done)].message.ref
        assert await moves.claim(ref) is not None
        assert await moves.attempts.heartbeat(PARTITION, [ref]) == {}
        assert await moves.attempts.report(ref, [("step_progress", '{"message":"looking"}')])
        if ref.step == "b" and ref.attempt == 1:
            await moves.attempts.hand_back(ref, "stopping", COST)
        else:
            assert await moves.attempts.succeed(ref, RESULT, COST) is None
        done.append(f"{ref.step}:{ref.attempt}")
        await deciding.turn()
        await moves.jobs.sweep(PARTITION)
        await deciding.turn()
    assert sorted(done) == ["a:1", "b:1", "b:2", "c:1", "d:1", "synthesis:1"]
    record = await moves.snapshots.job(job)
    assert record.status is TaskStatus.COMPLETED
    kinds = await moves.kinds(job)
    assert (kinds.count("step_succeeded"), kinds.count("step_faltered"), kinds[-1]) == (5, 1, "job_finished")
    assert await moves.outbox.read(PARTITION, count=10, block=NO_WAIT) == []


def pinned_script(release: str, name: str) -> Script:
    """A script as workers of that release send it."""
    folder: Path = PINNED / release / "lua"
    script = Script(name)
    flags = script.text.partition("\n")[0]
    script.text = flags + "\n" + "".join((folder / f"{part}.lua").read_text() for part in (*WORKERS[:3], name))
    script.digest = sha1(script.text.encode(), usedforsecurity=False).hexdigest()
    return script
