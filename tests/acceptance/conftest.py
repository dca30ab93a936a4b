"""Stacks that the tests of this ring share: each is started once, by the first test that wants it."""

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

import pytest
from _pytest.runner import runtestprotocol

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from orchestrator.local.redis_server import free_port
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tests.acceptance.stage import START_WITHIN_S, Command, Stage, Stages, copy_actors, wait_until
from tests.support.browser import browser, page
from workers.testing import FakeMessages, Hang, Say
from workers.testing.responder import RuleResponder

__all__ = ["browser", "page"]

ROOT: Final = Path(__file__).parents[2]
TRIED_AGAIN: Final = ROOT / "reports" / "tried-again.txt"
QUESTION: Final = "Compare refunds, returns and warranties. How many refunds and returns were there each month?"
NOTES: Final = {
    "refunds.md": "# Refunds\n\nA refund needs the signature of a manager.\n\n## Time\n\nA refund takes two weeks.\n",
    "returns.md": "# Returns\n\nA return needs the original packaging.\n\n## Time\n\nA return takes thirty days.\n",
    "warranty.txt": "Warranties\n\nA warranty claim needs the receipt.\nA warranty lasts for two years.\n",
}
TABLE: Final = "month,kind,count\n" + "".join(
    f"2025-{month:02},refund,{month * 3}\n2025-{month:02},return,{month * 5}\n" for month in range(1, 7)
)
CLAUDE: Final = "claude-sonnet-5-5"
CYCLE: Final = json.dumps(
    {
        "rationale": "In a circle.",
        "steps": [
            {"id": "hen", "description": "Lay the egg.", "agent": "search", "depends_on": ["egg"]},
            {"id": "egg", "description": "Hatch the hen.", "agent": "search", "depends_on": ["hen"]},
        ],
    }
)


async def answer(body: dict[str, Any]) -> Say | Hang:
    """What the fake Messages API does with a request: by a word in its task, else as the offline rules say."""
    opening = json.dumps(body["messages"][0])
    if "HANG" in opening:
        return Hang()
    if "CIRCLE" in opening:
        return Say(content=CYCLE)
    if "NONSENSE" in opening:
        return Say(content="Let me think about that.")
    return await RuleResponder()(body)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests more time than others: whole stacks start in them, beside other tests."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """Makes stages; ends whatever still runs on them after the last test."""
    made = Stages(tmp_path_factory.mktemp("a"))
    yield made
    made.close()


@pytest.fixture
def stage(stages: Stages) -> Stage:
    """A stage of the test's own."""
    return stages.new()


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of documents."""
    folder = tmp_path_factory.mktemp("notes")
    for name, text in NOTES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data file."""
    path = tmp_path_factory.mktemp("data") / "cases.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeMessages]:
    """A Messages API on this machine."""
    with FakeMessages(answer) as server:
        yield server


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Try a test that failed once more: these wait for many real processes, and a shared machine may stand still for a
    minute. Both tries must fail; what was tried again is noted, and `make test` shows it."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    allowed, _ = signal.getitimer(signal.ITIMER_REAL)  # what pytest-timeout has set
    try:
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    except SystemError:  # Python 3.11 parses what failed, to show it, and not while a task that nobody awaited goes
        cast(Any, item.session)._setupstate.teardown_exact(nextitem)
        reports = []
    if not reports or any(report.failed for report in reports):
        TRIED_AGAIN.parent.mkdir(exist_ok=True)
        with TRIED_AGAIN.open("a") as notes:
            notes.write(f"tried again: {item.nodeid}\n")
        cast(Any, item)._initrequest()
        signal.setitimer(signal.ITIMER_REAL, allowed)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    signal.setitimer(signal.ITIMER_REAL, 0)  # it would end the whole run, were it to ring while results are told
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


Once = Callable[[str, Callable[[], Any]], Any]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes something of JSON once for all test processes: the first that wants it; the others wait and read it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def get(name: str, make: Callable[[], Any]) -> Any:
        place = folder / f"{name}.json"
        with place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                place.write_text(json.dumps(make()))
        return json.loads(place.read_text())

    return get


@dataclass(frozen=True, slots=True)
class Run:
    """A `troupe run` that has ended."""

    code: int
    stdout: str
    stderr: str
    left: list[str]
    """What was there after it that should not be."""

    @classmethod
    def of(cls, stage: Stage, *options: str, **variables: str) -> dict[str, Any]:
        """Run a job; gives the fields of a Run."""
        done = stage.troupe("run", QUESTION, *options, within=START_WITHIN_S, **variables)
        return {**asdict(done), "left": stage.leavings()}

    @property
    def result(self) -> JobResult:
        """What it printed with --json."""
        return JobResult.model_validate_json(self.stdout)


@pytest.fixture(scope="session")
def main_run(once: Once, stages: Stages, notes: Path, table: Path) -> Run:
    """The main job with --json."""
    options = ("--docs", str(notes), "--data", str(table), "--json")
    return Run(**once("main_run", lambda: Run.of(stages.new(), *options)))


@dataclass(frozen=True, slots=True)
class Fleet:
    """A `troupe up` that is ready."""

    stage: Stage
    up: Command
    url: str
    flower: str
    troupe: Troupe

    def nap(self, *lengths: str, agent: str = "napper") -> JobHandle:
        """Submit a job of naps, one after the other; of each the seconds of its first attempt, its second …"""
        steps = [
            PlannedStep(
                id=f"nap-{at}", description=f"nap {length}", agent=agent, depends_on=[f"nap-{at - 1}"] if at else []
            )
            for at, length in enumerate(lengths)
        ]
        return self.troupe.submit("Sleep well.", plan=Plan(steps=steps))

    def napping(self, job: JobHandle, step: str = "nap-0", attempt: int = 1) -> int:
        """Wait until that attempt has begun; gives the process that runs it."""

        def found() -> int | None:
            naps = Path(self.stage.variables["NAPS"])
            lines = naps.read_text().splitlines() if naps.exists() else []
            wanted = [str(job.id), step, str(attempt)]
            return next((int(line.split()[0]) for line in lines if line.split()[1:] == wanted), None)

        return wait_until(found, within=20) or 0


def start_fleet(stage: Stage, *options: str, flower: bool) -> tuple[Command, str, str]:
    """Start `troupe up` on free ports and wait until it is ready; gives the addresses of Redis and Flower."""
    redis_port, flower_port = free_port(), free_port()
    options = (*options, *(("--flower-port", str(flower_port)) if flower else ("--no-flower",)))
    options = options if "--api-port" in options else (*options, "--no-api")
    up = stage.start("up", "--redis-port", str(redis_port), *options)

    def ready() -> bool:
        assert up.process.poll() is None, up.said
        return "Ctrl-C ends it." in up.said

    wait_until(ready, within=START_WITHIN_S)
    return up, f"redis://127.0.0.1:{redis_port}/0", f"http://127.0.0.1:{flower_port}"


@pytest.fixture(scope="session")
def fleet(stages: Stages, fake: FakeMessages) -> Iterator[Fleet]:
    """A whole stack with Flower, own agents and a fake Claude, that loses its workers sooner than others."""
    stage = stages.new(
        TROUPE_AGENTS="actors,finance",
        TROUPE_MODEL="offline",
        TROUPE_LEASE_S="5",
        TROUPE_REPUBLISH_S="1",
        ANTHROPIC_API_KEY="sk-ant-test",
        ANTHROPIC_BASE_URL=fake.url,
    )
    stage.variables["NAPS"] = str(stage.folder / "naps.txt")
    copy_actors(stage)
    (stage.work / "finance.py").write_text(readme_example("finance = Agent("))
    up, url, flower = start_fleet(stage, "--concurrency", "20", flower=True)
    with Troupe(url) as troupe:
        yield Fleet(stage, up, url, flower, troupe)
    up.process.terminate()
    up.wait()


def readme_example(phrase: str) -> str:
    """The Python code of README that has a phrase in it."""
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    return next(code for code in (block.split("```")[0] for block in blocks) if phrase in code)
