"""Sentences out of marked-up text, and the words that they are compared by."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.llm.offline.sentences import sentences, tidy
from workers.llm.offline.terms import key_stems, key_words, stem, stems


def texts(source: str) -> list[str]:
    return [one.text for one in sentences(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            (
                "Dr. Smith wrote, e.g. in Fig. 3, about the U.S. economy at "
                "length. The next sentence is about something else."
            ),
            2,
        ),
        (
            (
                "# A heading that would be long enough to be a sentence.\n\nThe "
                "text below the heading is what counts here."
            ),
            1,
        ),
        (
            (
                "A long heading, underlined, like in "
                "rst\n=======================================\nThe text below it is what really counts."
            ),
            1,
        ),
        (
            (
                "```\nThis is code that only looks like a sentence to "
                "us.\n```\nThe text after the code is what really counts."
            ),
            1,
        ),
        (
            (
                "Consider the following literal block, for example::\n\n   This is not prose but "
                "looks a lot like it.\n\nAnd here the prose goes on as it did before."
            ),
            1,
        ),
        (
            (
                "| A table row that looks very much like a sentence. "
                "|\n+------+\nThe text below the table is what really counts."
            ),
            1,
        ),
        ("comparison ::= or_expr (comp_operator or_expr)* and so on and on.", 0),
        ("- First item of the list is a sentence of its own.\n- Second item of the list is another such sentence.", 2),
        ("object.__lt__(self, other)\n   Called by the rich comparison operators of the language.", 1),
        ("It is still known to Python 3. The list of its names is longer than it was.", 1),
        ("too short.", 0),
        ("lower case at the start means that it is a fragment of one.", 0),
        ("A sentence that never comes to its end because it is cut", 0),
        ("It leads to what follows in the next paragraph or list:", 0),
        ("比较列表和元组的时候，列表是可变的而元组不是。元组可以用作字典的键，列表不可以这样使用。", 2),
        ("x" * 5_000 + " is far too long to be looked at as a sentence.", 0),
    ],
)
def test_only_whole_sentences_of_prose_are_kept(source: str, expected: int) -> None:
    assert len(texts(source)) == expected


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("A **bold** and *soft* [link](http://x.y/a_(b)) here", "A bold and soft link here"),
        ("See :func:`~os.path` and ``x + 1`` now", "See `os.path` and `x + 1` now"),
        ("The `manual <http://x.y>`_ says", "The manual says"),
        ('The "__hash__()" method and **kwargs stay', 'The "__hash__()" method and **kwargs stay'),
        ("A note [3] and <b>tags</b> go", "A note and tags go"),
    ],
)
def test_inline_markup_goes_and_the_words_stay(marked: str, plain: str) -> None:
    assert tidy(marked) == plain


def test_citations_belong_to_the_sentence_before_them() -> None:
    found = sentences(
        "Lists are mutable and keep their items in order. [p0000000001] [p0000000002-1]\n"
        "Tuples are immutable and can be hashed safely [t0000000003, "
        "p0000000004]. Sets have no order at all, and no duplicates."
    )
    assert [one.citations for one in found] == [("p0000000001", "p0000000002-1"), ("t0000000003", "p0000000004"), ()]
    assert found[0].cited_text.endswith("in order. [p0000000001, p0000000002-1]")


def test_lines_broken_at_a_hyphen_are_joined() -> None:
    assert texts("A list of comma-\nseparated values is what this format holds.") == [
        "A list of comma-separated values is what this format holds."
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("lists", "list"),
        ("hashing", "hashed"),
        ("queries", "query"),
        ("mapping", "map"),
        ("classes", "class"),
        ("moved", "move"),
    ],
)
def test_forms_of_a_word_share_a_stem(left: str, right: str) -> None:
    assert stem(left) == stem(right)


@pytest.mark.parametrize("word", ["is", "us", "bus", "this", "red", "king", "a"])
def test_short_words_keep_their_form(word: str) -> None:
    assert stem(word) == word


def test_stop_words_count_only_where_they_are_names() -> None:
    assert stems("What does the with statement do") == ["with", "statement"]
    assert key_words("explain what it is about") == []
    assert key_stems("explain") == ["explain"]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=600))
def test_any_text_can_be_read(text: str) -> None:
    assert all(one.text for one in sentences(text))


@pytest.mark.parametrize(
    "piece", [".", " ", "e.g. ", "[p0123456789] ", "a", "- x\n", "[(", ":", "。", "*", "_a_ ", "<a ", "`"]
)
def test_a_hundred_thousand_characters_take_less_than_a_second(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    start = time.process_time()
    sentences(text)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("A return needs the original packaging.", True),
        ("A refund takes at least two whole weeks.", True),
        ("This is so in all of the other cases.", False),
        ("See also the notes on it, further on.", False),
        ("It takes at least two weeks or so now.", False),
        ("No exceptions are made, ever.", False),
    ],
)
def test_a_short_sentence_is_quoted_when_it_stands_by_itself(text: str, quoted: bool) -> None:
    assert texts(text) == ([text] if quoted else [])
