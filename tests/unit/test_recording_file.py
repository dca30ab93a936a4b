"""A recording's file is written whole or not at all, and whatever is read from one is checked and bounded."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.recording import Recording, file
from orchestrator.recording.lines import EntryLine
from tasks.errors import BadRecording, IncompatibleVersion
from tasks.ids import StepId, new_job_id
from tasks.models import Join
from tasks.recorded import RECORDED, Recorded
from tasks.states import StepStatus
from tests.unit.recorded_job import FAILED, OPENING, SOURCE, STEPS, Journals, a_recording, a_step_line

Change = Callable[[list[Any]], list[Any]]
ALL: Journals = {
    "plan": {"o": OPENING, "m1": {"kind": "heard"}, "m2": {"kind": "too_long"}, "b": {"kind": "unpaid"}},
    "one": {"o": OPENING, "t1:0": {"kind": "done", "n": 1.5, "word": "naïve ☃"}},
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "job.jsonl"


@pytest.fixture
def lines(place: Path) -> list[Any]:
    """The lines of a good file."""
    a_recording(journals=ALL).write(place)
    return [json.loads(line) for line in place.read_text().splitlines()]


def written(place: Path, lines: list[Any]) -> Path:
    place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return place


def left_by(place: Path) -> list[str]:
    return [path.name for path in place.parent.iterdir()]


def test_a_recording_is_read_as_it_was_written(place: Path) -> None:
    recording = a_recording(journals=ALL)
    recording.write(place)
    assert Recording.read(str(place)) == recording
    assert place.stat().st_mode & 0o777 == 0o600
    assert left_by(place) == [place.name]


def test_the_file_has_a_line_for_each_step_and_entry_between_header_and_result(lines: list[Any]) -> None:
    assert [line["line"] for line in lines] == [
        *("recording", "step", "entry", "entry", "entry", "entry", "step", "entry", "entry", "step", "result"),
    ]
    assert lines[0]["job"] == {"task": "Why?"}
    assert lines[-1]["lines"] == 10


def test_a_write_that_fails_leaves_what_was_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write_text("before")
    monkeypatch.setattr(file, "MAX_LINES", 3)
    with pytest.raises(BadRecording, match="at most 3 lines"):
        a_recording().write(place)
    assert (place.read_text(), left_by(place)) == ("before", [place.name])


def test_a_place_that_cannot_be_written_is_said_to_be_none(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "is a folder"), (tmp_path / "no" / "where.jsonl", "there is no folder")):
        with pytest.raises(BadRecording, match=said):
            file.check_place(path)
        with pytest.raises(BadRecording, match="cannot be written"):
            a_recording().write(path)
    file.check_place(tmp_path / "job.jsonl")


def test_a_folder_that_is_not_ours_is_found_out_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_path: object, _mode: int) -> bool:
        return False

    monkeypatch.setattr(os, "access", refuses)
    with pytest.raises(BadRecording, match="is not yours to write in"):
        file.check_place(tmp_path / "job.jsonl")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no recording"),
        (b"\x00\xff\x1b garbage", "is no recording"),
        (b"[1, 2]\n", "is no recording"),
        (b'{"line": "entry", "format": 1}\n', "is no recording"),
        (b'{"line": "recording", "format": 0}\n', "is no recording"),
        (b'{"line": "recording", "format": 1}', "is cut: its line 1 has no end"),
        (b'{"line": "recording", "format": 1}\n', "line 1 is not as recordings have it: recording.release"),
        (b"[" * 100_000, "is no recording"),
    ],
)
def test_what_is_no_recording_is_said_to_be_none(place: Path, content: bytes, said: str) -> None:
    place.write_bytes(content)
    with pytest.raises(BadRecording, match=said):
        Recording.read(place)


def test_a_file_that_is_not_there_or_is_a_folder_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.jsonl"):
        with pytest.raises(BadRecording, match="cannot be read"):
            Recording.read(path)


def test_a_later_format_is_told_from_damage(place: Path, lines: list[Any]) -> None:
    later = {"line": "recording", "format": 2, "release": "9.9", "all": "new"}
    with pytest.raises(IncompatibleVersion, match=r"of format 2, of release '9.9'; this release reads format 1"):
        Recording.read(written(place, [later, *lines[1:]]))


def test_a_file_that_is_cut_anywhere_is_refused(place: Path, lines: list[Any]) -> None:
    whole = written(place, lines).read_bytes()
    for at in range(1, len(whole), 37):
        place.write_bytes(whole[:at])
        with pytest.raises(BadRecording, match=r"is cut|is no recording"):
            Recording.read(place)


def _without(at: int) -> Change:
    return lambda lines: lines[:at] + lines[at + 1 :]


def _twice(at: int, to: int) -> Change:
    return lambda lines: [*lines[:to], lines[at], *lines[to:]]


def _with(at: int, **fields: Any) -> Change:
    return lambda lines: [*lines[:at], {**lines[at], **fields}, *lines[at + 1 :]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without(2), "is not whole: 9 lines in place of 10"),
        (_without(-1), "one too many|is cut"),
        (_twice(-1, 11), "line 12 is one too many"),
        (_twice(0, 0), "line 2 is one too many"),
        (_twice(1, 2), "line 3: step 'plan' stands there twice"),
        (_twice(2, 3), "line 4: entry 'o' of 'plan' stands there twice"),
        (_without(1), "line 2: there is no step 'plan' before it"),
        (_with(1, id="Not a name"), "line 2 is not as recordings have it: step.id"),
        (_with(1, secret=1), "line 2 is not as recordings have it: step.secret"),
        (_with(2, id="x9"), "line 3 is not as recordings have it: entry.id"),
        (_with(2, id="r"), "line 3 is not as recordings have it: entry.id"),
        (_with(3, entry={"kind": "done"}), "entry 'm1' cannot be 'done'"),
        (_with(3, entry=[]), "line 4 is not as recordings have it: entry.entry"),
        (_with(1, line="verse"), "line 2 is not as recordings have it: Input tag 'verse'"),
        (_with(0, job={"task": ""}), "its job cannot be submitted: task: "),
        (_with(0, job={"task": "Why?", "surprise": 1}), "its job cannot be submitted: surprise: "),
        (_with(9, partial={"text": "x" * 200_001}), "a step of it cannot be replayed: text: "),
    ],
)
def test_a_line_that_does_not_fit_is_named(place: Path, lines: list[Any], change: Change, said: str) -> None:
    with pytest.raises(BadRecording, match=said):
        Recording.read(written(place, change(lines)))


@pytest.mark.parametrize(
    ("limit", "most", "said"),
    [
        ("MAX_LINE_BYTES", 200, "has more than 0 MiB"),
        ("MAX_FILE_BYTES", 900, "a recording has at most 0 MiB"),
        ("MAX_LINES", 4, "a recording has at most 4 lines"),
    ],
)
def test_a_file_beyond_a_limit_is_refused(
    place: Path, lines: list[Any], monkeypatch: pytest.MonkeyPatch, limit: str, most: int, said: str
) -> None:
    written(place, lines)
    monkeypatch.setattr(file, limit, most)
    with pytest.raises(BadRecording, match=said):
        Recording.read(place)


def test_an_endless_line_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "MAX_LINE_BYTES", 1000)
    with pytest.raises(BadRecording, match="/dev/zero is no recording"):
        Recording.read("/dev/zero")


def test_a_job_is_submitted_without_what_held_for_the_recorded_one() -> None:
    asked = {"task": "Why?", "id": "x", "idempotency_key": "k", "budget_microusd": 1, "replay": False, "priority": 7}
    job = new_job_id(0)
    spec = a_recording(job=asked).spec(job, timedelta(seconds=9))
    assert (spec.id, spec.task, spec.timeout_ms, spec.priority) == (job, "Why?", 9000, 7)
    assert (spec.replay, spec.idempotency_key, spec.budget_microusd) == (True, None, None)


def test_each_journal_begins_with_how_its_step_ended() -> None:
    early = a_step_line("early", join=Join.ANY, agent="analysis")
    skipped = a_step_line("three", status=StepStatus.SKIPPED, result=None)
    recording = a_recording([*STEPS, early, skipped], {"one": {"o": OPENING}, "two": {"o": OPENING}})
    seeds = dict(recording.seeds())
    ends = {str(step): Recorded.model_validate_json(entries[0].text) for step, entries in seeds.items()}
    assert {entries[0].id for entries in seeds.values()} == {RECORDED}
    assert ends["one"] == Recorded(agent="search", status=StepStatus.SUCCEEDED)
    assert ends["early"].sources == (SOURCE,)
    assert ends["three"].status is StepStatus.SKIPPED
    failed = ends["two"]
    assert failed.failure is not None
    assert failed.found is not None
    assert (failed.failure.code, failed.failure.retryable, failed.found.text) == ("model_refused", False, "Half.")
    assert [entry.id for entry in seeds[StepId("one")]] == [RECORDED, "o"]
    assert json.loads(seeds[StepId("one")][1].text) == OPENING
    assert len(seeds[StepId("two")]) == 1


def test_a_step_that_failed_without_a_reason_still_fails() -> None:
    recording = a_recording([FAILED.model_copy(update={"error": None, "partial": None})], {})
    [(_, [entry])] = recording.seeds()
    recorded = Recorded.model_validate_json(entry.text)
    assert recorded.failure is not None
    assert (recorded.failure.code, recorded.found) == ("step_failed", None)


def test_the_agents_that_a_replay_needs_are_told() -> None:
    assert a_recording().agents == ("planner", "search")


def test_entries_of_every_kind_have_ids_of_their_own() -> None:
    for name, kind in (("o", "opening"), ("m12", "heard"), ("m1", "too_long"), ("t3:10", "done"), ("b", "unpaid")):
        assert EntryLine(step=StepId("one"), id=name, entry={"kind": kind}).id == name
