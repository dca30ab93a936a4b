"""Passages: their size, their borders, and that each stands where it says."""

import re
from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.models import Source
from workers.knowledge.passages import MAX_CHARS, MAX_LONG_WORDS, document_key, passages
from workers.knowledge.readers import Unusable, extract

SENTENCE = "The quick brown fox jumps over the lazy dog again."


def cut(name: str, content: str) -> list[Source]:
    found = extract(PurePath(name), content.encode())
    return list(passages(found, f"/docs/{name}", "0" * 64, "default"))


def squeeze(text: str) -> str:
    return " ".join(text.split())


def words(source: Source) -> int:
    return len(source.text.split())


def lines_at(content: str, source: Source) -> str:
    assert source.line_start is not None
    assert source.line_end is not None
    return "\n".join(re.split("\r\n|\r|\n", content)[source.line_start - 1 : source.line_end])


def paragraph(sentences: int) -> str:
    return " ".join([SENTENCE] * sentences)


def test_small_paragraphs_are_gathered_and_keep_their_blank_lines() -> None:
    (only,) = cut("a.md", "# T\n\none\n\n\ntwo\n")
    assert (only.text, only.line_start, only.line_end, only.heading) == ("one\n\n\ntwo", 3, 6, "T")


INDENTED = "  - outer\n\n      - inner  \n\tdeep\n\n\n  last"


@pytest.mark.parametrize("name", ["a.md", "a.rst", "a.txt", "a.csv", "a.json"])
def test_a_passage_keeps_indentation_and_blank_lines_as_the_file_has_them(name: str) -> None:
    (only,) = cut(name, f"{INDENTED}\n")
    assert (only.text, only.line_start, only.line_end) == (INDENTED, 1, 7)


def test_a_fence_right_below_a_line_stays_right_below_it() -> None:
    content = "Run:\n```sh\n  ls\n```\nand see."
    assert [one.text for one in cut("a.md", content)] == [content]


def test_a_passage_ends_at_a_heading() -> None:
    assert [(one.heading, one.text) for one in cut("a.md", "# A\none\n# A\ntwo\n")] == [("A", "one"), ("A", "two")]


def test_headings_are_joined_from_the_outermost() -> None:
    assert cut("a.md", "# A\n## B\ntext")[0].heading == "A › B"


def test_a_text_without_headings_has_none() -> None:
    assert cut("a.txt", "text")[0].heading is None


def test_paragraphs_stay_whole_where_they_fit() -> None:
    content = "\n\n".join([paragraph(9)] * 5)  # 90 words each: two make a passage
    assert [words(one) for one in cut("a.txt", content)] == [180, 180, 90]


def test_a_huge_paragraph_is_cut_at_sentence_ends_within_its_line() -> None:
    found = cut("a.txt", paragraph(100))
    assert len(found) > 4
    assert all(one.text.startswith("The quick") and one.text.endswith("again.") for one in found)
    assert {(one.line_start, one.line_end) for one in found} == {(1, 1)}


def test_few_words_at_the_end_or_the_start_are_not_left_alone() -> None:
    assert [words(one) for one in cut("a.txt", f"{paragraph(22)}\n\nThe end.")] == [222]
    assert [words(one) for one in cut("a.txt", f"Note this:\n\n{paragraph(22)}")] == [222]


def test_code_is_kept_whole_while_a_passage_can_hold_it() -> None:
    code = "```\n" + "a b c d e f g h\n" * 60 + "```"  # 480 words, fewer than 1,000 characters
    assert [one.text for one in cut("a.md", f"{paragraph(9)}\n\n{code}")] == [paragraph(9), code]


def test_longer_code_is_cut_at_line_ends_and_keeps_its_indentation() -> None:
    found = cut("a.md", "```\n" + "    call(argument)\n" * 200 + "```")
    assert len(found) == 2
    assert found[1].text.startswith("    call(argument)\n")
    assert found[0].text.endswith("    call(argument)")


@pytest.mark.parametrize("filling", ["x" * 9000, "字" * 9000, "x,y;" * 3000, "word " * 3000, "句子。" * 3000])
@pytest.mark.parametrize("name", ["a.txt", "a.json"])
def test_text_without_sentences_is_cut_all_the_same_and_nothing_is_lost(name: str, filling: str) -> None:
    found = cut(name, filling)
    assert all(len(one.text) <= MAX_CHARS for one in found)
    assert "".join("".join(one.text for one in found).split()) == "".join(filling.split())


def test_a_long_list_is_cut_between_its_items() -> None:
    found = cut("a.md", "\n".join(f"- item {n} has some words without an end" for n in range(200)))
    assert len(found) > 3
    assert all(one.text.startswith("- item") for one in found)


def test_ids_count_from_zero_and_depend_on_path_and_content() -> None:
    content = "# A\none\n# B\ntwo"
    assert [one.id for one in cut("a.md", content)] == [f"{document_key('/docs/a.md', '0' * 64)}-{n}" for n in (0, 1)]
    keys = {document_key(path, digest) for path in ("/a", "/b") for digest in ("0" * 64, "1" * 64)}
    assert len(keys) == 4
    assert all(re.fullmatch("p[0-9a-f]{10}", key) for key in keys)


def test_a_passage_says_where_it_comes_from() -> None:
    (only,) = cut("a.md", "# T\ntext")
    assert (only.title, only.path, only.knowledge, only.page_start) == ("T", "/docs/a.md", "default", None)


def test_pages_are_pages_and_not_lines() -> None:
    from tests.support.documents import pdf

    found = extract(PurePath("a.pdf"), pdf([["One"], ["Two"]]))
    (only,) = passages(found, "/docs/a.pdf", "0" * 64, "default")
    assert (only.page_start, only.page_end, only.line_start, only.line_end) == (1, 2, None, None)


def test_text_between_scripts_is_not_joined_across_them() -> None:
    assert [one.text for one in cut("a.html", "<p>one</p><script>x()</script><p>two</p>")] == ["one", "two"]


_LINES = st.one_of(
    st.sampled_from(
        [
            "",
            "# Heading",
            "## Deeper `one`",
            "Title",
            "=====",
            "-----",
            "```",
            "~~~",
            "- item",
            "1. item",
            "| a | b |",
            "    indented",
            "text::",
            "***",
            "<p>x</p>",
            '"quoted',
            "a,b,c",
            paragraph(30),
            "x" * 2500,
            "\x0c",
            "\u2028 separated",
            "\u00a0",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cc"]), max_size=60),
)


@settings(deadline=None)  # parsers load at first use
@given(
    lines=st.lists(_LINES, max_size=40),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    suffix=st.sampled_from(["md", "txt", "rst", "json", "jsonl", "csv", "tsv"]),
)
def test_every_passage_stands_verbatim_at_its_lines(lines: list[str], end: str, suffix: str) -> None:
    content = end.join(lines)
    try:
        found = cut(f"a.{suffix}", content)
    except Unusable:
        return
    for one in found:
        assert one.text in lines_at(content, one)
        assert one.text
        assert len(one.text) <= MAX_CHARS
    assert [one.id.rpartition("-")[2] for one in found] == [str(n) for n in range(len(found))]


@settings(deadline=None)  # parsers load at first use
@given(lines=st.lists(_LINES, max_size=40), suffix=st.sampled_from(["json", "jsonl", "csv"]))
def test_no_line_with_words_is_lost(lines: list[str], suffix: str) -> None:
    try:
        found = cut(f"a.{suffix}", "\n".join(lines))
    except Unusable:
        return
    kept = squeeze(" ".join(one.text for one in found)).replace(" ", "")
    for line in lines:
        if any(character.isalnum() for character in line):
            assert squeeze(line).replace(" ", "") in kept


@settings(deadline=None)  # parsers load at first use
@given(st.lists(st.integers(1, 60), max_size=12))
def test_prose_passages_have_at_most_the_long_limit_of_words(sizes: list[int]) -> None:
    content = "\n\n".join(paragraph(size) for size in sizes)
    if content:
        assert all(words(one) <= MAX_LONG_WORDS for one in cut("a.txt", content))


@settings(deadline=None)  # parsers load at first use
@given(st.text(max_size=400), st.sampled_from(["md", "txt", "html", "json", "csv", "pdf", "docx"]))
def test_any_text_in_any_file_gives_passages_or_a_reason(content: str, suffix: str) -> None:
    try:
        found = extract(PurePath(f"a.{suffix}"), content.encode("utf-8", "surrogatepass"))
    except Unusable:
        return
    assert all(one.text for one in passages(found, "/a", "0" * 64, "default"))
