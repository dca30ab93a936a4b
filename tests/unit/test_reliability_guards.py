"""The list of guards stays true: each is found where it says, and the page names its test and no other guard."""

from typing import Final

import pytest

from tests.mutation.guards import GUARDS, Guard
from tests.unit.pages import ROOT

HEAD: Final = "| guard | in | first test that fails without it |"


def rows() -> list[list[str]]:
    """The page's table: name, file and test of each guard."""
    lines = (ROOT / "docs" / "reliability-guards.md").read_text().splitlines()
    body = lines[lines.index(HEAD) + 2 :]
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in body if line.startswith("|")]


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_a_guard_stands_once_where_the_list_says(guard: Guard) -> None:
    """It was changed? Say in tests/mutation/guards.py what it is now, and run `python -m tests.mutation NAME`."""
    assert (ROOT / guard.file).read_text().count(guard.text) == 1
    assert guard.text != guard.without


def test_the_page_has_every_guard_once_and_no_other() -> None:
    assert sorted((name, file) for name, file, _ in rows()) == sorted((guard.name, guard.file) for guard in GUARDS)
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_of_the_page_names_a_test_that_there_is(row: list[str]) -> None:
    module, _, test = row[2].partition("::")
    (path,) = (ROOT / "tests").glob(f"*/{module}")
    assert f"def {test}(" in path.read_text()


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_the_tests_that_should_miss_a_guard_are_there(guard: Guard) -> None:
    assert guard.tests
    assert [test for test in guard.tests if not (ROOT / test).is_file()] == []
