"""Tools of real MCP servers, over stdio and streamable HTTP on loopback."""

import asyncio
import math
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from tasks.errors import BadSetting
from tests.unit.attempts import make_context
from workers.agents.base import Agent
from workers.answering import Answering
from workers.context import enter_step
from workers.llm.scripted import Call, ScriptedModel
from workers.llm.settings import ModelSettings
from workers.tools.base import Tool, ToolCall
from workers.tools.executor import ToolExecutor
from workers.tools.mcp import McpServers
from workers.tools.mcp_server import McpServer, ServerAwayError
from workers.tools.mcp_settings import McpServerConfig

ROOT = Path(__file__).resolve().parents[2]
PROGRAM: dict[str, Any] = {
    "command": sys.executable,
    "args": ["-m", "tests.support.mcp_server"],
    "cwd": ROOT,
    "connect_s": 30,
}


def own() -> str:
    """The agent's own tool."""
    return "mine"


def stdio(**fields: Any) -> McpServerConfig:
    return McpServerConfig.model_validate({**PROGRAM, **fields})


class Bench:
    """Servers, and an executor over their tools."""

    def __init__(self, servers: McpServers, tools: tuple[Tool, ...]) -> None:
        self.servers = servers
        self.names = [tool.name for tool in tools]
        self.tools = tools
        self.executor = ToolExecutor(tools)

    async def call(self, name: str, /, **given: JsonValue) -> ToolCall:
        return await self.executor.execute("toolu_1", name, given)


async def bench(**configs: McpServerConfig) -> Bench:
    servers = McpServers(configs)
    return Bench(servers, await servers.tools(configs))


@pytest.fixture
async def local() -> AsyncIterator[Bench]:
    made = await bench(t=stdio(env={"SECRET_WORD": "plover"}))
    yield made
    await made.servers.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class HttpServer:
    """The same server, over HTTP; can be stopped and started on its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> McpServerConfig:
        return McpServerConfig(url=f"http://127.0.0.1:{self.port}/mcp", connect_s=30)

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.mcp_server", "http", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < end, "the server did not start"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def web() -> Iterator[HttpServer]:
    server = HttpServer()
    server.start()
    yield server
    server.stop()


async def test_a_servers_tools_are_tools_with_names_that_the_api_takes(local: Bench) -> None:
    assert local.names == sorted(local.names)
    assert {"t_add", "t_say_it"} <= set(local.names)
    add = next(tool for tool in local.tools if tool.name == "t_add")
    assert add.description == "Adds two numbers."
    assert add.input_schema["required"] == ["left"]
    assert add.tags == {"mcp", "t"}
    assert local.executor.registry.own_name("t_say_it") == "say.it"


async def test_a_call_goes_there_and_back(local: Bench) -> None:
    assert (await local.call("t_add", left=2, right=3)).output == "5"
    assert (await local.call("t_say_it", text="ü\n" * 1000)).output == "ü\n" * 1000
    assert (await local.call("t_picture")).output == "[image, image/png, 3 bytes: not shown]"


async def test_calls_run_side_by_side(local: Bench) -> None:
    calls = await asyncio.gather(*(local.call("t_add", left=number) for number in range(20)))
    assert [call.output for call in calls] == [str(number + 1) for number in range(20)]


@pytest.mark.parametrize(
    ("name", "given", "code", "words"),
    [
        ("t_fail", {}, "failed", "fail"),
        ("t_add", {"left": "many"}, "failed", "left"),
        ("t_nowhere", {}, "unknown_tool", "no tool"),
    ],
)
async def test_what_goes_wrong_there_is_an_error_for_the_model(
    local: Bench, name: str, given: dict[str, JsonValue], code: str, words: str
) -> None:
    call = await local.call(name, **given)
    assert (call.success, call.code) == (False, code)
    assert words in str(call.error)


async def test_a_server_sees_its_own_environment_and_not_the_workers(
    local: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await local.call("t_environment", name="SECRET_WORD")).output == "plover"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-not-for-servers")
    other = await bench(o=stdio())
    assert (await other.call("o_environment", name="ANTHROPIC_API_KEY")).output == "unset"
    await other.servers.close()


async def test_a_call_carries_the_key_that_every_attempt_has(local: Bench) -> None:
    enter_step(make_context())
    first = (await local.call("t_key")).output
    again = (await ToolExecutor(local.tools).execute("another", "t_key", {})).output
    assert first == again
    assert len(str(first)) == 40


async def test_a_dead_server_costs_a_call_and_is_started_again(local: Bench) -> None:
    call = await local.call("t_die")
    assert (call.success, call.code) == (False, "server_unavailable")
    assert "go on without its tools" in str(call.error)
    assert (await local.call("t_add", left=1)).output == "2"


async def test_a_hung_call_ends_in_time_and_a_silent_server_is_started_again() -> None:
    made = await bench(t=stdio(timeout_s=0.3))
    codes = [(await made.call("t_hang")).code for _ in range(2)]
    assert codes == ["timeout", "timeout"]
    slow = McpServerConfig.model_validate({**PROGRAM, "timeout_s": 30})
    made.servers._servers["t"].config = slow
    assert (await made.call("t_add", left=1)).output == "2"
    await made.servers.close()


async def test_a_cancelled_call_leaves_the_connection_to_others(local: Bench) -> None:
    hung = asyncio.create_task(local.call("t_hang"))
    assert (await local.call("t_add", left=1)).output == "2"
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    assert (await local.call("t_add", left=2)).output == "3"


@pytest.mark.parametrize(
    "fields",
    [
        {"command": "troupe-no-such-program", "args": []},
        {"args": ["-c", "raise SystemExit(3)"]},
        {"args": ["-c", "print('no JSON at all')"]},
        {"args": ["-c", "import time; time.sleep(60)"], "connect_s": 0.5},
    ],
)
async def test_a_server_that_cannot_be_had_costs_only_its_tools(fields: dict[str, Any]) -> None:
    made = await bench(bad=stdio(**fields), good=stdio(allow=["add"]))
    assert made.names == ["good_add"]
    bad = made.servers._servers["bad"]
    bad._not_before = math.inf
    assert await made.servers.tools(["bad"]) == ()
    assert bad._link is None  # not asked again before its time
    await made.servers.close()


async def test_pauses_between_tries_grow_and_end_with_a_success() -> None:
    now = [0.0]
    server = McpServer("t", McpServerConfig(command="troupe-no-such-program"), lambda: now[0])
    for pause in (1, 2, 4):
        with pytest.raises(ServerAwayError):
            await server.tools()
        now[0] += pause - 0.1
        assert server._link is None
        with pytest.raises(ServerAwayError):
            await server.tools()
        assert server._link is None
        now[0] += 0.1
    server.config = stdio()
    assert await server.tools()
    await server.close()


async def test_over_http_too(web: HttpServer) -> None:
    made = await bench(w=web.config)
    assert (await made.call("w_add", left=2)).output == "3"
    assert (await made.call("w_fail")).code == "failed"
    await made.servers.close()


async def test_an_http_server_that_goes_away_costs_its_calls_until_it_is_back(web: HttpServer) -> None:
    made = await bench(w=web.config)
    assert (await made.call("w_add", left=1)).success
    web.stop()
    call = await made.call("w_add", left=2)
    assert (call.success, call.code) == (False, "server_unavailable")
    assert (await made.call("w_add", left=3)).code == "server_unavailable"
    await asyncio.to_thread(web.start)
    made.servers._servers["w"]._not_before = 0.0
    codes = [(await made.call("w_add", left=number)).code for number in range(10, 12)]
    assert codes[-1] is None
    await made.servers.close()


async def test_only_allowed_tools_are_there_and_some_need_a_yes() -> None:
    made = await bench(t=stdio(allow=["a*", "say.*"], prefix="", requires_approval=["say*"]))
    assert made.names == ["add", "say_it"]
    assert (await made.call("say_it", text="x")).code == "denied"
    assert (await made.call("add", left=1)).success
    assert [tool.name for tool in await made.servers.tools(["t"], taken={"add"})] == ["say_it"]
    await made.servers.close()


async def test_two_servers_of_one_tool_name_do_not_collide_into_an_error() -> None:
    made = await bench(a=stdio(allow=["add"], prefix=""), b=stdio(allow=["add"], prefix=""))
    assert made.names == ["add"]
    await made.servers.close()


async def test_an_unknown_server_is_a_mistake() -> None:
    with pytest.raises(BadSetting, match="no MCP server 'x'; TROUPE_MCP names: none"):
        await McpServers({}).tools(["x"])


async def test_what_a_server_writes_to_stderr_can_be_kept(tmp_path: Path) -> None:
    place = tmp_path / "server.log"
    made = await bench(t=stdio(args=["-c", "import sys; sys.exit('no luck')"], log_file=place))
    assert made.names == []
    await made.servers.close()
    assert "no luck" in place.read_text()


async def test_an_agent_uses_the_servers_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "mcp.toml"
    listed.write_text(
        f'[servers.t]\ncommand = "{sys.executable}"\nargs = ["-m", "tests.support.mcp_server"]\ncwd = "{ROOT}"\n'
        "connect_s = 30\n"
    )
    monkeypatch.setenv("TROUPE_MCP", str(listed))
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path))
    model = ScriptedModel([[Call("t_add", {"left": 20, "right": 22}), Call("own", {})], "Done."], name="own")
    answering = Answering(ModelSettings(model="own"))
    answering._models["own"] = model
    agent = Agent(name="search", description="Adds.", tools=[own], mcp=["t"])
    assert (await answering.answer(agent, make_context())).text == "Done."
    results = model.requests[1].messages[-1]["content"]
    assert [block["content"] for block in results if isinstance(block, dict)] == [
        '<result tool="t_add" status="ok">\n42\n</result>',
        '<result tool="own" status="ok">\nmine\n</result>',
    ]
    await answering.close()
