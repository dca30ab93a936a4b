"""The peers of the benchmarks: a line for each, also for one that cannot be had."""

from pathlib import Path

import pytest

from benchmarks.peers.__main__ import main, measured
from benchmarks.peers.table import PEERS, Peer


def test_every_peer_has_a_script_and_says_what_it_keeps() -> None:
    for peer in PEERS:
        script = Path("benchmarks/peers/scripts") / f"{peer.name}_peer.py"
        assert script.is_file()
        assert peer.durable
        assert peer.packages


def test_a_peer_that_cannot_be_had_is_a_line_with_its_error(tmp_path: Path) -> None:
    peer = Peer("gone", ("no-such-package-of-ours",), 1, "nothing", 10, 2)
    folder = tmp_path / "gone"
    (folder / "bin").mkdir(parents=True)
    (folder / "installed").write_text("no-such-package-of-ours")
    line = measured(peer, tmp_path, quick=True)
    assert (line["case"], line["system"]) == ("diamond", "gone")
    assert "No such file" in line["error"]


def test_an_unknown_peer_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["square"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
