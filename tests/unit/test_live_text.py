"""Text that is shown while it is written: few events, nothing lost."""

import asyncio
from itertools import pairwise

import pytest
from pydantic import JsonValue

from tests.support.waiting import wait_until
from workers.agents.live import EVERY_S, MAX_CHARS, LiveText


class Watched:
    """Events with the time of the loop at which they came."""

    def __init__(self) -> None:
        self.events: list[tuple[float, dict[str, JsonValue]]] = []
        self.live = LiveText(self._take)

    def _take(self, kind: str, data: dict[str, JsonValue]) -> None:
        assert kind == "text_delta"
        self.events.append((asyncio.get_running_loop().time(), data))

    @property
    def text(self) -> str:
        return "".join(str(data["text"]) for _, data in self.events)


async def test_the_first_piece_is_shown_at_once() -> None:
    watched = Watched()
    watched.live.begin(1)
    watched.live.add("It is")
    assert [data for _, data in watched.events] == [{"turn": 1, "text": "It is"}]


async def test_pieces_are_gathered_and_none_is_lost() -> None:
    watched = Watched()
    watched.live.begin(1)
    given = ""
    while len(watched.events) < 12:
        watched.live.add("word ")
        given += "word "
        await asyncio.sleep(0.001)
    watched.live.close()
    assert watched.text == given
    times = [at for at, _ in watched.events]
    assert all(later - earlier >= EVERY_S * 0.9 for earlier, later in pairwise(times[:-1]))
    assert all(sum(at <= one < at + 1 for one in times) <= 10 for at in times)


async def test_a_piece_that_waits_is_shown_when_its_time_has_come() -> None:
    watched = Watched()
    watched.live.begin(1)
    watched.live.add("a")
    watched.live.add("b")
    assert watched.text == "a"
    await wait_until(lambda: len(watched.events) >= 2)
    assert watched.text == "ab"


async def test_what_waits_of_the_turn_before_comes_with_the_next_ones_first_piece() -> None:
    watched = Watched()
    watched.live.begin(1)
    watched.live.add("a")
    watched.live.add("b")
    watched.live.begin(2)
    watched.live.add("c")
    watched.live.close()
    assert [data for _, data in watched.events] == [{"turn": 1, "text": "a"}, {"turn": 2, "text": "b\n\nc"}]


async def test_a_text_that_comes_whole_is_shown_in_parts_and_its_end_shortened() -> None:
    watched = Watched()
    watched.live.begin(1)
    watched.live.add("x" * MAX_CHARS * 99)
    await wait_until(lambda: len(watched.events) >= 2)
    watched.live.close()
    assert {len(str(data["text"])) for _, data in watched.events} == {MAX_CHARS}
    assert len(watched.events) < 99
    assert watched.text.endswith("x…")


async def test_nothing_said_is_nothing_shown() -> None:
    watched = Watched()
    watched.live.begin(1)
    watched.live.begin(2)
    watched.live.close()
    assert watched.events == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 10_000])
@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-@@",
        "the password: @@ and",
        "ghp_@@",
        "-----BEGIN PRIVATE KEY-----\n@@\n@@\n-----END PRIVATE KEY-----",
        "postgres://clerk:@@@host/db",
    ],
)
async def test_a_secret_that_comes_in_pieces_is_not_shown(secret: str, size: int) -> None:
    word = "kestrelkestrelkestrel42"
    text = f"It is so: {secret.replace('@@', word)}\nThat was it, and no more of it, really."
    watched = Watched()
    watched.live.begin(1)
    for at in range(0, len(text), size):
        watched.live.add(text[at : at + size])
        watched.live._last = float("-inf")  # pyright: ignore[reportPrivateUsage]  (time passes)
        watched.live._timer = None  # pyright: ignore[reportPrivateUsage]
    watched.live.close()
    assert word[:12] not in watched.text
    assert watched.text.startswith("It is so: ")
    assert watched.text.endswith("That was it, and no more of it, really.")


async def test_text_without_blanks_is_shown_too() -> None:
    watched = Watched()
    watched.live.begin(1)
    watched.live.add("私は本を読む" * 100)
    assert len(watched.text) == 600
