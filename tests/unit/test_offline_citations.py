"""Citations in texts of any shape are read in linear time."""

import time

from workers.agents.citations import cited


def test_a_long_run_of_blanks_costs_nothing() -> None:
    start = time.process_time()
    assert cited(" " * 200_000 + "x [p0000000001]") == ["p0000000001"]
    assert time.process_time() - start < 1
