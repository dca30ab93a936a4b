"""Other programs use the fleet as tools, with the official package's own client: over stdio, and at the API's /mcp."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from orchestrator import AsyncTroupe, Troupe
from tasks.access import Scope
from tasks.models import Plan, PlannedStep
from tasks.states import TaskStatus
from tests.acceptance.conftest import CLAUDE, NOTES, start_fleet
from tests.acceptance.stage import START_WITHIN_S, Stage, Stages, wait_until
from tests.acceptance.web_scene import Site, site
from workers.testing import FakeMessages

AGENTS: Final = """
from workers import Agent, StepContext


async def asking(context: StepContext) -> str:
    return f"The year is {await context.ask('Which year?', ['2024', '2025'])}."


async def telling(context: StepContext) -> str:
    return f"I was told: {context.claim.step.description}"


careful = Agent(name="careful", description="Waits for a yes.", queue="asker", requires_approval=True, run=telling)
asker = Agent(name="asker", description="Asks for the year.", queue="asker", run=asking)
"""
HANG: Final = "HANG until somebody has enough of it."
TASK: Final = "Compare refunds and warranties."
OPEN: Final = frozenset({TaskStatus.PENDING, TaskStatus.IN_PROGRESS})


@dataclass
class Scene:
    """A fleet whose model hangs on demand, and its API."""

    site: Site
    stage: Stage
    url: str

    def ask(self, agent: str) -> str:
        """A job whose step asks people; its id, once it does."""
        with Troupe(self.url) as troupe:
            plan = Plan(steps=[PlannedStep(id="one", description="Do it.", agent=agent)])
            job = troupe.submit("Do it.", plan=plan)
            wait_until(lambda: job.id in {one.job_id for one in troupe.people.list()})
        return job.id


@dataclass
class Host:
    """A program that speaks MCP."""

    client: Client
    called: set[str] = field(default_factory=set[str])
    told: list[tuple[float, float | None, str | None]] = field(
        default_factory=list[tuple[float, float | None, str | None]]
    )
    hears: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """What a tool answers."""
        result = await self.client.call_tool(tool, arguments, progress_callback=self.progress)
        self.called.add(tool)
        assert not result.is_error, result
        return result.structured_content or {}

    async def refusal(self, tool: str, /, **arguments: Any) -> str:
        """The code that a tool refuses with."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result
        found: dict[str, Any] = result.structured_content or {}
        return str(found["error"]["code"])

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Note what is told of a call that waits."""
        self.told.append((progress, total, message))
        self.hears.set()


@pytest.fixture(scope="module")
def scene(stages: Stages, fake: FakeMessages) -> Iterator[Scene]:
    stage = stages.new(
        TROUPE_AGENTS="asker",
        TROUPE_MODEL=CLAUDE,
        TROUPE_REPUBLISH_S="1",
        ANTHROPIC_API_KEY="sk-ant-test",
        ANTHROPIC_BASE_URL=fake.url,
    )
    (stage.work / "asker.py").write_text(AGENTS)
    for name, text in NOTES.items():
        (stage.work / name).write_text(text)
    assert stage.troupe("kb", "add", *NOTES).code == 0
    up, url, _ = start_fleet(stage, "--concurrency", "4", flower=False)
    with site(stage, url) as made:
        yield Scene(made, stage, url)
    up.process.terminate()
    up.wait()


def stdio(scene: Scene, **variables: str) -> Client:
    """The client of a `troupe mcp` that it starts itself, as hosts do."""
    environment = scene.stage.environment({"TROUPE_REDIS_URL": scene.url, **variables})
    words = ["-m", "orchestrator.cli", "mcp"]
    return Client(StdioServerParameters(command=sys.executable, args=words, env=environment, cwd=scene.stage.work))


@asynccontextmanager
async def over_http(url: str, key: str | None) -> AsyncGenerator[Client]:
    """The client of a server that listens."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


@asynccontextmanager
async def hosted(scene: Scene, door: str) -> AsyncGenerator[Host]:
    """A program at one of the doors."""
    if door == "stdio":
        async with stdio(scene) as client:
            yield Host(client)
    else:
        async with over_http(f"{scene.site.url}/mcp", scene.site.key) as client:
            yield Host(client)


@pytest.mark.parametrize("door", ["stdio", "http"])
async def test_every_tool_does_what_it_says(scene: Scene, door: str) -> None:
    async with hosted(scene, door) as host:
        assert {"search", "asker"} <= {one["name"] for one in (await host.call("list_agents"))["agents"]}
        assert [one["name"] for one in (await host.call("list_knowledge"))["knowledge"]] == ["default"]
        hits = (await host.call("search_knowledge", query="receipt for a warranty claim"))["hits"]
        assert "receipt" in hits[0]["text"]
        await decide(scene, host)
        job = (await host.call("submit_job", task=TASK, budget_usd=1, timeout_s=120))["job_id"]
        assert (await host.call("job_status", job_id=job))["job_id"] == job
        followed = await host.call("follow_job", job_id=job)
        assert followed["status"] == "completed"
        assert followed["sources"]
        assert await host.call("job_result", job_id=job, wait_s=1) == followed
        said = await host.call("ask_session", text=TASK, session=f"talk-{door}")
        assert (said["status"], said["session"].partition(".")[0]) == ("completed", f"talk-{door}")
        hanging = (await host.call("submit_job", task=HANG))["job_id"]
        assert hanging in {one["job_id"] for one in (await host.call("list_jobs"))["jobs"]}
        assert (await host.call("cancel_job", job_id=hanging))["status"] == "cancelled"
        assert host.called == {tool.name for tool in (await host.client.list_tools()).tools}


async def decide(scene: Scene, host: Host) -> None:
    """Say yes, no, and a year."""
    allowed, refused, asking = [await asyncio.to_thread(scene.ask, agent) for agent in ("careful", "careful", "asker")]
    asked = (await host.call("list_asked"))["asked"]
    assert {allowed, refused, asking} <= {one["job_id"] for one in asked}
    key = next(one["key"] for one in asked if one["job_id"] == allowed)
    assert (await host.call("approve", job_id=allowed, step="one", key=key))["decision"] == "approved"
    await host.call("deny", job_id=refused, step="one", reason="not today")
    await host.call("answer", job_id=asking, step="one", text="2025")
    assert "2025" in str((await host.call("job_result", job_id=asking, wait_s=60))["answer"])
    assert await host.refusal("approve", job_id=allowed, step="one") == "not_asked"


@pytest.mark.parametrize("door", ["stdio", "http"])
async def test_a_call_that_waits_tells_its_progress_until_the_answer(scene: Scene, door: str) -> None:
    async with hosted(scene, door) as host:
        found = await host.call("submit_job", task=TASK, wait=True)
    assert found["answer"]
    assert found["steps_done"] == found["steps_total"] > 1
    numbers = [number for number, _, _ in host.told]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > found["steps_total"]
    assert all(total is not None and number <= total for number, total, _ in host.told)
    assert host.told[-1][2] == f"{found['steps_total']} of {found['steps_total']} steps done: completed"


@pytest.mark.parametrize(
    ("door", "tool", "words"),
    [
        ("stdio", "submit_job", {"task": HANG, "wait": True}),
        ("http", "submit_job", {"task": HANG, "wait": True}),
        ("http", "ask_session", {"text": HANG}),
    ],
)
async def test_a_call_that_is_cancelled_cancels_the_job_that_it_began(
    scene: Scene, door: str, tool: str, words: dict[str, Any]
) -> None:
    async with hosted(scene, door) as host, AsyncTroupe(scene.url) as troupe:
        before = {one.job_id for one in await troupe.jobs()}
        call = asyncio.create_task(host.call(tool, **words))
        await host.hears.wait()
        (job,) = [one.job_id for one in await troupe.jobs() if one.job_id not in before]
        assert await troupe.job(job).status() in OPEN
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert (await troupe.job(job).wait(30)).status is TaskStatus.CANCELLED


async def test_a_call_that_only_followed_leaves_the_job_as_it_is(scene: Scene) -> None:
    async with hosted(scene, "http") as host, AsyncTroupe(scene.url) as troupe:
        job = await troupe.submit(HANG)
        call = asyncio.create_task(host.call("follow_job", job_id=job.id))
        await host.hears.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert (await host.call("job_status", job_id=job.id))["status"] in OPEN
        await job.cancel()


async def test_a_key_opens_what_it_may_and_nothing_else(scene: Scene) -> None:
    job = await asyncio.to_thread(scene.ask, "careful")
    other = scene.site.new_key("strangers", Scope.READ)
    async with over_http(f"{scene.site.url}/mcp", other) as client:
        host = Host(client)
        for tool in ("job_status", "job_result", "follow_job"):
            assert await host.refusal(tool, job_id=job) == "unknown_job"
        for tool in ("cancel_job", "approve", "deny"):
            assert (
                await host.refusal(tool, job_id=job, **({} if tool == "cancel_job" else {"step": "one"}))
                == "not_allowed"
            )
        assert await host.refusal("submit_job", task=TASK) == "not_allowed"
        assert (await host.call("list_asked"))["asked"] == []
        assert (await host.call("list_jobs"))["jobs"] == []
        assert (await host.call("list_knowledge"))["knowledge"] == []


@pytest.mark.parametrize("key", [None, "trp_", f"trp_0123456789_{'x' * 43}"])
async def test_nobody_comes_in_without_a_key_that_is_good(scene: Scene, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    async with httpx2.AsyncClient(headers=headers) as http:
        found = await http.post(f"{scene.site.url}/mcp", json=body)
    assert (found.status_code, found.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_server_before_an_api_passes_each_callers_key_on(scene: Scene) -> None:
    variables = {"TROUPE_API_URL": scene.site.url, "TROUPE_API_KEY": scene.site.key}
    server = scene.stage.start("mcp", "--http", "--port", "0", **variables)
    words = await asyncio.to_thread(wait_until, lambda: server.out.read_text().split()[1:], START_WITHIN_S)
    async with httpx2.AsyncClient() as http:
        assert (await http.post(words[0], json={})).status_code == 401
    async with over_http(words[0], scene.site.new_key("strangers", Scope.ADMIN)) as client:
        assert (await Host(client).call("list_jobs"))["jobs"] == []
    async with over_http(words[0], scene.site.key) as client:
        host = Host(client)
        job = (await host.call("submit_job", task=TASK))["job_id"]
        assert (await host.call("follow_job", job_id=job))["status"] == "completed"
    server.process.terminate()
    server.wait()


async def test_over_stdio_the_key_of_the_environment_is_shown_to_the_api(scene: Scene) -> None:
    key = scene.site.new_key("readers", Scope.READ)
    async with stdio(scene, TROUPE_API_URL=scene.site.url, TROUPE_API_KEY=key) as client:
        assert (await Host(client).call("list_jobs"))["jobs"] == []
        assert await Host(client).refusal("submit_job", task=TASK) == "not_allowed"


async def test_jobs_outlive_the_process_that_a_call_waits_in(scene: Scene) -> None:
    async with AsyncTroupe(scene.url) as troupe:
        before = {one.job_id for one in await troupe.jobs()}
        with suppress(BaseExceptionGroup):
            async with over_http(f"{scene.site.url}/mcp", scene.site.key) as client:
                host = Host(client)
                call = asyncio.create_task(host.call("submit_job", task=HANG, wait=True))
                await host.hears.wait()
                await asyncio.to_thread(scene.site.restart)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
        (job,) = [one.job_id for one in await troupe.jobs() if one.job_id not in before]
        assert await troupe.job(job).status() in OPEN
        await troupe.job(job).cancel()
