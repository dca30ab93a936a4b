"""Citations: only what was shown may be cited; the answer numbers sources as they come."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.models import Source
from tests.unit.attempts import make_source
from workers.agents.citations import cited, keep_known, number

IDS = [f"p{at:010x}" + (f"-{at}" if at % 2 else "") for at in range(8)] + ["t0123456789"]
KNOWN = {one: make_source(one) for one in IDS[:5]}


def group(ids: list[str], between: str, pad: str) -> str:
    return f"[{pad}{between.join(ids)}{pad}]"


GROUP = st.builds(
    group,
    st.lists(st.sampled_from(IDS), min_size=1, max_size=4),
    st.sampled_from([",", ", ", ";", " ; ", ",\n"]),
    st.sampled_from(["", " "]),
)
PROSE = st.sampled_from(
    [
        "So it is",
        " ",
        "\n",
        ".",
        "[1]",
        "[see below]",
        "[p012]",
        "[",
        "]",
        "(p0123456789)",
        "| a | b |",
        "",
        "\t  ",
        "ä",
    ]
)
TEXT = st.lists(st.one_of(GROUP, PROSE), max_size=12).map("".join)


def known(*ids: str) -> dict[str, Source]:
    return {one: make_source(one) for one in ids}


@given(TEXT)
def test_only_known_ids_survive_and_each_has_its_source(text: str) -> None:
    clean, sources = keep_known(text, KNOWN)
    assert cited(clean) == [one for one in cited(text) if one in KNOWN]
    assert [source.id for source in sources] == cited(clean)


@given(TEXT)
def test_tidying_twice_is_tidying_once(text: str) -> None:
    clean, sources = keep_known(text, KNOWN)
    assert keep_known(clean, KNOWN) == (clean, sources)


@given(TEXT)
def test_numbers_are_dense_and_in_the_order_of_first_mention(text: str) -> None:
    numbered, sources = number(text, KNOWN)
    assert [source.number for source in sources] == list(range(1, len(sources) + 1))
    assert [source.id for source in sources] == [one for one in cited(text) if one in KNOWN]
    assert cited(numbered) == []


@given(st.lists(st.one_of(GROUP, st.sampled_from(["so", ".", " ", "\n"])), max_size=12).map("".join))
def test_every_number_in_the_answer_is_that_of_a_source_and_the_other_way_round(text: str) -> None:
    numbered, sources = number(text, KNOWN)
    mentions = [int(one) for one in re.findall(r"\[([0-9]+)\]", numbered)]
    assert list(dict.fromkeys(mentions)) == [source.number for source in sources]
    places = {source.id: source.number for source in sources}
    groups = re.findall(r"\[([^\]]*)\]", text)
    assert mentions == [places[one] for group in groups for one in re.findall(r"[pt][0-9a-f-]+", group) if one in KNOWN]


@given(TEXT)
def test_words_are_left_alone(text: str) -> None:
    clean, _ = keep_known(text, KNOWN)
    citation = re.compile(r"\s*\[\s*[pt][0-9a-f]{10}[^\]]*\]|\s+")
    assert citation.sub("", clean) == citation.sub("", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So.[p0000000000]", "So. [1]"),
        ("So   [p0000000000].", "So [1]."),
        ("So [p0000000000, p0000000001-1].", "So [1][2]."),
        ("So [p0000000001-1; p0000000000] and [p0000000000].", "So [1][2] and [2]."),
        ("So [p0000000000, pffffffffff].", "So [1]."),
        ("So [pffffffffff].", "So."),
        ("So [P0000000000].", "So [P0000000000]."),
        ("So [p0000000000-].", "So [p0000000000-]."),
        ("No citations.", "No citations."),
        ("As [1] said [p0000000000], see [2](x).", "As (1) said [1], see [2](x)."),
    ],
)
def test_citations_in_an_answer(text: str, expected: str) -> None:
    assert number(text, known("p0000000000", "p0000000001-1"))[0] == expected


def test_a_source_that_is_cited_twice_is_listed_once() -> None:
    text, sources = number("a [p0000000000] b [p0000000000]", KNOWN)
    assert text == "a [1] b [1]"
    assert len(sources) == 1


def test_sources_themselves_are_not_changed() -> None:
    sources = known("p0000000000")
    number("a [p0000000000]", sources)
    assert sources["p0000000000"].number is None


@pytest.mark.parametrize("text", [" " * 100_000, "[" * 100_000, "[p0000000000, " * 10_000, "[" + " " * 100_000])
def test_hostile_texts_take_no_time(text: str) -> None:
    begun = time.perf_counter()
    number(text, KNOWN)
    assert time.perf_counter() - begun < 2
