"""The list of MCP servers, and what their tools return, as text."""

from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult

from tasks.errors import BadSetting, ContractError
from workers.agents.base import Agent
from workers.tools.mcp_client import reason
from workers.tools.mcp_content import as_text
from workers.tools.mcp_settings import read_servers

FULL = """
[servers.files]
command = "files-server"
args = ["--root", "${ROOT}"]
env = { TOKEN = "${TOKEN}" }
timeout_s = 5
allow = ["read_*"]

[servers.web]
url = "https://mcp.example/mcp"
headers = { Authorization = "Bearer ${TOKEN}" }
prefix = ""
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "mcp.toml"


def test_servers_are_read_and_variables_filled_in(place: Path) -> None:
    place.write_text(FULL)
    servers = read_servers(place, {"TOKEN": "geheim-1", "ROOT": "data"})
    assert list(servers) == ["files", "web"]
    assert servers["files"].args == ("--root", "data")
    assert servers["files"].env["TOKEN"].get_secret_value() == "geheim-1"
    assert servers["web"].headers["Authorization"].get_secret_value() == "Bearer geheim-1"
    assert (servers["web"].prefix, servers["files"].prefix, servers["files"].timeout_s) == ("", None, 5)
    assert "geheim" not in repr(servers)


def test_without_a_file_there_are_none() -> None:
    assert read_servers(None) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[servers", "cannot be used"),
        ("other = 1", "only tables"),
        ("servers = 1", "only tables"),
        ("[servers.Big]\ncommand='x'", "cannot name a server"),
        ("[servers.a]", "give either command or url"),
        ("[servers.a]\ncommand='x'\nurl='http://x'", "give either command or url"),
        ("[servers.a]\nurl='ftp://x'", "url"),
        ("[servers.a]\nurl='http://x'\nargs=['geheim']", "headers belong to a url"),
        ("[servers.a]\ncommand='x'\nheaders={A='geheim'}", "headers belong to a url"),
        ("[servers.a]\ncommand='x'\nodd='geheim'", "odd"),
        ("[servers.a]\ncommand='x'\nenv={A=['geheim']}", "env.A"),
        ("[servers.a]\ncommand='x'\ntimeout_s=0", "timeout_s"),
        ("[servers.a]\ncommand='${NOT_SET}'", "NOT_SET is not set"),
        ("servers = {a = 5}", "servers.a"),
    ],
)
def test_what_is_wrong_is_said_without_values(place: Path, text: str, words: str) -> None:
    place.write_text(text)
    with pytest.raises(BadSetting, match=r"TROUPE_MCP: .*mcp\.toml") as caught:
        read_servers(place, {})
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_a_file_that_is_not_there_is_a_bad_setting(place: Path) -> None:
    with pytest.raises(BadSetting, match="TROUPE_MCP"):
        read_servers(place)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"content": [{"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}]}, "[audio, audio/wav, 3 bytes"),
        ({"content": [], "structuredContent": {"ü": 1}}, '{"ü": 1}'),
        ({"content": []}, ""),
        ({"content": [{"type": "resource_link", "name": "n", "uri": "file:///n"}]}, "[n: file:///n]"),
        ({"content": [{"type": "resource", "resource": {"uri": "u:1", "text": "inside"}}]}, "inside"),
        ({"content": [{"type": "resource", "resource": {"uri": "u:1", "blob": "AA=="}}]}, "[u:1, None: not shown]"),
    ],
)
def test_what_a_tool_returned_becomes_text(result: dict[str, Any], text: str) -> None:
    assert as_text(CallToolResult.model_validate(result)).startswith(text)


def test_the_reason_is_the_first_real_cause() -> None:
    assert reason(ExceptionGroup("a", [ExceptionGroup("b", [OSError("gone")])])) == "OSError: gone"
    assert reason(TimeoutError()) == "no answer in time"
    assert reason(KeyError()) == "KeyError"


def test_an_agents_servers_are_a_list() -> None:
    assert Agent(name="a", description="A.", mcp=["files"]).mcp == ["files"]
    with pytest.raises(ContractError, match="list of servers"):
        Agent(name="a", description="A.", mcp="files")
