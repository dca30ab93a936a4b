"""The provider's cache no longer gives what it should: noticed, explained, and not said too often."""

from collections.abc import Sequence

from tasks.models import Usage
from workers.llm.cache_watch import KEPT, QUIET_S, RUNNING, SUBJECTS, CacheWatch, Miss

TTL_S = 270.0
SUBJECT = ("search", "claude-sonnet-5-5")
READ, WROTE, NEITHER = Usage(cache_read_tokens=9), Usage(cache_write_tokens=9), Usage(input_tokens=9)


def parts(tools: str = "t", system: str = "s", form: str = "f") -> dict[str, str]:
    return {"tools": tools, "system": system, "form": form}


class Watch:
    """A watch, on a clock that goes on by a second a call."""

    def __init__(self) -> None:
        self.watch = CacheWatch(TTL_S)
        self.now = 0.0

    def saw(
        self,
        usage: Usage,
        system: str = "s",
        tools: str = "t",
        *,
        warm: bool = True,
        begins: bool = True,
        subject: tuple[str, str] = SUBJECT,
    ) -> Miss | None:
        self.now += 1
        return self.watch.saw(subject, parts(tools, system), usage, self.now, warm=warm, begins=begins)


def told(misses: Sequence[Miss | None]) -> list[int]:
    """Which calls were worth a word."""
    return [at for at, miss in enumerate(misses) if miss is not None]


def test_misses_in_a_row_are_worth_one_word() -> None:
    watch = Watch()
    assert told([watch.saw(WROTE) for _ in range(20)]) == [RUNNING - 1]


def test_after_a_while_it_is_said_again() -> None:
    watch = Watch()
    first = [watch.saw(WROTE) for _ in range(RUNNING)][-1]
    watch.now += QUIET_S
    again = watch.saw(WROTE)
    assert first is not None
    assert again is not None
    assert (first.times, again.times) == (RUNNING, RUNNING + 1)


def test_a_hit_between_them_makes_misses_single_ones() -> None:
    watch = Watch()
    assert told([watch.saw(usage) for usage in [WROTE, WROTE, READ] * 5]) == []


def test_calls_that_nobody_had_warmed_the_cache_for_may_miss() -> None:
    watch = Watch()
    assert told([watch.saw(WROTE, warm=False) for _ in range(10)]) == []


def test_what_was_read_before_is_gone_before_its_time() -> None:
    watch = Watch()
    watch.saw(READ)
    miss = [watch.saw(WROTE) for _ in range(RUNNING)][-1]
    assert miss is not None
    assert miss == Miss("expired", (), RUNNING)
    assert miss.words == "what they begin with was gone before its time"


def test_what_was_never_read_is_not_kept() -> None:
    watch = Watch()
    miss = [watch.saw(NEITHER) for _ in range(RUNNING)][-1]
    assert miss is not None
    assert miss == Miss("not_kept", (), RUNNING)
    assert "shorter than the model keeps" in miss.words


def test_a_system_prompt_that_is_new_each_time_is_named() -> None:
    watch = Watch()
    misses = [watch.saw(WROTE, f"It is {at} o'clock.", warm=False) for at in range(RUNNING + 1)]
    assert told(misses) == [RUNNING]
    miss = misses[-1]
    assert miss is not None
    assert miss == Miss("changed", ("system",), RUNNING)
    assert miss.words == "the system prompt changed before each of them"


def test_tools_and_system_prompt_that_change_are_both_named() -> None:
    watch = Watch()
    miss = [watch.saw(WROTE, str(at), str(at), warm=False) for at in range(RUNNING + 1)][-1]
    assert miss is not None
    assert miss.parts == ("tools", "system")
    assert "tools and system prompt" in miss.words


def test_later_calls_of_a_conversation_say_nothing_of_changes() -> None:
    watch = Watch()
    for at in range(RUNNING):
        assert watch.saw(WROTE, str(at), warm=False) is None
        assert watch.saw(READ, str(at), begins=False) is None
    miss = watch.saw(WROTE, "next", warm=False)
    assert miss is not None
    assert miss.reason == "changed"
    assert watch.saw(NEITHER, "next", begins=False) is None


def test_an_agent_that_has_several_prompts_is_no_reason_for_a_word() -> None:
    watch = Watch()
    for _ in range(5):
        for system in "abc":
            assert watch.saw(WROTE, system, warm=False) is None
    assert watch.saw(READ, "a") is None


def test_a_prompt_that_changes_after_the_cache_is_gone_costs_nothing() -> None:
    watch = Watch()
    for at in range(10):
        watch.now += TTL_S
        assert watch.saw(WROTE, str(at), warm=False) is None


def test_agents_are_watched_apart() -> None:
    watch = Watch()
    for at in range(10):
        assert watch.saw(WROTE, subject=(f"agent-{at}", "m")) is None


def test_what_is_remembered_is_bounded() -> None:
    watch = Watch()
    for at in range(KEPT + 1):
        watch.saw(READ, str(at))
    assert watch.saw(WROTE, "0", warm=False) is None
    for at in range(SUBJECTS):
        watch.saw(WROTE, subject=(f"agent-{at}", "m"))
    assert told([watch.saw(WROTE) for _ in range(RUNNING)]) == [RUNNING - 1]
