"""Pins what this release stores and sends, for later ones to read: `python -m tests.contract.pin`.

It renews the folder of this release, until that is out; the folders of earlier releases are never changed.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from orchestrator.local.redis_server import RedisServer
from tasks.events import KNOWN
from tasks.ids import AttemptRef, JobId, StepId, WorkerName
from tasks.messages import Dispatch, StepMessage
from tasks.models import AgentDefinition, Attempt, Failure, JobSpec, Plan, Source, Step, StepResult
from tasks.presence import OrchestratorPresence, WorkerPresence
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tasks.store import NewStep, Store
from tasks.store import scripts as script_files
from tasks.usage import Usage
from tests.support.builders import BAD, COST, DIAMOND, a_graph, a_job, a_plan, a_planning_step, a_worker
from tests.support.moves import Moves

PINNED: Final = Path(__file__).parent / "pinned"
MODELS: Final[tuple[type[BaseModel], ...]] = (
    *(AgentDefinition, Attempt, Failure, JobSpec, OrchestratorPresence, Plan, Step, StepMessage, StepResult, Usage),
    WorkerPresence,
)
"""What is stored or sent as JSON, beside events."""
WORKERS: Final = ("prelude", "admission", "steps", "claim", "heartbeat", "report", "settle")
"""Scripts that workers bring along: in a fleet of two releases both sets work on the same records."""
MUCH: Final = "Find out much. " * 5_000
LARGE: Final = "A finding in many words. " * 4_000
PREFIX: Final = "PREFIX"

Jobs = dict[str, JobId]


async def populate(moves: Moves) -> Jobs:
    """Jobs in every state that a fleet of default settings leaves them in; ids by what they are."""
    await moves.fleet.announce(a_worker("w1", ["worker", "search", "planner"]))
    await moves.fleet.announce(
        OrchestratorPresence(name=WorkerName("o1"), pid=1, host="test", partitions=1, version=version("troupe"))
    )
    await moves.jobs.sweep(0, {"narrow": 1})
    states: dict[str, Callable[[Moves], Awaitable[JobId]]] = {
        "completed": _completed,
        "failed": _failed,
        "running": _running,
        "waiting": _waiting,
        "submitted": _submitted,
        "proposed": _proposed,
        "given": lambda moves: moves.jobs.submit(a_job(plan=a_plan(DIAMOND, agent="worker")), None),
        "large": lambda moves: moves.jobs.submit(a_job(MUCH), a_planning_step()),
        "cancelled": _cancelled,
    }
    return {name: await make(moves) for name, make in states.items()}


async def _submitted(moves: Moves) -> JobId:
    return await moves.jobs.submit(monday(), a_planning_step())


def monday(task: str = "Find out on Monday.") -> JobSpec:
    """A request with a key."""
    return a_job(task, idempotency_key="monday", knowledge=("handbook",), tenant="shop", priority=6, max_in_flight=9)


async def _proposed(moves: Moves) -> JobId:
    job = await moves.submitted()
    plan: Any = a_plan(DIAMOND, agent="worker").model_dump(mode="json", exclude_defaults=True)
    ref = await moves.running(job, "plan")
    assert await moves.attempts.succeed(ref, StepResult(text="A plan.", data=plan, model="offline"), COST) is None
    return job


async def _running(moves: Moves) -> JobId:
    """`b` runs, `c` has failed once, `d` is blocked."""
    job = await moves.planned(DIAMOND)
    source = Source(id="s1", title="Handbook", path="/docs/handbook.md", line_start=1, line_end=2, text="It is so.")
    ref = await moves.running(job, "a")
    await moves.attempts.report(ref, [("step_progress", '{"message":"looking"}')])
    await moves.attempts.report(ref, [("tool_called", '{"tool":"search","success":true,"duration_ms":3}')])
    assert (
        await moves.attempts.succeed(ref, StepResult(text="So [s1].", data={"n": 1}, sources=(source,)), COST) is None
    )
    await moves.running(job, "b")
    await moves.faltered(job, "c")
    return job


async def _completed(moves: Moves) -> JobId:
    job = await moves.planned({"one": []})
    await moves.succeed(job, "one", LARGE)
    await moves.succeed(job, "synthesis", "So it is.")
    return job


async def _failed(moves: Moves) -> JobId:
    job = await moves.planned({"one": []})
    await moves.fail(job, "one", BAD)
    return job


async def _cancelled(moves: Moves) -> JobId:
    job = await moves.submitted()
    assert await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD) is TaskStatus.CANCELLED
    return job


async def _waiting(moves: Moves) -> JobId:
    """One step is dispatched; one has a slot of a narrow queue, and one waits for it."""
    job = await moves.jobs.submit(a_job(), None)
    graph = a_graph({"one": (), "two": (), "three": ()})
    narrow = [NewStep(new.step.model_copy(update={"queue": "narrow"}), new.dependents) for new in graph[1:3]]
    assert await moves.extend(job, [graph[0], *narrow, graph[3]])
    await moves.dispatched(job, "one")
    return job


async def dump(moves: Moves) -> dict[str, Any]:
    """Everything that is stored, without the prefix."""
    redis, prefix = moves.redis, moves.store.settings.prefix
    stored: dict[str, Any] = {}
    async for key in redis.scan_iter(match=f"{prefix}:*", count=1000):
        match await redis.type(key):
            case "hash":
                content: Any = await redis.hgetall(key)
            case "string":
                content = await redis.get(key)
            case "list":
                content = await redis.lrange(key, 0, -1)
            case "set":
                content = sorted(await redis.smembers(key))
            case "zset":
                content = {"scores": dict(await redis.zrange(key, 0, -1, withscores=True))}
            case _:
                content = {"entries": await redis.xrange(key)}
        stored[key.replace(prefix, PREFIX, 1)] = json.loads(json.dumps(content).replace(f"{prefix}:", f"{PREFIX}:"))
    return dict(sorted(stored.items()))


def message(job: JobId) -> dict[str, Any]:
    """The message of the step that waits for a worker."""
    step = Step(id=StepId("one"), description="Do one.", agent="worker", queue="worker")
    return Dispatch.of(job, step, 1).message.model_dump(mode="json")


def schemas() -> dict[str, Any]:
    """What this release can read."""
    known = {model.__name__: model.model_json_schema() for model in MODELS}
    return {**known, "event": KNOWN.json_schema()}


async def pin(folder: Path) -> None:
    """Write all that is pinned of this release."""
    with tempfile.TemporaryDirectory() as place:
        server = RedisServer.start(Path(place), append_only=False)
        try:
            moves = Moves(Store(StoreSettings(redis_url=SecretStr(server.url), prefix="pin")))
            await moves.outbox.open(0)
            jobs = await populate(moves)
            fleet = {"now": await now_ms(moves), "jobs": jobs, "stored": await dump(moves)}
            await moves.store.close()
        finally:
            server.stop()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "lua").mkdir(parents=True)
    write(folder / "fleet.json", fleet)
    write(folder / "schemas.json", schemas())
    write(folder / "message.json", message(jobs["waiting"]))
    for name in WORKERS:
        source = Path(script_files.__file__).parent / "lua" / f"{name}.lua"
        shutil.copy(source, folder / "lua" / source.name)


async def now_ms(moves: Moves) -> int:
    """Redis' clock."""
    seconds, micros = await moves.redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


def write(path: Path, content: object) -> None:
    """Write JSON, so that a difference can be read."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def running_ref(jobs: Jobs) -> AttemptRef:
    """The attempt that runs."""
    return AttemptRef(jobs["running"], StepId("b"), 1)


if __name__ == "__main__":
    asyncio.run(pin(PINNED / version("troupe")))
