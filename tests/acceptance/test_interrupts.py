"""Ctrl-C and SIGTERM while `troupe run` works: one line, code 130, nothing left."""

from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.acceptance.conftest import CLAUDE
from tests.acceptance.stage import START_WITHIN_S, Stage, wait_until
from workers.testing import FakeMessages

END_WITHIN_S = 30.0


def added(said: str, before: str) -> list[str]:
    return said.removeprefix(before).splitlines()


@pytest.mark.parametrize("signals", [(SIGINT,), (SIGINT, SIGINT), (SIGTERM,)], ids=["once", "twice", "sigterm"])
def test_an_interrupted_run_ends_with_everything_it_started(
    signals: tuple[Signals, ...], stage: Stage, fake: FakeMessages
) -> None:
    before = fake.calls
    words = ("run", f"HANG for ever, {len(signals)}", "--model", CLAUDE)
    command = stage.start(*words, ANTHROPIC_API_KEY="sk-ant-test", ANTHROPIC_BASE_URL=fake.url)
    wait_until(lambda: fake.calls > before, within=START_WITHIN_S)
    said = command.said
    command.signal(*signals)
    done = command.wait(END_WITHIN_S)
    assert done.code == 130
    assert added(done.stderr, said)[-1] == "troupe: interrupted"
    assert "Traceback" not in done.stderr
    assert stage.leavings() == []


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_run_that_is_interrupted_while_it_starts_leaves_nothing(number: Signals, stage: Stage) -> None:
    command = stage.start("run", "What is not there yet?")
    wait_until(lambda: len(stage.processes()) >= 4, within=START_WITHIN_S)
    command.signal(number)
    done = command.wait(END_WITHIN_S)
    assert (done.code, done.stdout) == (130, "")
    assert done.complaint == "troupe: interrupted"
    assert stage.leavings() == []
