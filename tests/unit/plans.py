"""Plans for tests: good ones of every shape, and ways to spoil one."""

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import strategies as st

from orchestrator.settings import OrchestratorSettings
from tasks.ids import RESERVED_STEPS
from tasks.models import Join, Plan, PlannedStep
from tasks.queues import BUILT_IN

LIMITS = OrchestratorSettings(max_steps=12, max_depth=4, max_fan_out=5)
AGENTS = [agent.name for agent in BUILT_IN if agent.plannable]
NAMES = [*"abcdefgh", "a-b", "a_b", "z9", "plan-b", "planner", "search", "x" * 48]
CAPABILITIES = [one for agent in BUILT_IN if agent.plannable for one in agent.capabilities]
Spoil = Callable[[list[PlannedStep]], tuple[list[PlannedStep], str]]
"""From the steps of a good plan to those of a bad one, and the path that its fault must begin with."""


def good_plan(seed: int) -> Plan:
    """A plan within LIMITS: steps in layers, edges from earlier layers to later ones, all in any order."""
    rng = Random(seed)
    ids = rng.sample(NAMES, rng.randint(1, LIMITS.max_steps))
    layer = {one: rng.randrange(LIMITS.max_depth) for one in ids}
    after = dict.fromkeys(ids, 0)
    steps: list[PlannedStep] = []
    for one in ids:
        earlier = [other for other in ids if layer[other] < layer[one] and after[other] < LIMITS.max_fan_out]
        needs = rng.choices(earlier, k=rng.randint(0, 3)) if earlier else []
        for before in set(needs):
            after[before] += 1
        steps.append(_planned(rng, one, needs))
    return Plan(steps=rng.sample(steps, len(steps)))


def _planned(rng: Random, name: str, needs: Sequence[str]) -> PlannedStep:
    by_name = rng.random() < 0.5
    return PlannedStep(
        id=name,
        description=rng.choice(["Find it.", "x", "Ä\nö", " padded "]),
        agent=rng.choice(AGENTS) if by_name else None,
        capability=None if by_name else rng.choice(CAPABILITIES),
        depends_on=list(needs),
        join=rng.choice([None, *Join]),
    )


GOOD_PLANS = st.integers(0, 2**32).map(good_plan)
"""One draw a plan: a thousand take a second."""


def change(steps: list[PlannedStep], at: int, **values: object) -> list[PlannedStep]:
    """The steps with one of them changed."""
    return [step.model_copy(update=values) if index == at else step for index, step in enumerate(steps)]


def chain(count: int, prefix: str = "chain-") -> list[PlannedStep]:
    """Steps that each depend on the one before."""
    return [
        PlannedStep(id=f"{prefix}{at}", description="x", agent="search", depends_on=[f"{prefix}{at - 1}"] if at else [])
        for at in range(count)
    ]


def apart(steps: list[PlannedStep]) -> list[PlannedStep]:
    """Some of the steps, without edges."""
    return [step.model_copy(update={"depends_on": []}) for step in steps[:4]]


def cycle(steps: list[PlannedStep]) -> tuple[list[PlannedStep], str]:
    knot = chain(3, "knot-")
    return [*apart(steps), *change(knot, 0, depends_on=["knot-2"])], "steps: a cycle, knot-"


def too_deep(steps: list[PlannedStep]) -> tuple[list[PlannedStep], str]:
    return [*apart(steps), *chain(LIMITS.max_depth + 1)], f"steps: a path of {LIMITS.max_depth + 1} steps"


def too_wide(_: list[PlannedStep]) -> tuple[list[PlannedStep], str]:
    hub = PlannedStep(id="hub", description="x", agent="search")
    leaves = [
        PlannedStep(id=f"leaf-{at}", description="x", agent="search", depends_on=["hub"])
        for at in range(LIMITS.max_fan_out + 1)
    ]
    return [*leaves, hub], f"steps[{len(leaves)}]: {len(leaves)} steps depend on 'hub'"


def too_many(steps: list[PlannedStep]) -> tuple[list[PlannedStep], str]:
    more = [PlannedStep(id=f"more-{at}", description="x", agent="search") for at in range(LIMITS.max_steps + 1)]
    return more, f"steps: {len(more)} steps are more than the {LIMITS.max_steps} allowed"


def empty(_: list[PlannedStep]) -> tuple[list[PlannedStep], str]:
    return [], "steps: the plan has no steps"


def duplicate(steps: list[PlannedStep]) -> tuple[list[PlannedStep], str]:
    few = steps[:5]
    return [*few, few[0].model_copy(update={"depends_on": []})], f"steps[{len(few)}].id: {few[0].id!r}"


def at_each(path: str, make: Callable[[PlannedStep], dict[str, object]]) -> Callable[[int], Spoil]:
    """A spoiler of the step at a place."""

    def at_place(place: int) -> Spoil:
        def spoil(steps: list[PlannedStep]) -> tuple[list[PlannedStep], str]:
            at = place % len(steps)
            return change(steps, at, **make(steps[at])), f"steps[{at}]{path}"

        return spoil

    return at_place


WHOLE: list[Spoil] = [cycle, too_deep, too_wide, too_many, empty, duplicate]
ONE_STEP = {
    "unknown agent": at_each(".agent: 'nobody' is unknown", lambda _: {"agent": "nobody"}),
    "the planner": at_each(".agent: 'planner' is unknown", lambda _: {"agent": "planner"}),
    "empty agent": at_each(".agent: '' is unknown", lambda _: {"agent": "", "capability": "search"}),
    "unknown capability": at_each(
        ".capability: no agent has 'magic'", lambda _: {"agent": None, "capability": "magic"}
    ),
    "the planner's capability": at_each(
        ".capability: no agent has 'planning'", lambda _: {"agent": None, "capability": "planning"}
    ),
    "neither": at_each(": give an agent", lambda _: {"agent": None, "capability": None}),
    "dangling": at_each(".depends_on[0]: 'no-such' is no step", lambda _: {"depends_on": ["no-such"]}),
    "dangling synthesis": at_each(".depends_on[0]: 'synthesis' is no step", lambda _: {"depends_on": ["synthesis"]}),
    "itself": at_each(".depends_on[", lambda step: {"depends_on": [*step.depends_on, step.id]}),
    "bad id": at_each(".id: 'Not an id' must be", lambda _: {"id": "Not an id"}),
    "bad newline": at_each(".id: 'a\\n' must be", lambda _: {"id": "a\n"}),
    "long id": at_each(".id: ", lambda _: {"id": "x" * 49}),
    **{name: at_each(f".id: {name!r} is reserved", lambda _, name=name: {"id": name}) for name in RESERVED_STEPS},
    "empty description": at_each(".description: it is empty", lambda _: {"description": " \n"}),
    "long description": at_each(".description: 20001 characters", lambda _: {"description": "x" * 20_001}),
}
