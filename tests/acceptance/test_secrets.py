"""Canaries: secrets that agents, tools and models let out everywhere are in no log, event, failure or page."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pytest

from orchestrator import Troupe
from tasks.log_lines import FIRST
from tasks.logs import TOLD_BY_US
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tasks.states import TaskStatus
from tasks.trace_ids import trace_id_of
from tests.acceptance import leaks
from tests.acceptance.conftest import CLAUDE, start_fleet
from tests.acceptance.stage import Command, Stages, get_json, wait_until
from workers.llm.base import Block
from workers.testing import FakeMessages, Say
from workers.testing.responder import agent_of

STEPS: Final = ("payer", "clerk", "thrower")
SAID: Final = f"Paid to {leaks.IBAN}, see {leaks.RECEIPT}. The keys are: {leaks.ALL}"


def answer(body: dict[str, Any]) -> Say:
    """Call both tools with secrets, then say all of them."""
    if agent_of(body["messages"]) not in STEPS or len(body["messages"]) > 1:
        return Say(content=SAID)
    given = {"pay": {"iban": leaks.IBAN, "note": leaks.ALL}, "refuse": {"iban": leaks.IBAN}, leaks.SECRETS[0]: {}}
    calls: list[dict[str, Any]] = [
        {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": value}
        for at, (name, value) in enumerate(given.items())
    ]
    return Say(content=cast("list[Block]", calls))


@dataclass(frozen=True, slots=True)
class Leaked:
    """A job that is over, and where its secrets could have gone."""

    result: JobResult
    events: str
    requests: str
    flower: str
    up: Command
    folder: Path

    @property
    def logs(self) -> str:
        """What all processes have logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("home/**/*.log")))

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What our own processes have logged, line by line."""
        paths = [path for path in sorted(self.folder.glob("home/**/*.log")) if path.name != "redis.log"]
        return [json.loads(line) for path in paths for line in path.read_text(errors="replace").splitlines()]


@pytest.fixture(scope="module")
def leaked(stages: Stages) -> Iterator[Leaked]:
    with FakeMessages(answer) as fake:
        stage = stages.new(
            TROUPE_AGENTS="leaks",
            TROUPE_LOG_LEVEL="debug",
            TROUPE_TASK_EVENTS="true",
            ANTHROPIC_API_KEY="sk-ant-test",
            ANTHROPIC_BASE_URL=fake.url,
        )
        shutil.copy(Path(leaks.__file__), stage.work / "leaks.py")
        up, url, flower = start_fleet(stage, "--concurrency", "4", flower=True)
        wait_until(lambda: len(get_json(f"{flower}/api/workers?refresh=1")) >= len(STEPS))
        steps = [PlannedStep(id=name, description=f"Pay: {leaks.ALL}", agent=name) for name in STEPS]
        with Troupe(url) as troupe:
            job = troupe.submit("Pay the invoices.", plan=Plan(steps=steps, rationale=leaks.ALL), model=CLAUDE)
            result = job.wait(100)
            events = "\n".join(event.model_dump_json() for event in job.events())

        def seen() -> str:
            tasks = get_json(f"{flower}/api/tasks?limit=1000")
            mine = [task for name, task in tasks.items() if job.id in name and task["state"] in {"SUCCESS", "FAILURE"}]
            return json.dumps([tasks, get_json(f"{flower}/api/workers")]) if len(mine) > len(STEPS) else ""

        shown = wait_until(seen)
        requests = "\n".join(json.dumps(one.body) for one in fake.requests)
        yield Leaked(result, events, requests, shown, up, stage.folder)
        up.process.terminate()
        up.wait()


def canaries(text: str) -> list[str]:
    """Secrets that stand in a text, whole or in part."""
    return [one for one in leaks.CANARIES if one in text]


def test_the_agents_did_what_they_were_made_for(leaked: Leaked) -> None:
    assert leaked.result.status is TaskStatus.COMPLETED
    codes = {one.step: one.code for one in leaked.result.missing}
    assert codes == {"clerk": "invalid_output", "thrower": "agent_raised"}
    for word in ("shouted", "debugging", "warned of", "shouted_again", "tool_retried", "agent_raised", "thread_raised"):
        assert word in leaked.logs
    for word in ("paying to", "refused", "text_delta", "plan_accepted"):
        assert word in leaked.events


def test_the_model_and_the_results_keep_what_the_tools_gave(leaked: Leaked) -> None:
    assert canaries(leaked.requests) == list(leaks.CANARIES)
    payer = next(one for one in leaked.result.steps if one.id == "payer")
    assert payer.result is not None
    assert canaries(payer.result.text) == list(leaks.CANARIES)


def test_no_log_of_any_process_has_a_secret(leaked: Leaked) -> None:
    assert canaries(leaked.logs + leaked.up.said + leaked.up.out.read_text()) == []


def test_no_event_has_a_secret(leaked: Leaked) -> None:
    assert canaries(leaked.events) == []


def test_no_failure_has_a_secret(leaked: Leaked) -> None:
    errors = [one.error for one in leaked.result.steps] + [leaked.result.error]
    texts = [one.model_dump_json() for one in errors if one is not None]
    texts += [one.model_dump_json(exclude={"description"}) for one in leaked.result.missing]
    assert len(texts) >= 4
    assert canaries("".join(texts)) == []


def test_flower_shows_no_secret(leaked: Leaked) -> None:
    assert "kwargs" in leaked.flower
    assert canaries(leaked.flower) == []


def test_every_line_of_our_processes_is_json_and_says_what_it_is(leaked: Leaked) -> None:
    assert {"orchestrator", "worker", "leaks", "leaks.plain", "celery.leaks"} <= {one["logger"] for one in leaked.lines}
    for line in leaked.lines:
        assert {*FIRST[:4]} <= {*line}, line
        assert [*line][:4] == [*FIRST[:4]], line


def test_every_line_about_a_job_says_which_trace_it_is_of(leaked: Leaked) -> None:
    about = [one for one in leaked.lines if "job" in one]
    assert {one["trace_id"] for one in about} == {trace_id_of(leaked.result.job_id)}
    assert {one["logger"] for one in about} >= {"orchestrator", "worker", "leaks", "leaks.plain", "celery.leaks"}


def test_what_is_logged_while_an_attempt_runs_says_whose_it_is(leaked: Leaked) -> None:
    lines = [one for one in leaked.lines if one["event"].startswith(("attempt_", "debugging", "warned of", "shouted"))]
    whose = {(one.get("step"), one.get("attempt"), one.get("agent")) for one in lines}
    assert {(name, 1, name) for name in STEPS} | {("synthesis", 1, "summary")} <= whose
    bare = [one["event"] for one in lines if "step" not in one]
    assert not [event for event in bare if event.startswith("attempt_")]
    assert len(bare) == 4, "only a thread that code started by itself knows nothing of its step"


def test_each_attempt_ends_in_one_line(leaked: Leaked) -> None:
    ends = Counter(
        (one["step"], one["attempt"]) for one in leaked.lines if one["event"] in {"attempt_succeeded", "attempt_failed"}
    )
    assert set(ends) == {(one.id, 1) for one in leaked.result.steps}
    assert set(ends.values()) == {1}
    assert not [one for one in leaked.lines if one["logger"] in TOLD_BY_US]
