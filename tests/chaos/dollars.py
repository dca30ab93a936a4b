"""Many agent loops at once that all draw on one dollar: jobs that would cost far more than they may."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tasks.results import JobResult, LedgerReport
from tasks.states import TaskStatus
from tests.chaos.conduct import say
from tests.chaos.loop_stage import CALLERS, JOB_WITHIN_S, TURNS, WORKERS, Stage, mark, staged
from tests.chaos.provider import Provider, usage_of

DOLLAR: Final = 1_000_000


@dataclass(slots=True)
class Dollars:
    """What jobs with a budget of a dollar each were served."""

    trials: int
    callers: int = CALLERS
    calls: int = 0
    most_usd: float = 0.0
    least_usd: float = 1.0
    mean_usd: float = 0.0
    least_for_work_usd: float = 1.0
    """Of the nine tenths that are not kept for writing the answer."""
    ended_as_spent: int = 0
    """Steps."""
    broken: list[str] = field(default_factory=list[str])


def spend_dollars(folder: Path, trials: int, seed: int) -> Dollars:
    """So many jobs, one after the other, of loops that all run at once and would spend far more than a dollar."""
    provider = Provider(TURNS, lambda dice: dice.randint(100, 2_000), lambda _mark, _turn: None, Random(seed), 0.25)
    found = Dollars(trials)
    with staged(folder, provider, CALLERS // WORKERS) as stage:
        for number in range(trials):
            job = stage.submit(number, CALLERS, budget_usd=1.0)
            _weigh(stage, mark(number), job.wait(JOB_WITHIN_S), job.ledger(), found)
            if number % 10 == 9:
                say(f"{number + 1} jobs: least {found.least_usd:.4f}, most {found.most_usd:.4f}")
        found.broken += stage.fake.violations
    return found


def _weigh(stage: Stage, name: str, result: JobResult, ledger: LedgerReport, found: Dollars) -> None:
    served = usage_of(stage.fake, [one for one in stage.provider.answers if one.mark == name])
    spent = served.cost_microusd / 1e6
    work = usage_of(stage.fake, [one for one in stage.provider.answers if one.mark == name and one.turn])
    found.least_for_work_usd = min(found.least_for_work_usd, work.cost_microusd / 1e6)
    found.calls += served.requests
    found.most_usd, found.least_usd = max(found.most_usd, spent), min(found.least_usd, spent)
    found.mean_usd += spent / found.trials
    found.ended_as_spent += sum(step.error is not None and step.error.code == "budget_spent" for step in result.steps)
    if served.cost_microusd > DOLLAR:
        found.broken.append(f"{name}: {spent} was served")
    if round(ledger.total.cost_usd * 1e6) != served.cost_microusd:
        found.broken.append(f"{name}: ledger {ledger.total.cost_usd}, provider {spent}")
    if result.status is not TaskStatus.COMPLETED:
        found.broken.append(f"{name}: {result.status} {result.error}")
