"""The agent of README, offline."""

from tasks.results import JobResult
from tasks.states import TaskStatus
from tests.acceptance.conftest import Fleet


def test_the_agent_of_the_readme_answers_with_its_tool(fleet: Fleet) -> None:
    submitted = fleet.stage.troupe("submit", "Look up the share prices of ACME.")
    done = fleet.stage.troupe("result", submitted.stdout.strip(), "--wait", "30", "--json")
    result = JobResult.model_validate_json(done.stdout)
    assert result.status is TaskStatus.COMPLETED
    assert "finance" in {step.agent for step in result.steps}
    assert "101.50 EUR" in (result.answer or "")
