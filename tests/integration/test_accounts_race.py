"""Many workers at one budget: it is never overdrawn, and all of it can be used."""

import asyncio
import random
from dataclasses import dataclass
from typing import Final

from tasks.errors import BudgetHeld, BudgetSpent
from tasks.ids import AttemptRef, JobId
from tasks.store import Estimate, Refusal, Scope
from tasks.usage import Budget, Usage
from tests.support.moves import Moves

CALLERS: Final = 64
TRIALS: Final = 20
DOLLAR: Final = 1_000_000
SCOPES: Final = (Scope("job", Budget(cost_microusd=DOLLAR)), Scope("agent:worker", Budget(cost_microusd=DOLLAR)))
NANO: Final = 15_000
LEAST: Final = 1_024


@dataclass(slots=True)
class Trial:
    """One job with a step for each caller, all running."""

    moves: Moves
    job: JobId
    refs: list[AttemptRef]
    highest: int = 0
    """Most that was spent or held at any look."""
    dearest: int = 0
    """What would have done for the dearest of all calls that were refused as spent."""
    calls: int = 0

    @classmethod
    async def of(cls, moves: Moves, callers: int) -> "Trial":
        """Begin one."""
        job = await moves.planned({f"s{at}": () for at in range(callers)})
        return cls(moves, job, [await moves.running(job, f"s{at}") for at in range(callers)])

    async def taken(self) -> tuple[int, int]:
        """Spent and held, at one moment."""
        key = f"{self.moves.store.keys.job(self.job)}:ledger"
        spent, held = await self.moves.redis.hmget(key, "b:job:cost", "h:job:cost")
        self.highest = max(self.highest, int(spent or 0) + int(held or 0))
        return int(spent or 0), int(held or 0)

    async def call(self, ref: AttemptRef, dice: random.Random, *, dies_after: int | None = None) -> None:
        """Buy answers until the budget is spent, or its worker dies in the middle of a call."""
        number = 0
        while True:
            number += 1
            prompt = dice.randrange(500, 30_000)
            most = Estimate(least=LEAST, most=8_192, nanousd=NANO, cost_microusd=prompt, requests=1)
            try:
                granted = await self.reserve(ref, f"m{number}", most)
            except BudgetSpent:
                self.dearest = max(self.dearest, prompt + LEAST * NANO // 1000)
                return
            if number == dies_after:
                return
            self.calls += 1
            await self.taken()
            cost = dice.randrange(prompt // 5, prompt) + dice.randrange(granted) * NANO // 1000
            usage = Usage(cost_microusd=cost, requests=1, output_tokens=1)
            assert await self.moves.accounts.book(ref, f"m{number}", "worker m", usage) is None

    async def reserve(self, ref: AttemptRef, call: str, most: Estimate) -> int:
        """Hold it, when others have ended."""
        while True:
            try:
                granted = await self.moves.accounts.reserve(ref, call, most, SCOPES)
            except BudgetHeld:
                await asyncio.sleep(0.002)
            else:
                assert not isinstance(granted, Refusal)
                return granted


async def test_callers_at_one_budget_never_overdraw_it_and_use_all_of_it(moves: Moves) -> None:
    shares: list[float] = []
    for number in range(TRIALS):
        dice, trial = random.Random(number), await Trial.of(moves, CALLERS)
        await asyncio.gather(*(trial.call(ref, dice) for ref in trial.refs))
        spent, held = await trial.taken()
        assert (held, trial.highest <= DOLLAR) == (0, True), f"trial {number}: {trial.highest}"
        assert DOLLAR - spent < trial.dearest, f"trial {number}: {spent} spent, and calls were refused"
        total = (await moves.accounts.ledger(trial.job)).total
        assert (total.cost_microusd, total.requests) == (spent, trial.calls)
        await moves.redis.delete(*[key async for key in moves.redis.scan_iter(match=f"*{trial.job}*", count=1000)])
        shares.append(spent / DOLLAR)
    print(f"used: least {min(shares):.4f}, mean {sum(shares) / len(shares):.4f}, most {max(shares):.4f}")


async def test_what_workers_held_that_died_is_used_by_others(moves: Moves) -> None:
    trial = await Trial.of(moves, CALLERS)
    dice = random.Random(7)
    dying, living = trial.refs[:4], trial.refs[4:]
    await asyncio.gather(*(trial.call(ref, dice, dies_after=1) for ref in dying))
    _, held = await trial.taken()
    assert held > 0
    buying = [asyncio.create_task(trial.call(ref, dice)) for ref in living]
    for ref in dying:
        await moves.lost(trial.job, ref.step)
    await asyncio.gather(*buying)
    spent, held = await trial.taken()
    assert (held, trial.highest <= DOLLAR) == (0, True)
    assert DOLLAR - spent < trial.dearest
    assert (await moves.accounts.ledger(trial.job)).unanswered == len(dying)
