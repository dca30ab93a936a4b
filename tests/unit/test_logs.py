"""Logs: one line per event, on stderr."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tasks.errors import BadSetting
from tasks.logs import NOISY, LogSettings, configure_logs
from tasks.settings import read_settings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in NOISY}
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, one in levels.items():
        logging.getLogger(name).setLevel(one)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def test_an_event_is_one_line_of_json_with_what_was_bound(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    with structlog.contextvars.bound_contextvars(job="j1"):
        structlog.get_logger("worker").info("attempt_started", agent="ä\nb")
    (line,) = lines(capsys)
    assert (line["event"], line["job"], line["agent"], line["level"]) == ("attempt_started", "j1", "ä\nb", "info")
    assert line["logger"] == "worker"
    assert line["timestamp"].endswith("Z")


def test_lines_of_libraries_have_the_same_form_and_noisy_ones_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json", log_level="debug"))
    logging.getLogger("some.library").debug("hello %s", "you")
    for name in NOISY:
        logging.getLogger(name).info("chatter")
    logging.getLogger(NOISY[0]).warning("trouble")
    assert [(line["event"], line["level"]) for line in lines(capsys)] == [
        ("hello you", "debug"),
        ("trouble", "warning"),
    ]


def test_an_exception_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    try:
        raise ValueError("no good")
    except ValueError:
        structlog.get_logger("worker").exception("agent_raised")
    (line,) = lines(capsys)
    assert "ValueError: no good" in line["exception"]


def test_below_the_level_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json", log_level="error"))
    logging.getLogger("x").warning("not this")
    assert lines(capsys) == []


def test_people_get_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="text"))
    logging.getLogger("x").warning("for people")
    assert "for people" in capsys.readouterr().err


def test_without_a_terminal_the_form_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="auto"))
    logging.getLogger("x").warning("for machines")
    assert lines(capsys)[0]["event"] == "for machines"


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    configure_logs(LogSettings(log_format="json"))
    logging.getLogger("x").warning("once")
    assert len(lines(capsys)) == 1


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(BadSetting, match="TROUPE_LOG_LEVEL"):
        read_settings(LogSettings, log_level="loud")


def test_what_a_thread_raises_is_a_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))

    def fail() -> None:
        raise ValueError("password=kestrel")

    def leave() -> None:
        sys.exit(3)

    for target in (fail, leave):
        thread = threading.Thread(target=target, name="own")
        thread.start()
        thread.join()
    (line,) = lines(capsys)
    assert line["event"] == "thread_raised thread=own"
    assert "ValueError: password=***" in line["exception"]


def test_what_ends_a_process_is_a_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    try:
        raise ValueError("password=kestrel")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("process_raised", "critical")
    assert "ValueError: password=***" in line["exception"]


def test_an_interrupt_is_no_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "KeyboardInterrupt\n"
