"""`python -m tests.chaos`: one chaos run. Ends with one line of JSON; exit code 1 when a promise was broken."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path
from random import SystemRandom
from typing import Final

from tests.chaos import report
from tests.chaos.conduct import Options, Run, conduct, say
from tests.chaos.findings import Findings, examine, shown

FULL: Final = {"jobs": 600, "seconds": 900.0, "kills": 220, "restarts": 12}
USUAL: Final = {"jobs": 150, "seconds": 120.0, "kills": 40, "restarts": 3}


def main(arguments: list[str]) -> int:
    """Run it; 0 when every promise was kept."""
    asked = _parser().parse_args(arguments)
    usual = FULL if asked.full else USUAL
    options = Options(
        jobs=int(usual["jobs"] if asked.jobs is None else asked.jobs),
        seconds=float(usual["seconds"] if asked.seconds is None else asked.seconds),
        seed=SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed,
        kills=int(usual["kills"] if asked.kills is None else asked.kills),
        restarts=int(usual["restarts"] if asked.restarts is None else asked.restarts),
        every_copy=asked.every_copy or asked.full,
        shipped=asked.shipped or asked.full,
    )
    folder = Path(tempfile.mkdtemp(prefix="troupe-chaos-"))
    try:
        run, findings = asyncio.run(conduct(options, folder, examine))
    except BaseException:
        say(f"seed {options.seed}: the run broke off; its logs are in {folder}")
        raise
    return finish(run, findings, folder, asked.report)


def finish(run: Run, findings: Findings, folder: Path, page: Path) -> int:
    """Write the report and say what was found."""
    report.write(page, run, findings)
    say(f"report: {page}")
    for name in ("lost", "doubled", "stuck", "wrong"):
        for line in shown(getattr(findings, name)):
            say(f"{name}: {line}")
    for line in shown(run.hands.unasked):
        say(line)
    if findings.good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        say(f"promises were broken; run it again with --seed {run.options.seed}; logs: {folder}")
    print(json.dumps(report.summary(run, findings)), flush=True)
    return 0 if findings.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Kill, freeze, cut and restart a fleet on this machine while jobs run, and judge what became of "
        "them. Talks to loopback only, and ends only processes that it started.",
        epilog=f"Usual: {USUAL}. --full: {FULL}, periods as shipped, every message delivered three times.",
    )
    parser.add_argument("--jobs", type=int, help="jobs to submit")
    parser.add_argument("--seconds", type=float, help="how long faults go on")
    parser.add_argument("--seed", type=int, help="of workload and faults; any unless given")
    parser.add_argument("--kills", type=int, help="SIGKILLs of workers and orchestrators")
    parser.add_argument("--restarts", type=int, help="restarts of Redis")
    parser.add_argument("--every-copy", action="store_true", help="deliver every message three times, not up to three")
    parser.add_argument(
        "--shipped", action="store_true", help="lease, heartbeat, sweep as shipped; else a fifth of them"
    )
    parser.add_argument("--full", action="store_true", help="the long run")
    parser.add_argument("--report", type=Path, default=Path("reports/chaos.md"), help="the page to write")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
