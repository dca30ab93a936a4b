"""The conversation on a terminal: what is shown while an answer comes, and what each line does."""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.blocking import JobHandle, Troupe
from orchestrator.cli import app, awaiting, chat
from orchestrator.cli.awaiting import AnswerView, Asking, see_answer
from orchestrator.cli.chat import Talk, lines, shown
from orchestrator.report import report
from orchestrator.request import JobOptions
from tasks.errors import NotAsked, SessionBusy
from tasks.events import JobEvent
from tasks.ids import SessionId
from tasks.results import Asked, JobResult
from tasks.sessions import AgentState, Message, Policy, SessionCall
from tasks.states import StepStatus, TaskStatus
from tests.unit.records import JOB, make_job, make_step
from tests.unit.test_job_view import event

AT = datetime(2026, 1, 2, tzinfo=UTC)
DONE = [event("job_submitted"), event("job_finished", status="completed")]
PARKED = event("step_parked", step="find", attempt=1, waits_for=["question"])


def delta(text: str, *, turn: int = 1, attempt: int = 1, step: str = "synthesis") -> JobEvent:
    return event("text_delta", step=step, attempt=attempt, turn=turn, text=text)


def outcome(status: TaskStatus = TaskStatus.COMPLETED, answer: str = "It is so.") -> JobResult:
    found = report(make_job(status, make_step("find", StepStatus.SUCCEEDED)))
    return found.model_copy(update={"answer": answer if status is TaskStatus.COMPLETED else None})


class Job:
    """A job by hand."""

    def __init__(self, *events: JobEvent, ends: TaskStatus = TaskStatus.COMPLETED, stopped: bool = False) -> None:
        self.id = JOB
        self.told = events
        self.ends = ends
        self.stopped = stopped
        self.cancelled = False

    def events(self) -> Iterator[JobEvent]:
        yield from self.told
        if self.stopped:
            raise KeyboardInterrupt

    def snapshot(self) -> JobResult:
        return outcome(self.ends)

    def cancel(self) -> None:
        self.cancelled = True
        self.ends = TaskStatus.CANCELLED


class Session:
    """A session by hand: gives one job to everybody."""

    def __init__(self, job: Job, *, busy: bool = False) -> None:
        self.id = SessionId("talk.0")
        self.job = job
        self.busy = busy
        self.sent: list[tuple[str, Policy]] = []
        self.messages: list[Message] = []

    def send(self, text: str, *, policy: Policy, **_options: Any) -> Job:
        if self.busy:
            raise SessionBusy("session 'talk.0' is busy", job=JOB)
        self.sent.append((text, policy))
        return self.job

    def state(self, newest: int = 100) -> AgentState:
        return AgentState(session_id=self.id, messages=self.messages)


class People:
    """Asks one thing, and remembers what was said to it."""

    def __init__(self, *asked: Asked, late: bool = False) -> None:
        self.asked = asked
        self.late = late
        self.said: list[tuple[str, ...]] = []

    def list(self) -> list[Asked]:
        return [*self.asked]

    def answer(self, job: str, step: str, text: str, *, key: str) -> None:
        if self.late:
            raise NotAsked("it was decided before")
        self.said.append(("answer", job, step, text, key))

    def approve(self, job: str, step: str, *, key: str) -> None:
        self.said.append(("approve", job, step, key))

    def deny(self, job: str, step: str, *, key: str) -> None:
        self.said.append(("deny", job, step, key))


class Client:
    """A client by hand."""

    def __init__(self, session: Session, people: People) -> None:
        self._session = session
        self.people = people

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None: ...

    def session(self, name: str | None) -> Session:
        return self._session

    def job(self, _job: str) -> Job:
        return self._session.job


QUESTION = Asked(job_id=JOB, step="find", key="k", kind="question", agent="search", question="Which year?")
CALL = Asked(job_id=JOB, step="find", key="k", kind="approval", agent="search", tool="pay", input={"sum": 5})


def talk_with(session: Session, people: People | None = None, *, terminal: bool = False) -> tuple[Talk, io.StringIO]:
    client = Client(session, people or People())
    talk = Talk(cast(Troupe, client), cast(Any, session), Policy.QUEUE, JobOptions())
    shown_on = io.StringIO()
    talk.console = Console(file=shown_on, force_terminal=terminal, width=80, height=12)
    return talk, shown_on


def typed(line: str) -> Callable[[str], str]:
    """What the user writes when they are asked for a line."""

    def read(_prompt: str) -> str:
        return line

    return read


def test_a_message_is_sent_and_its_answer_printed(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(Job(*DONE))
    talk, _ = talk_with(session)
    talk.say("What is it?")
    assert session.sent == [("What is it?", Policy.QUEUE)]
    assert capsys.readouterr().out == "It is so.\n"
    assert not talk.failed


def test_what_has_no_answer_is_said_and_the_talk_goes_on() -> None:
    talk, noted = talk_with(Session(Job(*DONE, ends=TaskStatus.FAILED)))
    talk.say("What is it?")
    assert f"job {JOB} failed" in noted.getvalue()
    assert talk.failed


def test_an_error_is_said_and_the_talk_goes_on() -> None:
    talk, noted = talk_with(Session(Job(*DONE), busy=True))
    talk.say("What is it?")
    assert noted.getvalue() == "troupe: session 'talk.0' is busy\n"
    assert talk.failed


def test_ctrl_c_cancels_what_is_being_answered() -> None:
    job = Job(event("job_submitted"), stopped=True)
    talk, noted = talk_with(Session(job))
    talk.say("What is it?")
    assert job.cancelled
    assert "cancelled" in noted.getvalue()


def test_commands_are_no_messages(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(Job(*DONE))
    talk, noted = talk_with(session)
    for line in ("/state", "/trace", "/help", "/dance"):
        talk.say(line)
    assert session.sent == []
    assert "session talk.0" in capsys.readouterr().out
    assert "nothing was asked yet" in noted.getvalue()
    assert "there is no /dance" in noted.getvalue()


def test_the_trace_is_that_of_the_last_answer_also_of_an_earlier_chat(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(Job(*DONE))
    session.messages = [Message.model_validate({"role": "user", "content": "Why?", "job": JOB})]
    talk, _ = talk_with(session)
    talk.say("/trace")
    assert "find" in capsys.readouterr().out
    talk.say("What is it?")
    talk.say("/trace")
    assert f"job {JOB}" in capsys.readouterr().out


def test_a_state_is_shown_in_a_few_lines() -> None:
    said = [Message.model_validate({"role": "user", "content": "x " * 200, "seq": at}) for at in range(1, 21)]
    state = AgentState(
        session_id=SessionId("talk.0"), messages=said, tool_calls=[SessionCall(tool_name="add")], running=JOB,
        waiting=(JOB, JOB), task_state={"a": 1}, metadata={"b": "ä"}, version=7,
    )  # fmt: skip
    rows = shown(state).splitlines()
    assert rows[:4] == [
        "session talk.0  pending  version 7  agent troupe",
        f"20 messages, 1 tool calls, job {JOB} runs, 2 wait",
        'task state: {"a": 1}',
        'metadata: {"b": "ä"}',
    ]
    assert len(rows) == 14
    assert all(row.endswith("…") for row in rows[4:])


def test_the_answer_is_shown_as_it_is_written_and_anew_when_it_is_written_anew() -> None:
    view, console = AnswerView(JOB), Console(file=io.StringIO(), width=40, height=10)
    view.apply(event("plan_accepted", steps=["find", "synthesis"]))
    view.apply(delta("thinking", step="find"))
    assert view.text == ""
    for one in (delta("It "), delta("is "), delta("so", turn=2), delta(".", turn=2)):
        view.apply(one)
    assert view.text == "so."
    view.apply(delta("Again", attempt=2))
    assert view.text == "Again"
    view.apply(delta("\n".join(f"line {at}" for at in range(50)), turn=2, attempt=2))
    console.print(view.render(console))
    printed = cast(io.StringIO, console.file).getvalue().split("\n")
    assert "line 49" in printed
    assert "line 0" not in printed


def test_on_a_terminal_it_is_shown_live() -> None:
    talk, screen = talk_with(Session(Job(*DONE)), terminal=True)
    see_answer(cast(JobHandle, Job(DONE[0], delta("It is"), DONE[1])), talk.console, Asking(talk.troupe, talk.console))
    assert "It is" in screen.getvalue()


@pytest.mark.parametrize(
    ("asked", "line", "said"),
    [
        (QUESTION, "2025", ("answer", JOB, "find", "2025", "k")),
        (CALL, "y", ("approve", JOB, "find", "k")),
        (CALL, "no", ("deny", JOB, "find", "k")),
    ],
)
def test_what_the_job_asks_is_put_to_the_user(
    asked: Asked, line: str, said: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", typed(line))
    people = People(asked, asked.model_copy(update={"job_id": "j0123456789abcdefghj"}))
    talk, noted = talk_with(Session(Job(PARKED, *DONE)), people, terminal=True)
    talk.say("What is it?")
    assert people.said == [said]
    assert ("Which year?" if asked is QUESTION else 'pay {"sum": 5}') in noted.getvalue()


def test_what_was_settled_meanwhile_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", typed("2025"))
    talk, noted = talk_with(Session(Job(PARKED, *DONE)), People(QUESTION, late=True))
    talk.say("What is it?")
    assert "settled meanwhile" in noted.getvalue()
    assert not talk.failed


def test_ctrl_d_leaves_a_question_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(_prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(awaiting.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", ends)
    people = People(QUESTION)
    talk, noted = talk_with(Session(Job(PARKED, *DONE)), people)
    talk.say("What is it?")
    assert people.said == []
    assert "troupe approvals" in noted.getvalue()


@pytest.mark.parametrize(("asked", "command"), [(QUESTION, "troupe answer"), (CALL, "troupe approve")])
def test_where_nobody_can_answer_it_says_how(asked: Asked, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting.sys.stdin, "isatty", lambda: False, raising=False)
    talk, noted = talk_with(Session(Job(PARKED, *DONE)), People(asked))
    talk.say("What is it?")
    assert f"{command} {JOB} find" in noted.getvalue()


def test_lines_of_a_terminal_end_with_ctrl_d_and_are_dropped_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[str | type[BaseException]] = [" One? ", KeyboardInterrupt, "", "Two?", EOFError]

    def read(_prompt: str) -> str:
        one = typed.pop(0)
        if isinstance(one, str):
            return one
        raise one

    monkeypatch.setattr("builtins.input", read)
    assert list(lines(interactive=True)) == ["One?", "Two?"]


@pytest.mark.parametrize(("ends", "code"), [(TaskStatus.COMPLETED, 0), (TaskStatus.FAILED, 1)])
def test_a_pipe_is_a_talk_and_its_end_tells_how_it_went(
    ends: TaskStatus, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(Job(*DONE, ends=ends))
    monkeypatch.setattr(chat, "connect", lambda: Client(session, People()))
    done = CliRunner().invoke(app, ["chat", "talk", "--policy", "reject"], input="One?\n\nTwo?\n/exit\nThree?\n")
    assert done.exit_code == code
    assert session.sent == [("One?", Policy.REJECT), ("Two?", Policy.REJECT)]
