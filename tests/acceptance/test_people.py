"""People decide: a step that waits for them survives the end of everything, and goes on where it stopped."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from pydantic import SecretStr

from orchestrator import Troupe
from tasks.decisions import Answer, Approve, Decision
from tasks.ids import JobId, StepId
from tasks.models import Plan, PlannedStep
from tasks.results import Asked, JobResult
from tasks.settings import StoreSettings
from tasks.states import StepStatus, TaskStatus
from tasks.store import Store
from tasks.store.waits import Recorded, WaitStore
from tests.acceptance.conftest import CLAUDE, start_fleet
from tests.acceptance.stage import Command, Stage, Stages, objects, wait_until
from workers.agents.envelope import unwrap
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


async def telling(context: StepContext) -> str:
    return f"I was told: {context.claim.step.description}"


hasty = tool(name="pay", requires_approval=True, approval_expires=10.0, redact=["iban"])(pay.function)
payer = Agent(name="payer", description="Pays.", tools=[pay])
hurried = Agent(name="hurried", description="Pays.", queue="payer", tools=[hasty])
careful = Agent(name="careful", description="Waits.", queue="payer", requires_approval=True, run=telling)
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
        ((_, text),) = unwrap(str(said[-1]["content"]), "result")
        return Say(content=f"Done: {text}")
    call: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": {"iban": IBAN, "amount": 900}}
    return Say(content=[call], stop_reason="tool_use")


def submit(troupe: Troupe, agent: str) -> str:
    """A job of one step."""
    plan = Plan(steps=[PlannedStep(id="one", description="Do it.", agent=agent)])
    return troupe.submit("Do it.", plan=plan, model=CLAUDE).id


@dataclass
class Desk:
    """A stack whose agents ask people."""

    stage: Stage
    fake: FakeMessages
    up: Command
    url: str

    def ask(self, agent: str) -> str:
        """Submit a job of one step; gives its id once somebody is asked."""
        with Troupe(self.url) as troupe:
            job = submit(troupe, agent)
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
    calls, before = desk.fake.calls, len(desk.paid())
    desk.restart()
    assert [one["job_id"] for one in desk.asked()] == [job]
    desk.troupe("approve", job, "one")
    result = desk.end(job)
    assert result.status is TaskStatus.COMPLETED
    assert desk.paid()[before:] == [f"{IBAN} 900"]
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
    assert done.code == 2
    assert "not signed by this fleet" in done.stderr
    forge(desk.url, job, {"kind": "approved", "signature": "0" * 64})
    step = next(one for one in desk.end(job).steps if one.id == "one")
    assert step.result is not None
    assert "not signed" in step.result.text
    assert len(desk.paid()) == before


def forge(url: str, job: str, outcome: dict[str, Any]) -> None:
    """Record a decision as somebody does who reaches the store, and knows nothing else."""

    async def record() -> None:
        store = Store(StoreSettings(redis_url=SecretStr(url)))
        waits = WaitStore(store)
        (wait,) = await waits.of_step(JobId(job), StepId("one"))
        assert await waits.outcome(wait.job, wait.step, wait.key, outcome) is Recorded.DONE
        await store.close()

    asyncio.run(record())


def test_a_call_that_nobody_approves_in_time_is_not_made(desk: Desk) -> None:
    job = desk.ask("hurried")
    (one,) = [one for one in desk.asked() if one["job_id"] == job]
    assert one["expires_at"]
    before = len(desk.paid())
    step = next(one for one in desk.end(job).steps if one.id == "one")
    assert step.result is not None
    assert "nobody approved this call of pay in time" in step.result.text
    assert len(desk.paid()) == before
    assert "waits for no approval" in desk.troupe("approve", job, "one", code=2)


def test_a_step_that_needs_a_yes_begins_as_it_was_approved_after_the_end_of_everything(desk: Desk) -> None:
    job = desk.ask("careful")
    (one,) = [one for one in desk.asked() if one["job_id"] == job]
    assert (one["kind"], one["description"], one["tool"]) == ("approval", "Do it.", None)
    assert "one waits for approval: begin: Do it." in desk.troupe("show", job)
    desk.restart()
    desk.troupe("approve", job, "one", "--edit", json.dumps({"description": "Do it gently."}))
    step = next(one for one in desk.end(job).steps if one.id == "one")
    assert step.result is not None
    assert step.result.text == "I was told: Do it gently."
    assert step.waits_for == ()


def test_code_can_decide_in_place_of_people(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_HOME", str(desk.stage.home))  # the fleet's secret is there
    seen: list[Asked] = []

    def decide(one: Asked) -> Decision | None:
        seen.append(one)
        return Answer("2024") if one.question else Approve() if one.description else None

    with Troupe(desk.url) as troupe, troupe.people.watch(decide, every=0.05):
        jobs = [submit(troupe, agent) for agent in ("asker", "careful")]
        texts = [next(one for one in troupe.job(job).wait(60).steps if one.id == "one").result for job in jobs]
    assert [text.text for text in texts if text] == ["The year is 2024.", "I was told: Do it."]
    assert {one.job_id for one in seen} >= {*jobs}


def test_a_question_of_an_agents_own_code_is_answered(desk: Desk) -> None:
    job = desk.ask("asker")
    desk.troupe("answer", job, "one", "2025")
    step = next(one for one in desk.end(job).steps if one.id == "one")
    assert step.result is not None
    assert step.result.text == "The year is 2025."
