"""The part of the chaos suite that runs each time: a short run of all faults, and a rolling restart under load."""

from pathlib import Path
from typing import Final

import pytest

from tests.chaos import report
from tests.chaos.conduct import ORCHESTRATORS, WORKERS, Options, Run, conduct
from tests.chaos.faults import rolling
from tests.chaos.findings import Findings, examine

pytestmark = pytest.mark.timeout(400)

SEEDS: Final = {
    1: "all kinds of faults in a short time",
}
"""What a seed once found is tried again each time."""
DRAINS: Final = rolling(2, WORKERS, ORCHESTRATORS, 4.0)


async def carried_out(options: Options, folder: Path) -> tuple[Run, Findings]:
    """A run whose promises were kept."""
    run, findings = await conduct(options, folder, examine)
    told = {name: getattr(findings, name)[:5] for name in ("lost", "doubled", "stuck", "wrong")}
    assert findings.good, f"seed {options.seed}: {told}; logs: {folder}"
    return run, findings


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_job_ends_once_whatever_happens_to_the_fleet(seed: int, tmp_path: Path) -> None:
    options = Options(
        jobs=60, seconds=40, seed=seed, kills=14, restarts=2, every_copy=False, shipped=False, settle_s=180
    )
    run, findings = await carried_out(options, tmp_path)
    figures = report.summary(run, findings)
    assert figures["jobs"] == 60
    assert figures["kills"] == 14
    assert figures["redis_restarts"] == 2
    assert run.deliveries.copied > 60
    assert run.deliveries.dropped > 0
    assert findings.steps >= 5 * 40


async def test_a_rolling_restart_under_load_loses_and_repeats_nothing(tmp_path: Path) -> None:
    seconds = 4.0 * (len(DRAINS) + 2)
    options = Options(
        jobs=60, seconds=seconds, seed=7, kills=0, restarts=0, every_copy=False, shipped=False, faults=tuple(DRAINS),
        copies=0, settle_s=180,
    )  # fmt: skip
    run, findings = await carried_out(options, tmp_path)
    assert sum(run.hands.done.values()) == len(DRAINS)
    assert not run.hands.unasked
    assert not findings.in_vain
