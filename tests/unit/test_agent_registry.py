"""The agents of a process: built-in and own."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.errors import BadSetting, ContractError, UnknownAgent
from tasks.queues import BUILT_IN
from workers.agents.base import Agent
from workers.agents.registry import AgentRegistry, load_agents

FINANCE = Agent(name="finance", description="Prices.", capabilities=["quotes", "search"])
SEARCH = Agent(name="search", description="Looks.", capabilities=["search"], queue="slow")

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules into the working directory; forgets them after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written: list[str] = []

    def module(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        written.append(name)
        return name

    yield module
    for name in written:
        sys.modules.pop(name, None)


def test_agents_are_found_by_name_capability_and_queue() -> None:
    registry = AgentRegistry([SEARCH, FINANCE])
    assert registry.get("finance") is FINANCE
    assert registry.find_by_capability("search") == [FINANCE, SEARCH]
    assert registry.find_by_capability("quot") == []
    assert registry.on_queues(["slow", "other"]) == [SEARCH]
    assert (registry.queues, len(registry), "finance" in registry) == (["finance", "slow"], 2, True)
    assert [one.name for one in registry.definitions()] == ["finance", "search"]


def test_an_unknown_agent_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownAgent, match="no agent 'x'; there are: finance, search"):
        AgentRegistry([SEARCH, FINANCE]).get("x")


def test_a_name_is_given_once() -> None:
    registry = AgentRegistry([FINANCE, FINANCE])
    other = Agent(name="finance", description="Other.")
    with pytest.raises(ContractError, match="two agents named 'finance'"):
        registry.register(other)
    registry.register(other, replace=True)
    assert registry.get("finance") is other


def test_without_modules_there_are_the_built_in_agents() -> None:
    assert sorted(one.name for one in load_agents([])) == sorted(one.name for one in BUILT_IN)


def test_own_agents_come_from_the_working_directory_and_may_replace_built_in_ones(write: Write) -> None:
    text = (
        "from workers import Agent\na = Agent(name='search', description='Mine.')\nb = Agent(name='x', description='')"
    )
    registry = load_agents([write("own_agents_one", text)])
    assert registry.get("search").description == "Mine."
    assert len(registry) == len(BUILT_IN) + 1


def test_an_agent_that_two_modules_share_is_one(write: Write) -> None:
    first = write("own_agents_two", "from workers import Agent\nmine = Agent(name='x', description='x')")
    second = write("own_agents_three", "from own_agents_two import mine")
    assert "x" in load_agents([first, second])


def test_two_own_agents_of_one_name_are_refused(write: Write) -> None:
    text = "from workers import Agent\nmine = Agent(name='x', description='x')"
    modules = [write("own_agents_four", text), write("own_agents_five", text)]
    with pytest.raises(ContractError, match="two agents named 'x'"):
        load_agents(modules)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "holds no Agent"),
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("import no_such_library_at_all", "no_such_library_at_all"),
        ("def (", "SyntaxError"),
        ("from workers import Agent\nAgent(name='A B', description='')", "ContractError"),
    ],
)
def test_a_module_that_cannot_be_used_is_named(write: Write, text: str, words: str) -> None:
    with pytest.raises(BadSetting, match=f"TROUPE_AGENTS.*own_agents_six.*{words}"):
        load_agents([write("own_agents_six", text)])


def test_a_module_that_is_not_there_is_named(write: Write) -> None:
    with pytest.raises(BadSetting, match="TROUPE_AGENTS: 'no_such_module_at_all' cannot be imported"):
        load_agents(["no_such_module_at_all"])
