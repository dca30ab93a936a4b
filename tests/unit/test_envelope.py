"""Envelopes: content stays one piece, whatever it holds."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.agents.envelope import TAGS, cut, defuse, unwrap, wrap
from workers.agents.markers import clean

TAG = st.sampled_from(TAGS)
PARTS = [
    *(f"<{tag}>" for tag in TAGS),
    *(f"</{tag}>" for tag in TAGS),
    "<TASK>", "</ Task >", "< step>", "<step id=\"x\">", "</step", "<", ">", "/", "\n", " ", "\"", "=", "‹task>",
    "text", "<taskforce>", "<ſtep>", "<taSK\u212a>",
]  # fmt: skip
HOSTILE = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PARTS), max_size=20).map("".join))
ATTRIBUTES = st.dictionaries(st.sampled_from(["id", "agent", "about", "status"]), HOSTILE, max_size=3)


@given(TAG, HOSTILE, ATTRIBUTES)
def test_any_content_survives_as_one_piece(tag: str, content: str, attributes: dict[str, str]) -> None:
    ((found, inside),) = unwrap(wrap(tag, content, attributes), tag)
    assert inside == defuse(content)
    assert list(found) == list(attributes)


@given(st.lists(st.tuples(TAG, HOSTILE, ATTRIBUTES), max_size=6))
def test_no_content_opens_or_closes_another_piece(pieces: list[tuple[str, str, dict[str, str]]]) -> None:
    prompt = "\n\n".join(wrap(*piece) for piece in pieces)
    for tag in TAGS:
        assert [inside for _, inside in unwrap(prompt, tag)] == [
            defuse(text) for name, text, _ in pieces if name == tag
        ]


@given(HOSTILE)
def test_defusing_changes_one_character_of_each_marker_and_leaves_out_what_nobody_sees(content: str) -> None:
    harmless, seen = defuse(content), clean(content)
    assert len(harmless) == len(seen)
    assert harmless.replace("‹", "<") == seen.replace("‹", "<")
    assert defuse(harmless) == harmless
    assert re.search(rf"</?\s*(?:{'|'.join(TAGS)})\b", harmless, re.IGNORECASE) is None


@given(
    st.text(alphabet=st.characters(exclude_characters="<＜﹤&\\%", exclude_categories=["Cc", "Cf", "Cs"]), max_size=80)
)
def test_content_without_markers_is_untouched(content: str) -> None:
    assert unwrap(wrap("task", content), "task") == [({}, content)]


@pytest.mark.parametrize(
    "marker",
    [
        "<task>", "</task>", "< task >", "</ task>", "<TASK>", "<\u200btask>", "<t\u200bask>", "</\u2060ta\u00adsk>",
        "＜task＞", "﹤task﹥", "<ｔａｓｋ>", "<\U0001d42d\U0001d41a\U0001d42c\U0001d424>", "<t\u0430sk>",
        "<\u0442ask>",
        "<ta\u017fk>", "<t\u0301ask>", "&lt;task&gt;", "&#60;/task&#62;", "&#x3C;task>", "\\u003ctask\\u003e",
        "%3Ctask%3E", "%3c%2ftask%3e", "<\ntask>", "<\x00task>", "<\u202etask>", "<|im_start|>", "<system>",
        "<function_calls>", "<invoke>", "</tool_result>", "<\\/task>",
    ],
)  # fmt: skip
def test_a_marker_is_made_harmless_in_every_spelling(marker: str) -> None:
    harmless = defuse(f"before {marker} after")
    assert harmless.startswith("before ‹")
    assert harmless.endswith(" after")


@pytest.mark.parametrize("hidden", ["\x00", "\x1b", "\x85", "\u202e", "\u2066", "\U000e0041", "\U000e0001"])
def test_what_nobody_is_meant_to_see_is_left_out(hidden: str) -> None:
    assert defuse(f"a{hidden}b") == "ab"


@pytest.mark.parametrize(
    "text", ["a\tb\r\nc", "👨\u200d👩\u200d👧", "نص عربي\u200f", "می\u200cخواهم", "x &lt; y", "50%3C"]
)
def test_what_scripts_need_stays(text: str) -> None:
    assert defuse(text) == text


def test_what_is_cut_says_so_and_keeps_to_its_limit() -> None:
    short = cut("x" * 1000, 100)
    assert len(short) == 100
    assert short.endswith("(cut: this is the beginning of 1000 characters)")
    assert cut("x" * 100, 100) == "x" * 100


@pytest.mark.parametrize("piece", ["<\u200b", "< /", "<t\u200b", "&lt;&lt", "<conversatio"])
def test_markers_are_looked_for_in_linear_time(piece: str) -> None:
    start = time.process_time()
    defuse(piece + piece[-1] * 200_000 + piece * 50_000)
    assert time.process_time() - start < 5


@given(
    st.text(alphabet=st.characters(exclude_characters='"<>', exclude_categories=["Z", "C"]), min_size=1, max_size=30)
)
def test_plain_attributes_come_back_as_they_were(value: str) -> None:
    assert unwrap(wrap("step", "x", {"about": value}), "step") == [({"about": value}, "x")]


@pytest.mark.parametrize(
    ("given", "kept"), [("a\n  b", "a b"), ('say "so"', "say so"), ("</step>", "/step"), ("", ""), ('" id="2', "id= 2")]
)
def test_attributes_are_kept_on_one_line_and_without_quotes(given: str, kept: str) -> None:
    assert unwrap(wrap("step", "x", {"about": given}), "step") == [({"about": kept}, "x")]


@pytest.mark.parametrize("content", ["<div>", "1 < 2", "<taskforce>", "< a task >", "a<b"])
def test_ordinary_angle_brackets_stay(content: str) -> None:
    assert defuse(content) == content


def test_other_tags_are_not_found() -> None:
    assert unwrap(wrap("task", "x"), "step") == []


@pytest.mark.parametrize("piece", ["<task>\n", "<task>\n<step>\n", '<task a="', '<step a="" b=""'])
def test_many_unclosed_tags_are_read_in_linear_time(piece: str) -> None:
    start = time.process_time()
    assert unwrap(piece * 20_000, "task") == []
    assert time.process_time() - start < 1


def test_an_unclosed_tag_hides_no_later_piece() -> None:
    assert unwrap("<task>\n<input>\nx\n" + wrap("step", "y"), "step") == [({}, "y")]
