"""Logs: one line per event, on stderr."""

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tasks import log_lines
from tasks.errors import BadSetting
from tasks.ids import JobId
from tasks.library_log import LibraryLog
from tasks.log_lines import remember_trace
from tasks.logs import NOISY, TOLD_BY_US, LogSettings, configure_logs
from tasks.settings import read_settings
from tasks.trace_ids import trace_id_of

JOB = JobId("j0123456789abcdefgh3")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in (*NOISY, *TOLD_BY_US)}
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
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
    assert (line["event"], line["thread"], line["level"]) == ("thread_raised", "own", "error")
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


def test_the_line_of_an_attempt_says_whose_it_is_in_one_order(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    with structlog.contextvars.bound_contextvars(attempt=1, step="find", job=JOB, agent="search"):
        structlog.get_logger("worker").warning("attempt_failed", code="x")
    (line,) = lines(capsys)
    first = ["timestamp", "level", "logger", "event", "job", "step", "attempt", "agent", "trace_id"]
    assert list(line) == [*first, "code"]
    assert line["trace_id"] == trace_id_of(JOB)


def test_a_trace_that_is_known_to_be_another_stays(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    with structlog.contextvars.bound_contextvars(job=JOB, trace_id="f" * 32):
        logging.getLogger("own").warning("hello")
    assert lines(capsys)[0]["trace_id"] == "f" * 32


def test_a_job_is_said_to_be_of_its_producers_trace_once_that_is_known(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "_known", {})
    monkeypatch.setattr(log_lines, "REMEMBERED", 1)
    configure_logs(LogSettings(log_format="json"))
    other = JobId("j0123456789abcdefgh4")
    remember_trace(other, None)
    for job in (other, JOB):
        remember_trace(job, f"00-{'a' * 32}-{'b' * 16}-01")
    for job in (other, JOB):
        logging.getLogger("own").warning("hello", extra={"troupe_event": "hello", "troupe_fields": {"job": job}})
    assert [line["trace_id"] for line in lines(capsys)] == [trace_id_of(other), "a" * 32]


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        (f"Task search[{JOB}:find-it:12] raised unexpected: StoreUnavailable()", "search"),
        (f"Discarding revoked task: {JOB}:find-it:12", None),
    ],
)
def test_a_line_of_celery_says_which_attempt_it_is_about(
    capsys: pytest.CaptureFixture[str], text: str, agent: str | None
) -> None:
    configure_logs(LogSettings(log_format="json"))
    logging.getLogger("celery.worker.request").warning(text)
    (line,) = lines(capsys)
    assert (line["event"], line["job"], line["step"], line["attempt"]) == (text, JOB, "find-it", 12)
    assert line["trace_id"] == trace_id_of(JOB)
    assert line.get("agent") == agent


@pytest.mark.parametrize("text", ["Task tick[3f0c-17] raised", f"x{JOB}:find:1", f"{JOB}:find:0", f"{JOB}:find:1x"])
def test_what_is_no_task_id_of_ours_is_about_no_attempt(capsys: pytest.CaptureFixture[str], text: str) -> None:
    configure_logs(LogSettings(log_format="json"))
    logging.getLogger("celery.worker").warning(text)
    (line,) = lines(capsys)
    assert "job" not in line


@pytest.mark.parametrize("name", TOLD_BY_US)
def test_celery_does_not_say_again_what_our_lines_say(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure_logs(LogSettings(log_format="json", log_level="debug"))
    logging.getLogger(name).info("Task %(name)s[%(id)s] succeeded", {"name": "search", "id": f"{JOB}:find:1"})
    assert lines(capsys) == []
    logging.getLogger(name).error("Task raised unexpected")
    assert len(lines(capsys)) == 1


def test_what_python_warns_of_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    warnings.showwarning("do not\n\nuse it", DeprecationWarning, "some.py", 3)
    (line,) = lines(capsys)
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "do not\n\nuse it" in line["event"]


def test_a_library_line_has_its_fields_in_our_processes(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(log_format="json"))
    LibraryLog("troupe.store").warning("job_left_out", job=JOB, reason="password=kestrel")
    (line,) = lines(capsys)
    assert (line["event"], line["job"], line["reason"]) == ("job_left_out", JOB, "password=***")
    assert (line["logger"], line["trace_id"]) == ("troupe.store", trace_id_of(JOB))


def test_a_library_line_is_text_without_secrets_where_a_host_does_the_logging(caplog: pytest.LogCaptureFixture) -> None:
    log = LibraryLog("troupe.people")
    log.info("decided_elsewhere", job=JOB)
    with caplog.at_level(logging.INFO):
        log.info("decided_elsewhere", job=JOB, step="ask")
        log.error("decision_failed", reason="password=kestrel 100 %")
        try:
            raise ValueError("no good")
        except ValueError:
            log.exception("decision_failed")
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        f"decided_elsewhere job={JOB} step=ask",
        "decision_failed reason=password=*** 100 %",
        "decision_failed",
    ]
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR", "ERROR"]
    assert caplog.records[2].exc_info is not None
    assert caplog.records[0].funcName == "test_a_library_line_is_text_without_secrets_where_a_host_does_the_logging"
