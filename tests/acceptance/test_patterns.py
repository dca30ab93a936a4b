"""The examples of patterns on real processes: offline, and with the fake Claude."""

import sys

import pytest

from tasks.patterns.compile import plan_of
from tasks.states import TaskStatus
from tests.acceptance.conftest import Fleet
from tests.unit.pages import ROOT, others
from tests.unit.test_patterns import EXAMPLES, example
from workers.testing import FakeMessages


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_a_program(fleet: Fleet, name: str) -> None:
    path = str(ROOT / "examples" / f"{name}.py")
    done = fleet.stage.start_program([sys.executable, path], TROUPE_REDIS_URL=fleet.url).wait()
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.strip()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_with_a_model_over_http(fleet: Fleet, fake: FakeMessages, name: str) -> None:
    made, before = example(name), fake.calls
    job = fleet.troupe.submit(made.TASK, model="claude-haiku-4-5", plan=plan_of(made.PATTERN))
    result = job.wait(30)
    assert result.status is TaskStatus.COMPLETED, result.error
    assert result.missing == ()
    assert fake.calls > before
    assert fake.violations == []


def test_the_example_of_the_page_runs(fleet: Fleet) -> None:
    (example_of_page,) = others("docs/patterns.md")
    done = fleet.stage.start_program([sys.executable, "-c", example_of_page.text], TROUPE_REDIS_URL=fleet.url).wait()
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.strip()
