"""Agent loops on real workers and a fake provider, whose workers are killed in the middle of them.

`python -m tests.chaos.loops --kills 50`, or `--dollars 100` for `tests.chaos.dollars`. Each ends with a line of JSON,
and with 1 when a promise was broken. Kills only what it started.
"""

import argparse
import json
import queue
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from orchestrator.blocking import JobHandle
from tasks.results import JobResult, LedgerReport
from tasks.states import FINAL_JOB, TaskStatus
from tests.chaos.conduct import say
from tests.chaos.dollars import Dollars, spend_dollars
from tests.chaos.loop_stage import JOB_WITHIN_S, TURNS, Stage, mark, staged
from tests.chaos.provider import Provider, usage_of

POINT_S: Final = 0.3
"""A turn (answer, tool, two bookings) takes about half of it: a kill falls anywhere in the turn, or in the next."""


@dataclass(slots=True)
class Killed:
    """What became of loops whose workers were killed."""

    kills: int
    missed: int = 0
    """Points whose loop had ended when its worker was to be killed."""
    completed: int = 0
    served: int = 0
    """Answers that the provider was paid for."""
    needed: int = 0
    repeated: int = 0
    """Tool calls that had come to their end and were run again."""
    other_keys: int = 0
    """Of those, calls whose second run had another idempotency key."""
    unanswered: int = 0
    """Calls in the ledger whose answer nobody got."""
    served_usd: float = 0.0
    ledger_usd: float = 0.0
    unheard_usd: float = 0.0
    """Price of answers that died with the worker that had asked."""
    broken: list[str] = field(default_factory=list[str])
    """Promises."""


@dataclass(slots=True)
class Points:
    """One point for each loop, in one of its turns, at which its worker is killed."""

    turns: dict[str, int]
    reached: "queue.Queue[str]" = field(default_factory=lambda: queue.Queue())

    def on_turn(self, mark: str, turn: int) -> None:
        """Note that a loop has come to its point."""
        if 0 < self.turns.get(mark, TURNS + 1) <= turn:
            del self.turns[mark]
            self.reached.put(mark)


def kill_loops(folder: Path, kills: int, seed: int) -> Killed:
    """As many loops as kills; each worker runs one at a time, so that a kill meets one call at most."""
    dice = Random(seed)
    points = Points({mark(number): dice.randint(1, TURNS) for number in range(kills)})
    provider = Provider(TURNS, lambda dice: dice.randint(20, 400), points.on_turn, Random(seed))
    found = Killed(kills=0)
    with staged(folder, provider, 1) as stage:
        jobs = {mark(number): stage.submit(number, 1) for number in range(kills)}
        while found.kills + found.missed < kills:
            at = points.reached.get(timeout=JOB_WITHIN_S)
            time.sleep(dice.uniform(0, POINT_S))
            if _kill(stage, jobs[at]):
                found.kills += 1
            elif jobs[at].snapshot().status in FINAL_JOB:
                found.missed += 1
            else:  # another point's kill has met its worker just before
                points.reached.put(at)
        for name, job in jobs.items():
            _judge(stage, name, job.wait(JOB_WITHIN_S), job.ledger(), found)
        _judge_calls(stage.ended_calls(), found)
        if found.served - found.needed > found.kills:
            found.broken.append(f"{found.served - found.needed} answers too many for {found.kills} kills")
        found.broken += stage.fake.violations
    return found


def _kill(stage: Stage, job: JobHandle) -> bool:
    """Kill the worker of a job's loop, or who had it last, and start it again; False when it is dead already."""
    name = job.snapshot().steps[0].worker
    pids = [worker.pid for worker in stage.troupe.workers() if worker.name == name]
    for member in stage.fleet.of("worker"):
        if pids == [member.pid] and not member.dead:
            member.kill()
            member.start()
            return True
    return False


def _judge(stage: Stage, name: str, result: JobResult, ledger: LedgerReport, found: Killed) -> None:
    served = [one for one in stage.provider.answers if one.mark == name]
    paid, heard = usage_of(stage.fake, served), usage_of(stage.fake, stage.provider.heard(name))
    found.completed += result.status is TaskStatus.COMPLETED
    found.served += len(served)
    found.needed += TURNS + 1
    found.unanswered += ledger.unanswered
    found.served_usd += paid.cost_microusd / 1e6
    found.ledger_usd += ledger.total.cost_usd
    found.unheard_usd += (paid.cost_microusd - heard.cost_microusd) / 1e6
    if result.status is not TaskStatus.COMPLETED:
        found.broken.append(f"{name}: {result.status} {result.error}")
    names = ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    if [getattr(ledger.total, one) for one in names] != [getattr(heard, one) for one in names]:
        found.broken.append(f"{name}: the ledger has {ledger.total}, and {heard} was heard")
    if round(ledger.total.cost_usd * 1e6) != heard.cost_microusd:
        found.broken.append(f"{name}: ledger {ledger.total.cost_usd}, provider {heard.cost_microusd}")
    if paid.requests - heard.requests > ledger.unanswered:
        found.broken.append(f"{name}: {paid.requests - heard.requests} answers lost, {ledger.unanswered} noted")


def _judge_calls(calls: list[dict[str, Any]], found: Killed) -> None:
    """A call that had ended is run again only where its worker died before it could write that down; then with the
    same key."""
    runs = Counter((one["job"], one["number"]) for one in calls)
    keys = {(one["job"], one["number"], one["key"]) for one in calls}
    found.repeated = sum(runs.values()) - len(runs)
    found.other_keys = len(keys) - len(runs)
    if found.other_keys:
        found.broken.append(f"{found.other_keys} calls were repeated with another key")


def main(arguments: list[str]) -> int:
    """Run one of the two; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.loops", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="loops, each killed once (1 to 500)")
    parser.add_argument("--dollars", type=int, default=0, help="instead: jobs with a dollar each (1 to 1000)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    folder, begun = Path(tempfile.mkdtemp(prefix="troupe-loops-")), time.monotonic()
    if asked.dollars:
        found: Killed | Dollars = spend_dollars(folder, min(asked.dollars, 1000), asked.seed)
    else:
        found = kill_loops(folder, max(1, min(asked.kills, 500)), asked.seed)
    if found.broken:
        say(f"logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({**asdict(found), "seconds": round(time.monotonic() - begun, 1)}), flush=True)
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
