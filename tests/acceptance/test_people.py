"""People decide: a step that waits for them survives the end of everything, and goes on where it stopped."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from orchestrator import Troupe
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tasks.states import StepStatus, TaskStatus
from tests.acceptance.conftest import CLAUDE, start_fleet
from tests.acceptance.stage import Command, Stage, Stages, objects, wait_until
from workers.testing import FakeMessages, Say

AGENTS = '''
from pathlib import Path
from workers import Agent, StepContext, tool

PAID = Path("paid.txt")


@tool(requires_approval=True, redact=["iban"])
async def pay(iban: str, amount: int) -> str:
    """Pay an invoice."""
    with PAID.open("a") as log:
        log.write(f"{iban} {amount}\\n")
    return f"paid {amount}"


async def asking(context: StepContext) -> str:
    return f"The year is {await context.ask('Which year?', ['2024', '2025'])}."


payer = Agent(name="payer", description="Pays.", tools=[pay])
asker = Agent(name="asker", description="Asks.", queue="payer", run=asking)
'''
IBAN = "DE02120300000000202051"


def answer(body: dict[str, Any]) -> Say:
    """Pay once, then say what came of it; whoever cannot pay says so."""
    if "pay" not in [one["name"] for one in body.get("tools", [])]:
        return Say(content="There is nothing to add.")
    blocks = [block for one in body["messages"] for block in cast("list[dict[str, Any]] | str", one["content"])]
    said = [block for block in blocks if not isinstance(block, str) and block.get("type") == "tool_result"]
    if said:
        return Say(content=f"Done: {said[-1]['content']}")
    call: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": {"iban": IBAN, "amount": 900}}
    return Say(content=[call], stop_reason="tool_use")


@dataclass
class Desk:
    """A stack whose agents ask people."""

    stage: Stage
    fake: FakeMessages
    up: Command
    url: str

    def ask(self, agent: str) -> str:
        """Submit a job of one step; gives its id once somebody is asked."""
        plan = Plan(steps=[PlannedStep(id="one", description="Do it.", agent=agent)])
        with Troupe(self.url) as troupe:
            job = troupe.submit("Do it.", plan=plan, model=CLAUDE).id
        wait_until(lambda: job in {one["job_id"] for one in self.asked()})
        return job

    def asked(self) -> list[dict[str, Any]]:
        """What people are asked."""
        return objects(self.troupe("approvals", "--json"))

    def troupe(self, *words: str, code: int = 0) -> str:
        """What a command prints."""
        done = self.stage.troupe(*words, TROUPE_REDIS_URL=self.url)
        assert done.code == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    def end(self, job: str) -> JobResult:
        """The job's outcome."""
        with Troupe(self.url) as troupe:
            return troupe.job(job).wait(60)

    def paid(self) -> list[str]:
        """What was paid so far."""
        log = self.stage.work / "paid.txt"
        return log.read_text().splitlines() if log.exists() else []

    def restart(self) -> None:
        """Stop every process, Redis too, and start them again."""
        self.up.process.terminate()
        assert self.up.wait().code == 0
        self.start()

    def start(self) -> None:
        """Start the stack."""
        self.up, self.url, _ = start_fleet(self.stage, "--concurrency", "2", flower=False)


@pytest.fixture(scope="module")
def desk(stages: Stages) -> Iterator[Desk]:
    with FakeMessages(answer) as fake:
        stage = stages.new(
            TROUPE_AGENTS="payer", ANTHROPIC_API_KEY="sk-ant-test", ANTHROPIC_BASE_URL=fake.url, TROUPE_MODEL="offline"
        )
        (stage.work / "payer.py").write_text(AGENTS)
        up, url, _ = start_fleet(stage, "--concurrency", "2", flower=False)
        made = Desk(stage, fake, up, url)
        yield made
        made.up.process.terminate()
        made.up.wait()


def test_a_call_that_waits_for_a_yes_survives_the_end_of_everything(desk: Desk) -> None:
    job = desk.ask("payer")
    (one,) = [one for one in desk.asked() if one["job_id"] == job]
    assert (one["kind"], one["tool"], one["agent"]) == ("approval", "pay", "payer")
    assert IBAN not in json.dumps(one)
    calls = desk.fake.calls
    desk.restart()
    assert [one["job_id"] for one in desk.asked()] == [job]
    desk.troupe("approve", job, "one")
    result = desk.end(job)
    assert result.status is TaskStatus.COMPLETED
    assert desk.paid() == [f"{IBAN} 900"]
    step = next(one for one in result.steps if one.id == "one")
    assert step.result is not None
    assert step.result.text == "Done: paid 900"
    assert desk.fake.calls - calls == 2, "the step's second turn and the answer: the first turn is not bought again"
    assert "waits for no approval" in desk.troupe("approve", job, "one", code=2)


def test_arguments_can_be_edited_and_a_call_refused(desk: Desk) -> None:
    edited, refused = desk.ask("payer"), desk.ask("payer")
    before = len(desk.paid())
    desk.troupe("approve", edited, "one", "--edit", json.dumps({"iban": IBAN, "amount": 5}))
    desk.troupe("deny", refused, "one", "--reason", "too dear")
    assert desk.end(edited).status is TaskStatus.COMPLETED
    step = next(one for one in desk.end(refused).steps if one.id == "one")
    assert step.status is StepStatus.SUCCEEDED
    assert step.result is not None
    assert "too dear" in step.result.text
    assert desk.paid()[before:] == [f"{IBAN} 5"]


def test_whoever_writes_to_the_store_cannot_approve(desk: Desk) -> None:
    job = desk.ask("payer")
    before = len(desk.paid())
    done = desk.stage.troupe(
        "approve", job, "one", TROUPE_REDIS_URL=desk.url, TROUPE_SECRET="not the secret of this fleet"
    )
    assert done.code == 0
    step = next(one for one in desk.end(job).steps if one.id == "one")
    assert step.result is not None
    assert "not signed" in step.result.text
    assert len(desk.paid()) == before


def test_a_question_of_an_agents_own_code_is_answered(desk: Desk) -> None:
    job = desk.ask("asker")
    desk.troupe("answer", job, "one", "2025")
    step = next(one for one in desk.end(job).steps if one.id == "one")
    assert step.result is not None
    assert step.result.text == "The year is 2025."
