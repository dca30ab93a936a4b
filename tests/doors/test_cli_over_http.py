"""Commands of a machine that has nothing of the fleet but the address of its API and a key."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import call
from tasks.ids import SYNTHESIS_STEP, JobId
from tests.doors.conftest import ask, made_key
from tests.support.api import Api
from tests.support.builders import a_graph
from tests.support.moves import Moves


@pytest.fixture
async def command(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command: exit code, stdout, stderr."""
    monkeypatch.setenv("TROUPE_API_URL", api.url)
    monkeypatch.setenv("TROUPE_API_KEY", await made_key(api.settings))
    monkeypatch.setenv("TROUPE_REDIS_URL", "redis://127.0.0.1:1")

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(call, words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def done(command: Any, *words: str) -> str:
    """What a command prints that does what it is to do."""
    code, out, err = await command(*words)
    assert code == 0, err
    return out


async def test_a_job_is_submitted_followed_and_read(command: Any, moves: Moves, tmp_path: Path) -> None:
    table = tmp_path / "sales.csv"
    table.write_text("city,amount\nBonn,5\n")
    job = JobId((await done(command, "submit", "Sum up.", "--data", str(table), "--max-in-flight", "2")).strip())
    spec = (await moves.snapshots.job(job)).spec
    assert ([ref.name for ref in spec.data], spec.max_in_flight) == (["sales"], 2)
    assert "pending" in await done(command, "result", job)
    assert await moves.extend(job, a_graph({"one": ()}))
    await moves.succeed(job, "one")
    await moves.succeed(job, SYNTHESIS_STEP, "Five.")
    events = [json.loads(line)["type"] for line in (await done(command, "watch", job, "--json")).splitlines()]
    assert (events[0], events[-1]) == ("job_submitted", "job_finished")
    assert "Five." in await done(command, "result", job, "--wait", "10")
    assert "synthesis" in await done(command, "show", job)
    assert "total" in await done(command, "show", job, "--ledger")
    assert job in await done(command, "jobs")
    assert json.loads(await done(command, "stats", "--json"))["jobs"]["completed"] == 1
    recording = tmp_path / "job.jsonl"
    await done(command, "record", job, str(recording))
    assert recording.stat().st_size > 0


async def test_what_a_job_asks_is_approved(command: Any, moves: Moves) -> None:
    job = JobId((await done(command, "submit", "Pay.")).strip())
    assert await moves.extend(job, a_graph({"one": ()}))
    await ask(moves, job, {"agent": "payer", "tool": "pay", "input": {"amount": 9}})
    assert "amount" in await done(command, "approvals")
    await done(command, "approve", job, "one")
    assert job not in await done(command, "approvals")
    code, _, err = await command("approve", job, "one")
    assert (code, "decided before" in err) == (2, True)
    assert "cancelled" in await done(command, "cancel", job)


async def test_a_conversation_goes_on(
    command: Any, monkeypatch: pytest.MonkeyPatch, moves: Moves, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    said.write_text("/state\n")
    job = JobId((await done(command, "submit", "Hello?", "--session", "talk")).strip())
    assert (await moves.snapshots.job(job)).spec.session == "talk.0"
    with said.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "session talk.0" in await done(command, "chat", "talk")
    assert "talk.0" in await done(command, "sessions")


async def test_a_wrong_key_is_one_line(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = f"trp_{'a' * 10}_{'b' * 43}"
    monkeypatch.setenv("TROUPE_API_KEY", key)
    code, out, err = await command("jobs")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert key not in err
