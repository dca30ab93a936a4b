"""Agent loops whose workers are killed, and loops at one budget. `python -m tests.chaos.loops` measures the same with
more of them."""

from pathlib import Path
from typing import Final

from tests.chaos.dollars import spend_dollars
from tests.chaos.loop_stage import CALLERS, TURNS
from tests.chaos.loops import kill_loops

KILLS: Final = 5
DOLLARS: Final = 2


def test_loops_of_killed_workers_go_on_and_buy_and_do_nothing_twice(tmp_path: Path) -> None:
    found = kill_loops(tmp_path / "kills", KILLS, seed=3)
    assert found.broken == []
    assert found.kills >= KILLS - 1
    assert (found.completed, found.needed) == (KILLS, KILLS * (TURNS + 1))
    assert 0 <= found.served - found.needed <= found.kills
    assert found.repeated <= found.kills


def test_many_callers_never_spend_more_than_their_dollar_and_hardly_less(tmp_path: Path) -> None:
    found = spend_dollars(tmp_path / "dollars", DOLLARS, seed=3)
    assert found.broken == []
    assert 0.85 < found.least_for_work_usd <= 0.9
    assert found.most_usd <= 1.0
    assert 0 < found.ended_as_spent < DOLLARS * CALLERS
