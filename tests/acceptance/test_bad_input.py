"""Wrong input: one clear line on stderr, nothing on stdout, code 2 for bad usage and 1 for what may pass."""

import os

import pytest

from orchestrator.local.redis_server import free_port
from tasks.models import MAX_TASK_CHARS
from tests.acceptance.conftest import Fleet
from tests.acceptance.stage import Stage, Stages

WITHIN_S = 30.0
UNKNOWN_JOB = "j0123456789abcdefgh3"
WRONG = {
    "empty task": (["run", " "], "the task is empty"),
    "huge task": (["run", "x" * (MAX_TASK_CHARS + 1)], "the task has 100,001 characters"),
    "task that is not text": (["run", os.fsdecode(b"x\xff")], "the job cannot be accepted: task"),
    "unknown model": (["run", "x", "--model", "nope"], "no model 'nope'; there are: offline, claude-"),
    "missing docs": (["run", "x", "--docs", "nosuch"], "nosuch'"),
    "unreadable docs": (["run", "x", "--docs", "broken.pdf"], "broken.pdf: cannot be read"),
    "folder without documents": (["run", "x", "--docs", "empty"], "no document to read in 'empty'"),
    "unknown knowledge base": (["run", "x", "--kb", "nosuch"], "no knowledge base 'nosuch'"),
    "missing data": (["run", "x", "--data", "nosuch.csv"], "no data file at 'nosuch.csv'"),
    "data of unknown kind": (["run", "x", "--data", "data.xyz"], "of no known kind; data files end in .csv"),
    "data that is a pipe": (["run", "x", "--data", "pipe.csv"], "'pipe.csv' is not a file"),
    "negative budget": (["run", "x", "--budget-usd", "-1"], "'--budget-usd'"),
    "zero timeout": (["run", "x", "--timeout", "0"], "'--timeout'"),
    "endless timeout": (["run", "x", "--timeout", "inf"], "timeout: it must be above 0"),
    "unknown command": (["nosuch"], "No such command 'nosuch'"),
    "unknown option": (["jobs", "--nosuch"], "No such option: --nosuch"),
    "malformed job id": (["show", "17"], "'17' is not a job id"),
    "unknown queue": (["worker", "nosuchqueue"], "no agent listens on queue 'nosuchqueue'"),
}
SET_WRONG = {
    "URL of another kind": ("TROUPE_REDIS_URL", "http://localhost", ["jobs"], "must begin with one of redis://"),
    "URL with a bad port": ("TROUPE_REDIS_URL", "redis://u:secret@h:x/0", ["run", "x"], "'redis://u:***@h:x/0'"),
    "worker with a bad URL": ("TROUPE_REDIS_URL", "nonsense", ["worker", "search"], "'nonsense' is not a Redis URL"),
    "missing module of agents": ("TROUPE_AGENTS", "nosuchmodule", ["up"], "'nosuchmodule' cannot be imported"),
    "settings of the processes": ("TROUPE_LOG_LEVEL", "loud", ["run", "x"], "TROUPE_LOG_LEVEL: Input should be"),
    "settings of the tables": ("TROUPE_TABLE_THREADS", "no", ["run", "x"], "TROUPE_TABLE_THREADS: Input should be"),
    "settings of a worker's tables": ("TROUPE_TABLE_THREADS", "no", ["worker", "search"], "TROUPE_TABLE_THREADS: "),
    "settings of the orchestrator": ("TROUPE_MAX_STEPS", "0", ["up"], "TROUPE_MAX_STEPS: Input should be"),
    "settings file that is not there": ("TROUPE_CONFIG", "nosuch.toml", ["jobs"], "there is no file 'nosuch.toml'"),
    "model of the settings": ("TROUPE_MODEL", "nope", ["up"], "no model 'nope'"),
    "port of Flower": ("FLOWER_PORT", "abc", ["flower"], "FLOWER_PORT: 'abc' is no port"),
    "home that is a file": ("TROUPE_HOME", "data.xyz", ["up", "--no-flower"], "TROUPE_HOME"),
}


@pytest.fixture(scope="module")
def shop(stages: Stages) -> Stage:
    """A stage with things in it that are no input."""

    stage = stages.new()
    (stage.work / "empty").mkdir()
    (stage.work / "broken.pdf").write_bytes(b"not a pdf")
    (stage.work / "data.xyz").write_text("x")
    os.mkfifo(stage.work / "pipe.csv")
    return stage


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_refused_in_one_line(case: str, shop: Stage) -> None:
    words, phrase = WRONG[case]
    done = shop.troupe(*words, within=WITHIN_S)
    assert (done.code, done.stdout) == (2, "")
    assert done.complaint.startswith("troupe: ")
    assert phrase in done.complaint


@pytest.mark.parametrize("case", SET_WRONG)
def test_a_wrong_setting_is_named_in_one_line(case: str, shop: Stage) -> None:
    name, value, words, phrase = SET_WRONG[case]
    done = shop.troupe(*words, within=WITHIN_S, **{name: value})
    assert (done.code, done.stdout) == (2, "")
    assert phrase in done.complaint
    assert "secret" not in done.stderr


@pytest.mark.parametrize("words", [["submit", "x"], ["run", "x"], ["jobs"], ["up", "--no-flower"]], ids=lambda w: w[0])
def test_a_redis_that_is_not_there_is_said_within_the_timeout(words: list[str], shop: Stage) -> None:
    closed = f"redis://127.0.0.1:{free_port()}/0"
    done = shop.troupe(*words, within=10, TROUPE_REDIS_URL=closed)
    assert (done.code, done.stdout) == (1, "")
    assert done.complaint.startswith(f"troupe: Redis at {closed} does not answer")


def test_a_job_that_nobody_submitted_is_unknown(fleet: Fleet, shop: Stage) -> None:

    done = shop.troupe("result", UNKNOWN_JOB, TROUPE_REDIS_URL=fleet.url)
    assert (done.code, done.stdout) == (2, "")
    assert UNKNOWN_JOB in done.complaint


def test_what_was_refused_has_left_nothing(shop: Stage) -> None:
    assert shop.leavings() == []
