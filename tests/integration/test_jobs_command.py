"""`troupe jobs` and `troupe jobs prune` on the command line."""

import asyncio
import json
from typing import Any

import pytest

from orchestrator.cli import call
from orchestrator.cli.listing import shown_size
from tasks.ids import JobId
from tasks.settings import StoreSettings
from tests.support.builders import DIAMOND
from tests.support.moves import Moves


@pytest.fixture
def command(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `troupe jobs …`: exit code, stdout, stderr."""
    monkeypatch.setenv("TROUPE_REDIS_URL", store_settings.redis_url.get_secret_value())
    monkeypatch.setenv("TROUPE_PREFIX", store_settings.prefix)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(call, ["jobs", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
async def jobs(moves: Moves) -> list[JobId]:
    """One that has ended and one that is open."""
    over, still = await moves.planned(DIAMOND), await moves.planned(DIAMOND)
    for step in (*DIAMOND, "synthesis"):
        await moves.succeed(over, step)
    return [over, still]


async def test_jobs_are_listed_as_text_and_as_json(jobs: list[JobId], command: Any) -> None:
    code, text, _ = await command()
    assert code == 0
    assert all(job in text for job in jobs)
    listed = json.loads((await command("--json", "--limit", "10"))[1])
    assert {one["job_id"]: one["status"] for one in listed} == dict(
        zip(jobs, ["completed", "in_progress"], strict=True)
    )


async def test_a_dry_run_counts_and_takes_nothing(jobs: list[JobId], command: Any) -> None:
    code, text, _ = await command("prune", "--older-than", "0s", "--dry-run")
    assert (code, text.partition(",")[0]) == (0, "1 jobs would be forgotten")
    report = json.loads((await command("prune", "--older-than", "0s", "--dry-run", "--json"))[1])
    assert (report["forgotten"], report["found"]) == (0, 1)
    assert 1_000 < report["bytes"] < 20_000
    left = (await command())[1]
    assert all(job in left for job in jobs)


async def test_ended_jobs_are_forgotten_and_counted(jobs: list[JobId], command: Any) -> None:
    assert (await command("prune"))[1] == "0 jobs forgotten\n", "it has not been over for a week"
    assert (await command("prune", "--older-than", "0s", "--status", "failed,cancelled"))[1] == "0 jobs forgotten\n"
    code, text, _ = await command("prune", "--older-than", "0s", "--status", "completed")
    assert (code, text.partition(" kB")[0].rstrip("0123456789")) == (0, "1 jobs forgotten, about ")
    left = (await command())[1]
    assert (jobs[0] in left, jobs[1] in left) == (False, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--older-than", "soon"], "'soon' is no age: 90s, 30m, 12h, 7d"),
        (["--older-than", "-1d"], "'-1d' is no age"),
        (["--older-than", "9" * 400 + "d"], "is no age"),
        (["--status", "pending"], "pending; there are: cancelled,completed,failed"),
        (["--status", ","], "none; there are"),
    ],
)
async def test_what_cannot_be_pruned_is_bad_usage(words: list[str], said: str, command: Any) -> None:
    code, text, error = await command("prune", *words)
    assert (code, text) == (2, "")
    assert said in error


@pytest.mark.parametrize(
    ("size", "text"), [(0, ""), (10, ", about 1 kB"), (8_600, ", about 8 kB"), (12_345_678, ", about 12.3 MB")]
)
def test_a_size_is_told_for_people(size: int, text: str) -> None:
    assert shown_size(size) == text
