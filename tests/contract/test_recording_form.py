"""The form of recordings is a contract: a file of an earlier release is read, and written the same.

A change that fails here is a new format (`orchestrator.recording.lines.FORMAT`): keep on reading the earlier ones.
"""

from pathlib import Path

import pytest

from orchestrator.recording import Recording

RECORDINGS = Path(__file__).parent / "recordings"


@pytest.mark.parametrize("path", sorted(RECORDINGS.iterdir()), ids=lambda one: one.name)
def test_a_recording_is_read_and_written_as_before(path: Path, tmp_path: Path) -> None:
    recording = Recording.read(path)
    recording.write(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
    kinds = {str(entry.entry["kind"]) for journal in recording.journals.values() for entry in journal}
    assert {"opening", "heard", "done"} <= kinds
