"""The model that is searched exhaustively behaves as the real scripts do: both are driven side by side.

Walks through the model's worlds, and wild calls in between: any script about any step and attempt, mostly stale ones.
`MODEL_FAULTS=more` makes many more walks.
"""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from tasks.errors import NotDead
from tasks.ids import AttemptRef, JobId, StepId
from tasks.models import Failure, Join
from tasks.states import FINAL_JOB, StepStatus, TaskStatus
from tasks.store import Entry as RealEntry
from tasks.store import NewStep, Notice
from tasks.store.attempts import HANDED_BACK, refusal
from tasks.store.outbox import _read
from tests.model.actions import CODES, Actions, Label, reopened
from tests.model.explore import is_over
from tests.model.store import ACCEPTED, JOB, Entry, Scripts, StepState, StoreState, graph_of
from tests.model.world import Faults, World
from tests.support.builders import COST, OUT_OF_LUCK, PARTITION, RESULT, a_graph, a_job
from tests.support.moves import Moves

WALKS: Final = 400 if os.environ.get("MODEL_FAULTS") == "more" else 6
STEPS: Final = 120
MISFORTUNE: Final = Faults(*[9] * len(Faults._fields))._replace(failures=4, ends=0)
PLANS: Final[dict[str, list[NewStep]]] = {
    "chain": a_graph({"a": (), "b": ("a",)}),
    "join": a_graph({"a": (), "b": (), "c": ("a", "b")}, joins={"c": Join.ALL}),
    "any": a_graph({"a": (), "b": (), "c": ("a", "b")}, joins={"c": Join.ANY}),
    "best effort": a_graph({"a": (), "b": (), "c": ("a", "b")}, joins={"c": Join.BEST_EFFORT}),
    "quorum": a_graph(
        {"a": (), "b": (), "x": (), "c": ("a", "b", "x")}, joins={"c": Join.QUORUM}, each={"c": {"quorum": 2}}
    ),
    "optional": a_graph({"a": (), "b": (), "c": ("a", "b")}, each={"a": {"optional": True}}),
    "late": a_graph(
        {"a": (), "b": (), "c": ("a", "b"), "d": ("c",)},
        joins={"c": Join.BEST_EFFORT},
        each={"c": {"join_ms": 3_600_000}, "d": {"join_ms": 3_600_000}},
    ),
}
HEIR: Final = '{"agent":"worker","fallback":"heir","failure":{"code":"bad","message":"x"}}'
STEPWISE: Final = ("settle", "postpone", "give_up", "fall_back")
REFUSABLE: Final = frozenset({"heartbeat", "settle"})
TOUCHING: Final = frozenset({"heartbeat", "report"})
"""Scripts that the store may be changed by where the model is not: a lease renewed, an event written."""


class Twin:
    """One job in the model and on the server."""

    def __init__(self, moves: Moves, plan: list[NewStep], window: int) -> None:
        self.moves, self.plan = moves, plan
        self.graph = graph_of(plan)
        self.scripts = Scripts(self.graph, window=window)
        self.spec = a_job()
        self.job = self.spec.id
        self.store = StoreState()
        self.cost = 0
        self.said: list[Label] = []

    async def do(self, label: Label) -> StoreState:
        """Call a script on both sides, and compare replies and states."""
        self.said.append(label)
        before, everything = self.store, await self.moves.everything(self.job)
        name, args = str(label[0]), label[1:]
        self.store, reply = getattr(self.scripts, name)(before, *args)
        real = await getattr(self, f"_{name}")(*args)
        if real is not None:
            assert real == (refusal(reply) if reply and name in REFUSABLE else reply == ACCEPTED), self.said
        if name == "settle" and reply == ACCEPTED:
            self.cost += COST.cost_microusd
        assert await self._real() == self.store, self.said
        if self.store == before and not (name in TOUCHING and reply == ACCEPTED):
            assert await self.moves.everything(self.job) == everything, self.said
        return self.store

    def _ref(self, step: int, attempt: int) -> AttemptRef:
        return AttemptRef(self.job, StepId(self.graph[step].name), attempt)

    async def _submit(self) -> None:
        assert await self.moves.jobs.submit(self.spec, None) == self.job

    async def _extend(self, revision: int) -> bool:
        return await self.moves.extend(self.job, self.plan, revision)

    async def _dispatch(self, step: int, attempt: int) -> bool:
        return (await self.moves.jobs.dispatch(PARTITION, [self._ref(step, attempt)]))[0] is not None

    async def _claim(self, step: int, attempt: int) -> bool:
        return await self.moves.claim(self._ref(step, attempt)) is not None

    async def _heartbeat(self, step: int, attempt: int) -> object:
        ref = self._ref(step, attempt)
        return (await self.moves.attempts.heartbeat(PARTITION, [ref])).get(ref, True)

    async def _report(self, step: int, attempt: int) -> bool:
        return await self.moves.attempts.report(self._ref(step, attempt), [("step_progress", '{"message":"x"}')])

    async def _settle(self, step: int, attempt: int, code: str) -> object:
        ref, attempts = self._ref(step, attempt), self.moves.attempts
        if not code:
            return await attempts.succeed(ref, RESULT, COST) or True
        if code == HANDED_BACK:
            return await attempts.hand_back(ref, "stopping", COST) or True
        return await attempts.fail(ref, Failure(code=code, message="x", retryable=code != "hard"), COST) or True

    async def _postpone(self, step: int, attempt: int, later: bool) -> bool:
        return bool(await self.moves.jobs.postpone(self._ref(step, attempt), 60_000 if later else 0))

    async def _give_up(self, step: int, attempt: int) -> bool:
        return await self.moves.jobs.give_up(self._ref(step, attempt), OUT_OF_LUCK)

    async def _fall_back(self, step: int, attempt: int) -> bool:
        heir = self.plan[step].step.model_copy(update={"agent": "heir"})
        return bool(await self.moves.jobs.fall_back(self._ref(step, attempt), heir, HEIR))

    async def _reopen(self, step: int, attempt: int) -> bool:
        """The step's record as it is; only its attempt is what the caller says."""
        record = await self.moves.snapshots.job(self.job)
        try:
            await self.moves.dead.reopen(record, [replace(record.steps[step], attempt=attempt)])
        except NotDead:
            return False
        return True

    async def _overdue(self, step: int) -> None:
        """Let the time in the queue have ended."""
        member, steps = f"{self.job}:{self.graph[step].name}", f"{self.moves.store.keys.job(self.job)}:steps"
        field = f"e:{self.graph[step].name}"
        await self.moves.redis.hset(steps, field, 1)
        await self.moves.redis.zadd(self.moves.store.keys.timers(PARTITION), {member: 1})
        await self.moves.jobs.sweep(PARTITION)
        await self.moves.redis.hdel(steps, field)

    async def _end_job(self, status: TaskStatus) -> None:
        assert await self.moves.jobs.end_job(self.job, status, OUT_OF_LUCK) is (self.store.status)

    async def _sweep(self, at: int) -> None:
        """Let one timer's time have come; an absent one is not made up."""
        member = self.job if at == JOB else f"{self.job}:{self.graph[at].name}"
        if member in await self.moves.timers():
            await self.moves.make_due(self.job, None if at == JOB else self.graph[at].name)
        await self.moves.jobs.sweep(PARTITION)

    async def _done(self, entry: Entry) -> None:
        found = next((real for real in await self._entries() if self._entry(real) == entry), None)
        await self.moves.outbox.done(PARTITION, [found] if found else [])

    async def _entries(self) -> list[RealEntry]:
        rows = await self.moves.redis.xrange(self.moves.store.keys.control(PARTITION))
        return [_read(entry, fields) for entry, fields in rows]

    def _entry(self, real: RealEntry) -> Entry:
        names = [node.name for node in self.graph]
        step = names.index(real.ref.step) if real.ref.step else JOB
        code = Failure.model_validate_json(real.data).code if real.notice is Notice.ATTEMPT_ENDED else ""
        if real.notice is Notice.STEP_OVERDUE:
            code = real.data.partition(" ")[0]
        return Entry(real.notice, step, real.ref.attempt, code)

    async def _real(self) -> StoreState:
        """What the server holds, in the model's words."""
        key = self.moves.store.keys.job(JobId(self.job))
        of_job, fields = await self.moves.redis.hgetall(key), await self.moves.redis.hgetall(f"{key}:steps")
        if not of_job:
            return StoreState()
        assert int(of_job["cost"]) == self.cost, self.said
        timers = await self.moves.timers()
        steps = [_step(fields, node.name, f"{self.job}:{node.name}" in timers) for node in self.graph]
        line = await self.moves.redis.lrange(f"{key}:wait:worker", 0, -1)
        return StoreState(
            status=TaskStatus(of_job["status"]),
            revision=int(of_job["revision"]),
            open=int(of_job["open"]),
            done=int(of_job["done"]),
            deadline=self.job in timers,
            steps=tuple(step for step in steps if step is not None),
            control=tuple(sorted(self._entry(real) for real in await self._entries())),
            line=tuple([node.name for node in self.graph].index(name) for name in line),
        )


def _step(fields: dict[str, str], name: str, timer: bool) -> StepState | None:
    if f"s:{name}" not in fields:
        return None
    attempt, failures, losses, rest, good, left = (int(fields.get(f"{field}:{name}", "0")) for field in "anxrou")
    return StepState(
        status=StepStatus(fields[f"s:{name}"]),
        attempt=attempt,
        failures=failures,
        losses=losses,
        rest=rest,
        good=good,
        timer=timer,
        slot=f"g:{name}" in fields,
        left_out=left,
        bad=int(fields.get(f"B:{name}", "0")),
        late=f"L:{name}" in fields,
    )


def wild(dice: random.Random, store: StoreState) -> Label:
    """Any script about any step and an attempt that was, is or will be."""
    name = dice.choice(
        (*("submit", "extend", "dispatch", "claim", "heartbeat", "report"), *STEPWISE, "reopen", "sweep")
    )
    if name == "extend" and store.status is not None:  # nobody writes the same steps onto the revision that has them
        return ("extend", dice.choice([revision for revision in (0, 1, 2) if revision != store.revision]))
    if name == "submit" or not store.steps:
        return ("submit",)
    step = dice.randrange(len(store.steps))
    attempt = max(store.steps[step].attempt + dice.choice((-1, -1, 0, 0, 1)), 1)
    if name == "sweep":
        return ("sweep", step)
    if name in {"give_up", "fall_back"}:
        return ("give_up", step, attempt - (attempt == 1 and dice.random() < 0.3))
    more: dict[str, Label] = {
        "settle": (dice.choice(("", *CODES, HANDED_BACK)),),
        "postpone": (dice.random() < 0.5,),
    }
    return (name, step, attempt, *more.get(name, ()))


def choose(dice: random.Random, actions: Actions, world: World) -> tuple[Label, World] | None:
    """One of the model's next actions; a fault less often than another."""
    following = list(actions.following(world))
    weights = [1 if after.faults != world.faults else 3 for _, after in following]
    return dice.choices(following, weights)[0] if following else None


async def make(twin: Twin, label: Label, after: World) -> World:
    """Make an action of the model's world; those that call a script are made on the server too."""
    plain = tuple(part for part in label if not (isinstance(part, str) and part.startswith("(")))
    if hasattr(twin.scripts, str(plain[0])):
        assert await twin.do(plain) == after.store
    else:
        twin.said.append(plain)
    return after


@pytest.mark.parametrize("seed", range(WALKS))
@pytest.mark.parametrize("plan", PLANS)
async def test_model_and_scripts_agree_on_every_action(moves_with: Callable[..., Moves], plan: str, seed: int) -> None:
    moves = moves_with(lease_s=3600, republish_s=3600)
    await moves.outbox.open(PARTITION)
    window = seed % 3
    await moves.jobs.sweep(PARTITION, {"worker": window} if window else {})
    dice, twin = random.Random(f"{plan} {seed}"), Twin(moves, PLANS[plan], window)
    actions = Actions(twin.graph, busy=2, window=window, fallbacks=seed % 2)
    world = actions.start(MISFORTUNE)
    for _ in range(STEPS):
        chosen = choose(dice, actions, world) if dice.random() < 0.6 else None
        if chosen is not None:
            world = await make(twin, *chosen)
        elif dice.random() < 0.01:
            status = dice.choice((TaskStatus.CANCELLED, TaskStatus.FAILED))
            world = world._replace(store=await twin.do(("end_job", status)))
        else:
            label = wild(dice, world.store)
            before = world.store
            world = world._replace(store=await twin.do(label))
            if label[0] == "reopen" and world.store != before:
                world = reopened(world, world.store)
    world = world._replace(faults=Faults())
    while not is_over(world):
        chosen = choose(dice, actions, world)
        assert chosen is not None, twin.said
        world = await make(twin, *chosen)
    assert twin.store.status in FINAL_JOB
    assert (await moves.timers(), await moves.outbox.waiting(PARTITION)) == ({}, 0)
