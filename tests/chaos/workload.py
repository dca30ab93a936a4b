"""What the jobs of a run are: seeded graphs, and what each step does. Pure; workers and conductor draw the same."""

from dataclasses import dataclass
from random import Random
from typing import Final

from tasks.models import Join, Plan, PlannedStep

AGENTS: Final = ("search", "analysis", "summary")
LEAST_STEPS: Final = 5
MOST_STEPS: Final = 9
MAX_DEPTH: Final = 5
QUICK_S: Final = (0.005, 0.05)
LONG_S: Final = (0.2, 1.2)
"""Some steps are long enough to be met by a kill."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """One job of a run."""

    number: int
    plan: Plan | None
    """None: the planner agent is asked, and gives the same kind of plan."""
    cancel_after_s: float | None
    timeout_s: float | None
    """Set for the few jobs that are to run out of time."""
    priority: int
    tenant: str
    max_in_flight: int | None

    @property
    def task(self) -> str:
        """How the job's agents learn which it is."""
        return f"chaos {self.number}"


@dataclass(frozen=True, slots=True)
class Deed:
    """What one attempt does."""

    seconds: float
    fails: bool
    for_good: bool
    """It fails in a way that no further attempt can mend."""


def job(seed: int, number: int) -> JobPlan:
    """The job of that number."""
    draw = Random(f"{seed} job {number}")
    planned = draw.random() < 0.5
    chance = draw.random()
    return JobPlan(
        number=number,
        plan=plan(seed, number) if planned else None,
        cancel_after_s=draw.uniform(0, 2) if chance < 0.04 else None,
        timeout_s=draw.uniform(0.2, 3) if 0.04 <= chance < 0.07 else None,
        priority=draw.choice((2, 5, 5, 5, 8)),
        tenant=draw.choice(("red", "green", "blue")),
        max_in_flight=draw.choice((None, None, None, 1, 2)),
    )


def plan(seed: int, number: int) -> Plan:
    """A graph of five to nine steps, at most five deep."""
    draw = Random(f"{seed} plan {number}")
    depth: dict[str, int] = {}
    steps: list[PlannedStep] = []
    for at in range(draw.randint(LEAST_STEPS, MOST_STEPS)):
        able = [name for name in depth if depth[name] < MAX_DEPTH]
        before = sorted(draw.sample(able, min(len(able), draw.choice((0, 1, 1, 2, 3)))))
        name = f"s{at}"
        depth[name] = 1 + max((depth[one] for one in before), default=0)
        join = draw.choice((None, None, Join.ANY, Join.BEST_EFFORT)) if before else None
        steps.append(
            PlannedStep(id=name, description=f"Do {name}.", agent=draw.choice(AGENTS), depends_on=before, join=join)
        )
    return Plan(steps=steps)


def deed(seed: int, task: str, step: str, attempt: int) -> Deed:
    """What an attempt does. Planner and writer fail only in ways that pass: a job's end is then another's fault."""
    draw = Random(f"{seed} {task} {step} {attempt}")
    seconds = draw.uniform(*(LONG_S if draw.random() < 0.15 else QUICK_S))
    fails = draw.random() < 0.05
    return Deed(seconds, fails, fails and step.startswith("s") and step != "synthesis" and draw.random() < 0.1)
