"""What the steps of a job say to each other: in one order, once, bounded, and only by who still has the word."""

import asyncio
import json
from datetime import timedelta

import pytest

import tasks.store.board as board_file
from tasks.board import MAX_MESSAGE_BYTES, AgentMessage, Board, Mail
from tasks.errors import ContractError, DamagedRecord, PayloadTooLarge
from tasks.events import MessagePosted
from tasks.ids import AttemptRef, JobId
from tasks.states import StepStatus
from tasks.store import BoardStore, Refusal
from tasks.store.waits import WaitKind, WaitStore, Wanted
from tasks.usage import Usage
from tests.support.builders import PARTITION, RESULT
from tests.support.moves import Moves
from tests.support.waiting import wait_until

PAIR = {"one": (), "two": ()}


class Talk:
    """A job with two steps that run, of agents that are named after them, and its board."""

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        self.boards = BoardStore(moves.store)
        self.waits = WaitStore(moves.store)

    async def begin(self) -> tuple[AttemptRef, AttemptRef]:
        job = await self.moves.planned(PAIR)
        return await self.moves.running(job, "one"), await self.moves.running(job, "two")

    async def say(self, ref: AttemptRef, text: str, to: str | None = None, key: str | None = None) -> int | Refusal:
        return await self.boards.post(ref, key or f"k-{text}", text, agent=f"agent-{ref.step}", to=to)

    async def hear(
        self, ref: AttemptRef, since: int = 0, key: str = "r", *, noted: bool = True, most: int = 100
    ) -> Mail:
        mail = await self.boards.read(ref, key, since, agent=f"agent-{ref.step}", noted=noted, most=most)
        assert isinstance(mail, Mail)
        return mail

    async def texts(self, job: JobId) -> list[str]:
        return [one.text for one in (await self.boards.board(job)).messages]

    async def again(self, ref: AttemptRef) -> AttemptRef:
        """The next attempt of a step whose worker is gone."""
        await self.moves.attempts.hand_back(ref, "stopping", Usage())
        assert await self.moves.jobs.postpone(ref, 0)
        await self.moves.jobs.sweep(PARTITION)
        return await self.moves.running(ref.job, ref.step, ref.attempt + 1)

    async def park(self, ref: AttemptRef, since: int = 0, key: str = "r", expires_s: float = 60) -> None:
        data = json.dumps({"since": since, "agent": f"agent-{ref.step}"})
        wish = Wanted(key, WaitKind.MESSAGE, data, timedelta(seconds=expires_s))
        assert await self.moves.attempts.park(ref, [wish], Usage()) is None


@pytest.fixture
def talk(moves: Moves) -> Talk:
    return Talk(moves)


def texts(mail: Mail) -> list[str]:
    return [one.text for one in mail.messages]


async def test_what_one_step_says_another_reads(talk: Talk) -> None:
    one, two = await talk.begin()
    assert await talk.boards.post(one, "k", {"sum": 4}, agent="agent-one") == 1
    (message,) = (await talk.hear(two)).messages
    expected = AgentMessage(
        number=1, at=message.at, step="one", agent="agent-one", attempt=1, to=None, content={"sum": 4}
    )
    assert (message, message.text) == (expected, '{"sum": 4}')


async def test_two_hundred_posts_at_once_are_all_there_in_one_order(talk: Talk) -> None:
    one, two = await talk.begin()
    posts = [talk.say((one, two)[at % 2], f"{at}") for at in range(200)]
    numbers = await asyncio.gather(*posts)
    board = await talk.boards.board(one.job)
    assert [message.number for message in board.messages] == list(range(1, 201))
    assert {message.text: message.number for message in board.messages} == {
        f"{at}": number for at, number in enumerate(numbers)
    }
    mails = [await talk.hear(two, most=200), await talk.hear(one, most=200)]
    merged = sorted((message for mail in mails for message in mail.messages), key=lambda message: message.number)
    assert (tuple(merged), board.newest, board.dropped) == (board.messages, 200, 0)


async def test_a_read_since_a_number_has_only_what_is_newer(talk: Talk) -> None:
    one, two = await talk.begin()
    await talk.say(one, "a")
    first = await talk.hear(two)
    await talk.say(one, "b")
    second = await talk.hear(two, first.cursor, "r2")
    assert (texts(first), texts(second), second.cursor) == (["a"], ["b"], 2)
    assert [one.text for one in (await talk.boards.board(one.job, 1)).messages] == ["b"]


async def test_messages_reach_those_whom_they_are_for(talk: Talk) -> None:
    one, two = await talk.begin()
    for text, to in (("all", None), ("step", "two"), ("agent", "agent-two"), ("another", "three")):
        await talk.say(one, text, to)
    assert texts(await talk.hear(two)) == ["all", "step", "agent"]
    assert texts(await talk.hear(one)) == []
    assert await talk.texts(one.job) == ["all", "step", "agent", "another"]


async def test_a_read_is_cut_where_it_becomes_too_much_and_goes_on_there(talk: Talk) -> None:
    one, two = await talk.begin()
    for at in range(120):
        await talk.say(one, f"{at}", "nobody" if at % 2 else None)
    mail = await talk.hear(two, most=40)
    assert (len(mail.messages), mail.messages[-1].text) == (40, "78")
    rest = await talk.hear(two, mail.cursor, "r2", most=40)
    assert (texts(rest)[0], texts(rest)[-1], rest.cursor) == ("80", "118", 120)
    heavy = await talk.boards.read(two, "r3", 0, agent="agent-two", most_bytes=1)
    assert isinstance(heavy, Mail)
    assert texts(heavy) == ["0"]


async def test_what_is_posted_again_under_its_key_is_there_once(talk: Talk) -> None:
    one, _ = await talk.begin()
    assert await talk.say(one, "a", key="k") == await talk.say(one, "a", key="k") == 1
    later = await talk.again(one)
    assert await talk.say(later, "a", key="k") == 1
    assert await talk.say(later, "b") == 2
    assert await talk.texts(one.job) == ["a", "b"]
    posted = [one for one in await talk.moves.events.read(one.job, 0) if isinstance(one, MessagePosted)]
    assert [(one.number, one.text) for one in posted] == [(1, "a"), (2, "b")]


async def test_the_same_key_of_another_step_is_another_message(talk: Talk) -> None:
    one, two = await talk.begin()
    assert [await talk.say(ref, "a", key="k") for ref in (one, two)] == [1, 2]


async def test_a_read_that_is_made_again_is_the_same_whatever_was_said_since(talk: Talk) -> None:
    one, two = await talk.begin()
    await talk.say(one, "a")
    first = await talk.hear(two)
    await talk.say(one, "b")
    later = await talk.again(two)
    assert await talk.hear(later) == first
    assert texts(await talk.hear(later, first.cursor, "r2")) == ["b"]


async def test_a_read_that_found_nothing_is_the_same_again_where_that_is_noted(talk: Talk) -> None:
    one, two = await talk.begin()
    assert texts(await talk.hear(two, key="noted")) == texts(await talk.hear(two, key="not", noted=False)) == []
    await talk.say(one, "a")
    assert texts(await talk.hear(two, key="noted")) == []
    assert texts(await talk.hear(two, key="not", noted=False)) == ["a"]
    await talk.say(one, "b")
    assert texts(await talk.hear(two, key="not", noted=False)) == ["a"]


async def test_a_dead_attempt_neither_posts_nor_reads(talk: Talk) -> None:
    one, two = await talk.begin()
    await talk.say(two, "a")
    later = await talk.again(one)
    assert await talk.say(one, "late") is Refusal.SUPERSEDED
    assert await talk.boards.read(one, "r", 0, agent="agent-one") is Refusal.SUPERSEDED
    await talk.moves.attempts.succeed(later, RESULT, Usage())
    assert await talk.say(later, "late") is Refusal.OVER
    assert await talk.boards.read(later, "r", 0, agent="agent-one") is Refusal.OVER
    assert await talk.texts(one.job) == ["a"]


async def test_a_job_that_is_gone_takes_no_message_and_has_none(talk: Talk) -> None:
    one, _ = await talk.begin()
    gone = one._replace(job=JobId("j" + "0" * 18 + one.job[-1]))
    assert await talk.say(gone, "a") is Refusal.GONE
    assert await talk.boards.read(gone, "r", 0, agent="a") is Refusal.GONE
    assert await talk.boards.board(gone.job) == Board(job_id=gone.job)


async def test_the_oldest_go_when_there_are_too_many(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_file, "MAX_KEPT", 3)
    one, two = await talk.begin()
    for at in range(5):
        await talk.say(one, f"{at}")
    board = await talk.boards.board(one.job)
    assert ([one.text for one in board.messages], board.newest, board.dropped) == (["2", "3", "4"], 5, 2)
    mail = await talk.hear(two)
    assert (texts(mail), mail.missed) == (["2", "3", "4"], 2)
    assert (await talk.hear(two, 4, "r2")).missed == 0


async def test_the_oldest_go_when_they_are_too_large_and_the_newest_stays(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_file, "MAX_KEPT_BYTES", 30)
    one, _ = await talk.begin()
    for text in ("a" * 10, "b" * 10, "c" * 10):
        await talk.say(one, text)
    assert await talk.texts(one.job) == ["b" * 10, "c" * 10]
    await talk.say(one, "d" * 100)
    assert await talk.texts(one.job) == ["d" * 100]


async def test_a_message_that_is_too_large_is_refused(talk: Talk) -> None:
    one, _ = await talk.begin()
    await talk.say(one, "x" * (MAX_MESSAGE_BYTES - 2))
    with pytest.raises(PayloadTooLarge, match="16,385 bytes"):
        await talk.say(one, "x" * (MAX_MESSAGE_BYTES - 1))


async def test_a_step_that_posts_and_reads_for_ever_is_stopped(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_file, "MAX_CALLS", 2)
    one, two = await talk.begin()
    await talk.say(one, "a")
    await talk.hear(one)
    with pytest.raises(ContractError, match="posted and read 2 times"):
        await talk.say(one, "b")
    with pytest.raises(ContractError, match="posted and read 2 times"):
        await talk.hear(one, key="r2")
    assert await talk.say(one, "a") == 1
    assert await talk.say(two, "c") == 2


async def test_whom_nobody_can_be_called_is_refused(talk: Talk) -> None:
    one, _ = await talk.begin()
    with pytest.raises(ContractError, match="names neither"):
        await talk.say(one, "a", "The others")


async def test_the_event_shows_a_beginning_without_secrets(talk: Talk) -> None:
    one, _ = await talk.begin()
    await talk.say(one, f"password=hunter2hunter2 {'x' * 400}\ud800", "two", "k")
    (event,) = [one for one in await talk.moves.events.read(one.job, 0) if isinstance(one, MessagePosted)]
    assert (event.step, event.attempt, event.number, event.to) == ("one", 1, 1, "two")
    assert event.text.startswith("password=*** xxx")
    assert len(event.text) == 200


async def test_messages_end_with_their_job(talk: Talk) -> None:
    one, two = await talk.begin()
    await talk.say(one, "a")
    await talk.hear(two)
    key = talk.moves.store.keys.job(one.job)

    async def ends() -> set[int]:
        return {await talk.moves.redis.pexpiretime(key + part) for part in ("", ":board", ":posts")}

    before = await ends()
    for ref in (one, two):
        await talk.moves.attempts.succeed(ref, RESULT, Usage())
    await talk.moves.succeed(one.job, "synthesis")
    after = await ends()
    assert (len(before), len(after)) == (1, 1)
    assert min(before) > 0
    assert before != after


async def test_a_step_that_waits_goes_on_when_it_is_told_something(talk: Talk) -> None:
    one, two = await talk.begin()
    await talk.park(two)
    await talk.say(one, "for another", "three")
    assert await talk.moves.status(one.job, "two") is StepStatus.PARKED
    await talk.say(one, "for you", "agent-two")
    assert await talk.moves.status(one.job, "two") is StepStatus.READY
    later = await talk.moves.running(one.job, "two", 2)
    assert texts(await talk.hear(later)) == ["for you"]
    (wait,) = await talk.waits.of_step(one.job, later.step)
    assert wait.outcome == {"kind": "message"}


async def test_what_was_said_before_it_was_parked_is_not_waited_for(talk: Talk) -> None:
    one, two = await talk.begin()
    await talk.say(one, "between reading and waiting")
    await talk.park(two)
    assert await talk.moves.status(one.job, "two") is StepStatus.READY
    later = await talk.moves.running(one.job, "two", 2)
    await talk.park(later, since=1, key="r2")
    assert await talk.moves.status(one.job, "two") is StepStatus.PARKED


async def test_its_own_words_wake_nobody(talk: Talk) -> None:
    _, two = await talk.begin()
    await talk.say(two, "to myself")
    await talk.park(two)
    assert await talk.moves.status(two.job, "two") is StepStatus.PARKED


async def test_one_that_nobody_tells_anything_goes_on_in_time(talk: Talk) -> None:
    one, two = await talk.begin()
    await talk.park(two, expires_s=0.001)

    async def swept() -> bool:
        await talk.moves.jobs.sweep(PARTITION)
        return await talk.moves.status(two.job, "two") is StepStatus.READY

    await wait_until(swept, within=5)
    await talk.say(one, "too late")
    (wait,) = await talk.waits.of_step(two.job, two.step)
    assert wait.outcome == {"kind": "expired"}
    assert await talk.moves.redis.hget(f"{talk.moves.store.keys.job(one.job)}:posts", "~") is None


async def test_a_message_that_is_damaged_is_said_to_be(talk: Talk) -> None:
    one, two = await talk.begin()
    await talk.say(one, "a")
    key = talk.moves.store.keys.board(one.job)
    fields = {"at": "1", "step": "one", "agent": "a", "attempt": "1", "to": "", "content": "{"}
    await talk.moves.redis.xadd(key, fields, id="2-0")
    with pytest.raises(DamagedRecord):
        await talk.boards.board(one.job)
    await talk.moves.redis.hset(f"{talk.moves.store.keys.job(one.job)}:posts", "#", "2")
    with pytest.raises(DamagedRecord):
        await talk.hear(two)
