"""`troupe record` and `troupe replay` around the stack: what is refused, what is printed, how they end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.blocking import Troupe
from orchestrator.cli import call
from orchestrator.cli.recording import Recorder
from orchestrator.local.stack import LocalStack
from orchestrator.recording import Recording
from tasks.errors import BadRecording
from tasks.results import JobResult
from tests.unit.recorded_job import a_recording, a_step_line, an_outcome


class Stage:
    """Stands where the stack would run; says what comes of the replay."""

    def __init__(self, outcome: JobResult) -> None:
        self.outcome = outcome
        self.stack: LocalStack | None = None

    def __call__(self, stack: LocalStack, _console: object, _submit: Callable[[Troupe], Any]) -> JobResult:
        self.stack = stack
        return self.outcome


class FakeJob:
    """A job that is recorded, or cannot be."""

    def __init__(self, found: Recording | BadRecording) -> None:
        self.found = found

    def record(self) -> Recording:
        """What it was given."""
        if isinstance(self.found, BadRecording):
            raise self.found
        return self.found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "job.jsonl"
    a_recording().write(path)
    return path


def staged(monkeypatch: pytest.MonkeyPatch, outcome: JobResult) -> Stage:
    stage = Stage(outcome)
    monkeypatch.setattr("orchestrator.cli.recording.run_embedded", stage)
    return stage


def test_a_replay_that_comes_out_the_same_prints_the_answer(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = staged(monkeypatch, an_outcome(a_recording()))
    assert call(["replay", str(place), "--workers", "3"]) == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[0], err) == ("So [1].", "")
    assert stage.stack is not None
    assert [queues for queues in stage.stack.queues if queues == ["search"]] == [["search"]] * 3
    assert stage.stack.environment == {"TROUPE_ALLOW_MODEL_REQUESTS": "false"}


def test_a_replay_that_differs_prints_what_came_of_it_and_ends_with_the_difference(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = an_outcome(a_recording(), one={"agent": "analysis"})
    staged(monkeypatch, outcome)
    assert call(["replay", str(place), "--json"]) == 1
    out, err = capsys.readouterr()
    assert JobResult.model_validate_json(out) == outcome
    said = "troupe: the replay differs from the recording: step 'one': its agent is \"analysis\"; in the recording"
    assert err == f'{said} "search"\n'


def test_a_recording_whose_agents_are_not_here_is_refused_before_anything_starts(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_recording([a_step_line("one", agent="finance")], {}).write(place)
    assert call(["replay", str(place)]) == 2
    assert capsys.readouterr().err == (
        "troupe: the recording needs agents that are not here: finance; set TROUPE_AGENTS\n"
    )


@pytest.mark.parametrize("command", [["replay", "FILE"], ["run", "Why?", "--record", "FOLDER"]])
def test_what_is_no_recording_and_no_place_for_one_is_bad_usage_in_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x00\x01\x02\n")
    words = {"FILE": str(garbage), "FOLDER": str(tmp_path)}
    assert call([words.get(word, word) for word in command]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "is no recording" in err or "is a folder" in err


def test_a_recorder_writes_what_the_job_gives(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "new.jsonl")
    recorder.take(FakeJob(a_recording()))  # pyright: ignore[reportArgumentType]
    assert not recorder.failed
    assert Recording.read(tmp_path / "new.jsonl") == a_recording()


def test_a_recorder_that_fails_says_so_and_costs_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder(tmp_path / "new.jsonl")
    recorder.take(FakeJob(BadRecording("too\nlarge")))  # pyright: ignore[reportArgumentType]
    assert recorder.failed
    assert capsys.readouterr().err == "not recorded: too large\n"
