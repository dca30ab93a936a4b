"""What the pages say exists."""

import re

import pytest

from tests.unit import pages
from tests.unit.attempts import make_claim, make_input
from tests.unit.command_line import refusal
from tests.unit.pages import ROOT, Snippet
from workers import Agent, StepContext

PATH = re.compile(
    r"(?:tasks|orchestrator|workers|tests|docs|deploy|\.ci)/[\w./-]*|docker-compose\.yml|requirements[\w-]*\.lock"
)
COMMAND_LINES = [one for one in pages.shell_lines() if pages.troupe_words(one.text) is not None]
MENTIONS = [one for one in pages.spans() if one.text.startswith(("troupe ", ".venv/bin/troupe "))]


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))


@pytest.mark.parametrize("link", pages.links(), ids=str)
def test_every_link_leads_to_a_file(link: Snippet) -> None:
    target = (ROOT / link.place).parent / link.text
    assert target.exists(), f"{link.place}: {link.text}"


def test_every_path_in_the_pages_exists() -> None:
    missing = [one for one in pages.spans() if PATH.fullmatch(one.text) and not (ROOT / one.text).exists()]
    assert missing == []


def test_every_path_in_a_command_exists() -> None:
    words = [Snippet(line.place, word) for line in pages.shell_lines() for word in line.text.split()]
    named = [one for one in words if PATH.fullmatch(one.text)]
    assert {"deploy/new-env.sh", "deploy/kubernetes"} <= {one.text for one in named}
    assert [one for one in named if not (ROOT / one.text).exists()] == []


def test_every_make_target_in_the_pages_exists() -> None:
    written = [*pages.spans(), *pages.shell_lines()]
    named = {name for one in written for name in re.findall(r"^make(?: PYTHON=\S+)? ([a-z-]+)", one.text)}
    assert {"demo", "test", "check"} <= named
    assert named <= make_targets()


def test_every_make_target_that_people_use_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    helped = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert {"help", "demo", "test", "check", "chaos", "bench", "bench-peers", "up", "lock", "fmt", "clean"} <= helped


def test_the_readme_names_the_two_commands() -> None:
    first = next(one.text for one in pages.blocks("sh") if one.place == "README.md")
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


def test_there_are_commands_to_check() -> None:
    assert len(COMMAND_LINES) >= 10
    assert len(MENTIONS) >= 10


@pytest.mark.parametrize("line", COMMAND_LINES, ids=lambda one: one.text)
def test_every_command_in_a_block_would_run(line: Snippet) -> None:
    words = pages.troupe_words(line.text)
    assert words is not None
    assert refusal(words) is None


@pytest.mark.parametrize("mention", MENTIONS, ids=lambda one: one.text)
def test_every_command_in_prose_exists(mention: Snippet) -> None:
    words = pages.troupe_words(mention.text)
    assert words is not None
    assert refusal(words, complete=False) is None


def test_a_command_that_is_not_there_is_refused() -> None:
    assert refusal(["no-such-command"]) is not None
    assert refusal(["jobs", "--no-such-option"]) is not None
    assert refusal([]) is not None


@pytest.mark.parametrize("block", pages.blocks("python"), ids=lambda one: one.place)
def test_every_python_block_compiles(block: Snippet) -> None:
    assert compile(block.text, block.place, "exec")


@pytest.mark.parametrize("block", pages.AGENT_MODULES, ids=lambda one: one.place)
def test_every_example_of_an_agent_can_be_loaded(block: Snippet) -> None:
    assert [value for value in pages.loaded(block).values() if isinstance(value, Agent)]


def test_every_python_example_is_run_by_a_test() -> None:
    """Agents are loaded here; the rest: test_own_agents.py, test_replay.py, test_conversations.py, test_pages.py,
    tests/integration/test_decisions.py, tests/unit/test_agent_tracer.py, tests/acceptance/test_time_travel.py,
    tests/acceptance/test_patterns.py and tests/doors/test_over_http.py."""
    places = {one.place for one in pages.blocks("python") if one not in pages.AGENT_MODULES}
    assert places == {
        *("README.md", "docs/patterns.md", "docs/record-and-replay.md", "docs/sessions.md"),
        "docs/testing-your-agents.md",
        "docs/approvals.md",
        "docs/clients.md",
        "docs/time-travel.md",
        "docs/observability.md",
    }
    assert ["job = troupe.submit(" in one.text for one in pages.others("README.md")] == [True]


async def test_the_tool_of_the_examples_answers() -> None:
    examples = [names for names in map(pages.loaded, pages.AGENT_MODULES) if "quote" in names]
    assert len(examples) == 2
    for names in examples:
        answer = await names["quote"]("ACME")
        assert "ACME" in str(answer)
        assert "101.5" in str(answer)


async def test_the_plain_code_of_the_examples_counts_what_other_steps_found() -> None:
    (counter,) = [names["counter"] for names in map(pages.loaded, pages.AGENT_MODULES) if "counter" in names]
    claim = make_claim(inputs=[make_input("one", "It is so."), make_input("two", "Not here.")])
    reply = await counter.run(StepContext(claim=claim))
    assert (reply.text, reply.data) == ("The findings have 5 words.", 5)


def test_every_variable_in_the_pages_is_a_setting() -> None:
    written = [*pages.spans(), *pages.shell_lines()]
    named = {name for one in written for name in re.findall(r"\bTROUPE_[A-Z_]+\b", one.text)}
    assert {"TROUPE_REDIS_URL", "TROUPE_MODEL", "TROUPE_HOME", "TROUPE_AGENTS"} <= named
    assert named <= pages.setting_names()


def test_the_configuration_page_is_what_the_settings_say() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == pages.configuration_page().render(), "run make docs"
