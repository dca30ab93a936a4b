"""A rolling upgrade: two versions of an agent run side by side, and each job keeps to the one it was planned with."""

from collections import Counter
from pathlib import Path

from orchestrator.local.redis_server import RedisServer
from tests.acceptance.hand_made import completed, hand_made
from tests.acceptance.stage import START_WITHIN_S, Stages, wait_until


def test_jobs_keep_to_the_version_that_they_were_planned_with(stages: Stages, tmp_path: Path) -> None:
    store = RedisServer.start(tmp_path / "r", append_only=False)
    try:
        with hand_made(stages.new(), store.url) as fleet:
            early = [fleet.naps("2", "0.1", "0.1", "0.1") for _ in range(4)]
            old = fleet.napping(early[-1])
            fleet.add_worker(NAPPER_VERSION="2")
            wait_until(lambda: len(fleet.troupe.workers()) > 1, within=START_WITHIN_S)
            late = [fleet.naps("0.1", "0.1", "0.1") for _ in range(6)]
            completed([*early, *late])
            lines = [line.split() for line in (fleet.stage.folder / "naps.txt").read_text().splitlines()]
            by_job = {str(job.id): Counter(line[0] for line in lines if line[1] == job.id) for job in [*early, *late]}
            assert all(set(by_job[job.id]) == {str(old)} for job in early), "planned with the old version"
            assert all(str(old) not in by_job[job.id] for job in late), "planned with the new version"

            last = fleet.naps("1", "0.1")
            new = fleet.napping(last)
            assert new != old
            fleet.workers[0].process.terminate()
            assert fleet.workers[0].wait(40).code == 0
            completed([last])
    finally:
        store.stop()
