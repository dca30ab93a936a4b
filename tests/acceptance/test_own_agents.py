"""The agent and the producer of README, offline."""

import sys

from tasks.results import JobResult
from tasks.states import TaskStatus
from tests.acceptance.conftest import Fleet, readme_example


def test_the_agent_of_the_readme_answers_with_its_tool(fleet: Fleet) -> None:
    submitted = fleet.stage.troupe("submit", "Look up the share prices of ACME.")
    done = fleet.stage.troupe("result", submitted.stdout.strip(), "--wait", "30", "--json")
    result = JobResult.model_validate_json(done.stdout)
    assert result.status is TaskStatus.COMPLETED
    assert "finance" in {step.agent for step in result.steps}
    assert "101.50 EUR" in (result.answer or "")


def test_the_producer_of_the_readme_gets_its_answer(fleet: Fleet) -> None:
    example, address = readme_example("troupe.submit("), '"redis://localhost:6379/0"'
    assert address in example
    for code in (example.replace(address, f'"{fleet.url}"'), example.replace(address, "")):
        done = fleet.stage.start_program([sys.executable, "-c", code]).wait()
        assert (done.code, done.stderr) == (0, "")
        assert "[" in done.stdout
