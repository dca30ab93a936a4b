"""One command line: loaded when it is asked for, errors in one line, the right exit code."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer

from orchestrator.cli import BAD_USAGE, COMMANDS, FAILED, OK, app, call
from orchestrator.start import INTERRUPTED
from tasks.errors import (
    BrokerUnavailable,
    ContractError,
    JobFailed,
    ModelRefused,
    ResultTimeout,
    StoreUnavailable,
    TroupeError,
    UnknownJob,
)

Run = Callable[[BaseException | None], int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command that raises what it is given."""

    def play(error: BaseException | None) -> int:
        def agents() -> None:
            if error is not None:
                raise error

        monkeypatch.setattr("orchestrator.cli.fleet.agents", agents)
        return call(["agents"])

    return play


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, OK),
        (ContractError("x"), BAD_USAGE),
        (UnknownJob("x"), BAD_USAGE),
        (StoreUnavailable("x"), FAILED),
        (BrokerUnavailable("x"), FAILED),
        (ResultTimeout("x"), FAILED),
        (JobFailed("x"), FAILED),
        (ModelRefused("x"), FAILED),
        (TroupeError("x"), FAILED),
        (KeyboardInterrupt(), INTERRUPTED),
        (typer.Abort(), INTERRUPTED),
        (typer.Exit(1), FAILED),
        (typer.Exit(0), OK),
        (typer.Exit(7), 7),
    ],
    ids=repr,
)
def test_an_exit_code_says_what_happened(run: Run, error: BaseException | None, code: int) -> None:
    assert run(error) == code


def test_a_complaint_has_no_secrets(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(JobFailed("job j1 failed: it has password=kestrel"))
    assert capsys.readouterr().err == "troupe: job j1 failed: it has password=***\n"


def test_an_error_is_one_line_on_stderr(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(StoreUnavailable("Redis is\n  away"))
    assert capsys.readouterr() == ("", "troupe: Redis is away\n")


def test_a_reader_who_leaves_is_no_error_worth_a_word(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert run(BrokenPipeError()) == FAILED
    assert sys.stdout is sys.stderr
    assert capsys.readouterr().err == ""


def test_a_defect_is_not_hidden(run: Run) -> None:
    with pytest.raises(ZeroDivisionError):
        run(ZeroDivisionError())


@pytest.mark.parametrize(
    "words",
    [["no-such"], ["jobs", "--no-such"], ["jobs", "-n", "x"], ["jobs", "-n", "0"], ["submit"], ["submit", "a", "b"],
     ["submit", "a", "--budget-usd", "nan"], ["submit", "a", "--timeout", "0"], ["result", "j", "--wait", "-1"]],
    ids=" ".join,
)  # fmt: skip
def test_bad_usage_is_said_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(words) == BAD_USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("troupe: ")
    assert err.count("\n") == 1


def test_no_words_at_all_bring_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert call([]) == BAD_USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: troupe" in err
    assert [name for name in COMMANDS if name not in err] == []


@pytest.mark.parametrize("group", ["kb", "dead"])
def test_a_group_without_a_command_brings_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call([group]) == BAD_USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Usage: troupe {group} [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["submit"], "troupe submit [OPTIONS] TASK"),
        (["kb", "add"], "troupe kb add [OPTIONS] PATH…"),
        (["worker"], "troupe worker [OPTIONS] [QUEUE…]"),
    ],
)
def test_arguments_stand_in_the_usage_line_as_they_are_typed(
    words: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*words, "--help"]) == OK
    assert capsys.readouterr().out.splitlines()[0] == f"Usage: {usage}"


LIMITED = {"tenant": "acme", "priority": 7, "max_in_flight": 2, "idempotency_key": "order-17"}


def test_submit_passes_on_what_limits_a_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    class Fleet:
        def submit(self, task: str, **values: object) -> Any:
            asked.update(values, task=task)
            return SimpleNamespace(id="j1")

    monkeypatch.setattr("orchestrator.cli.jobs.connect", lambda: nullcontext(Fleet()))
    options = [word for name, value in LIMITED.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert call(["submit", "Why?", *options]) == OK
    assert capsys.readouterr().out == "j1\n"
    assert {name: asked[name] for name in LIMITED} == LIMITED


def test_run_passes_on_how_many_steps_may_be_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def refuse(*_: object, max_in_flight: int | None, **__: object) -> None:
        asked.append(max_in_flight)
        raise ContractError("refused")

    monkeypatch.setattr("orchestrator.cli.run.job_spec", refuse)
    assert call(["run", "Why?", "--max-in-flight", "2"]) == BAD_USAGE
    assert asked == [2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call([name, "--help"]) == OK
    out, err = capsys.readouterr()
    assert f"Usage: troupe {name}" in out
    assert err == ""


def test_a_job_id_that_is_none_is_refused_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["result", "5"]) == BAD_USAGE
    assert "'5' is not a job id" in capsys.readouterr().err


def test_commands_are_listed_without_loading_one_and_an_unknown_one_is_none() -> None:
    root = cast(Any, typer.main.get_command(app))
    assert root.list_commands(None) == list(COMMANDS)
    assert root.commands == {}
    assert root.get_command(None, "no-such") is None
