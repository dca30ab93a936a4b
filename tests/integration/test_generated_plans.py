"""A thousand generated plans: the bad ones are refused with the path to the fault, the good ones run in their order."""

from random import Random
from typing import Final

from orchestrator.planning.check import check
from tasks.ids import SYNTHESIS_STEP, AttemptRef
from tasks.models import Join, Plan, Step
from tasks.queues import BUILT_IN
from tasks.states import TaskStatus
from tasks.store import NewStep, Notice
from tests.support.builders import COST, PARTITION, RESULT, a_job
from tests.support.moves import Moves
from tests.unit.plans import LIMITS, ONE_STEP, WHOLE, Spoil, good_plan

BAD: Final = 1000
GOOD: Final = 300


def spoilers(rng: Random) -> list[tuple[str, Spoil]]:
    """Every way to spoil a plan, at some step of it."""
    return [
        *((spoil.__name__, spoil) for spoil in WHOLE),
        *((name, at_place(rng.randrange(100))) for name, at_place in ONE_STEP.items()),
    ]


def test_every_bad_plan_is_refused_with_the_path_to_its_fault() -> None:
    rng, met = Random(5), set[str]()
    for seed in range(BAD):
        ways = spoilers(rng)
        name, spoil = ways[seed % len(ways)]
        steps, path = spoil(good_plan(seed).steps)
        checked = check(Plan(steps=steps), BUILT_IN, LIMITS)
        assert checked.steps == (), (seed, name)
        assert any(fault.startswith(path) for fault in checked.faults), (seed, name, path, checked.faults)
        met.add(name)
    assert {"cycle", "unknown agent", "dangling", "duplicate", "too_deep", "too_wide"} <= met


async def test_every_good_plan_runs_in_a_topological_order_to_its_answer(moves: Moves) -> None:
    for seed in range(GOOD):
        checked = check(good_plan(seed), BUILT_IN, LIMITS)
        assert checked.faults == (), seed
        order = await ran(moves, checked.steps, Random(seed))
        steps = [new.step for new in checked.steps]
        assert order[-1] == SYNTHESIS_STEP, seed
        assert len(set(order)) == len(order), seed
        assert len(order) == len(steps) or {Join.ANY, Join.QUORUM} & {step.join for step in steps}, seed
        assert too_early(order, steps) == [], seed


async def ran(moves: Moves, steps: tuple[NewStep, ...], rng: Random) -> list[str]:
    """Run a job of these steps, of those that may run one at a time, any of them; gives the order. Those that nobody
    waits for any more are not run: what joins by `any` or a quorum has enough without them."""
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, steps)
    ready, order = list[AttemptRef](), list[str]()
    while True:
        ready += [one for one in await moves.asked_for(Notice.STEP_READY) if one.job == job]
        if order and order[-1] == SYNTHESIS_STEP:
            assert (await moves.snapshots.status(job))[0] is TaskStatus.COMPLETED
            return order
        ref = ready.pop(rng.randrange(len(ready)))
        assert (await moves.jobs.dispatch(PARTITION, [ref]))[0] is not None
        assert await moves.claim(ref) is not None
        assert await moves.attempts.succeed(ref, RESULT, COST) is None
        order.append(ref.step)


def too_early(order: list[str], steps: list[Step]) -> list[str]:
    """Steps that ran before what they depend on."""
    place = {name: at for at, name in enumerate(order)}
    late = len(order)

    def least(step: Step) -> int:
        match step.join:
            case Join.ANY:
                return min(len(step.depends_on), 1)
            case Join.QUORUM:
                return min(step.quorum, len(step.depends_on))
            case Join.ALL | Join.BEST_EFFORT:
                return len(step.depends_on)

    ran_first = {
        step.id: sum(place.get(one, late) < place[step.id] for one in step.depends_on)
        for step in steps
        if step.id in place
    }
    return [step.id for step in steps if step.id in place and ran_first[step.id] < least(step)]
