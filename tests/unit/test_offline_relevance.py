"""Which sentences the offline model takes for an answer."""

import pytest

from workers.llm.offline.relevance import most_relevant, paired
from workers.llm.offline.sentences import Sentence, sentences, statements
from workers.llm.offline.titles import title_of
from workers.llm.offline.topics import Topic, search_for, topics_of

PASSAGE = (
    "Lists are mutable sequences that hold items of any kind. "
    "Setting a hook only affects lookups through the globals, which a module keeps next to its long list of names. "
    "Lists are equal when all of their items are equal, one by one. "
    "Changed in version 3.7: Lists keep what was assigned to them in order. "
    "Bread needs yeast and a lot of time to rise."
)


def best(topic: Topic, text: str = PASSAGE, aspect: str = "", heading: str = "") -> list[str]:
    found = most_relevant(sentences(text), topic, aspect=aspect, headings={0: heading}, limit=3)
    return [one.text for one in found]


@pytest.mark.parametrize(
    ("aspect", "first"),
    [
        ("what may change after they were made", "Lists are mutable sequences that hold items of any kind."),
        ("how they are compared", "Lists are equal when all of their items are equal, one by one."),
    ],
)
def test_an_aspect_is_found_in_related_words(aspect: str, first: str) -> None:
    assert best(Topic("lists"), aspect=aspect)[0] == first


def test_an_aspect_that_nothing_speaks_of_finds_nothing() -> None:
    assert best(Topic("lists"), aspect="what they cost") == []


def test_history_ranks_last_unless_the_question_is_about_it() -> None:
    text = "Lists are kept in a row of slots in memory. Changed in version 3.7: Lists keep their slots in one row."
    assert best(Topic("lists"), text)[0].startswith("Lists are kept")
    assert best(Topic("lists in which version"), text)[0].startswith("Changed in version")


def test_a_heading_on_the_subject_lifts_the_sentences_below_it() -> None:
    one, other = (
        Sentence(f"The {word} holds the items of lists in a row.", (), place)
        for place, word in ((0, "pen"), (1, "tree"))
    )
    ranked = most_relevant([one, other], Topic("lists"), headings={0: "Bread", 1: "Things › Lists"}, limit=1)
    assert ranked == [other]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        (
            "Why are lists copied",
            "In a good many of all the large programs lists are copied because another thread may change them.",
        ),
        ("How do I have lists copied", "Use a slice of the whole to have lists copied in one go."),
    ],
)
def test_the_form_of_a_question_tells_which_sentence_answers(question: str, first: str) -> None:
    text = (
        "In the first step of this long story some of the lists are copied. "
        "In a good many of all the large programs lists are copied because another thread may change them. "
        "Use a slice of the whole to have lists copied in one go."
    )
    assert best(Topic(question), text)[0] == first


def test_a_sentence_that_leans_is_quoted_with_the_one_before() -> None:
    text = "Values are evaluated when the function is defined. This means that they are evaluated only once."
    assert [one.text for one in paired(sentences(text))][1] == text


def test_each_item_of_a_list_is_one_statement_with_its_sources() -> None:
    text = "- One thing. It has a second half. [p0000000001]\n- Short. [p0000000002, p0000000003]\n\n- "
    assert [(one.text, one.citations) for one in statements(text)] == [
        ("One thing. It has a second half.", ("p0000000001",)),
        ("Short.", ("p0000000002", "p0000000003")),
    ]


@pytest.mark.parametrize(
    "topics",
    [
        [Topic("lists")],
        [Topic("lists", ("speed", "memory"))],
        [Topic("lists", ("what may change", "how they are compared"))],
        [Topic("what happens to their steps", (), "lost workers")],
        [Topic("a1"), Topic("b1", ("speed",)), Topic("c1")],
    ],
)
def test_topics_are_read_back_from_the_description_of_their_search(topics: list[Topic]) -> None:
    assert topics_of(search_for(topics)) == topics


@pytest.mark.parametrize(
    ("description", "within", "title"),
    [
        ("Find what the documents say about: lists, regarding what may change", False, "Lists"),
        ("Find what the documents say about: lists, regarding speed and memory", False, "Lists: speed and memory"),
        ("Find what the documents say about: lists, regarding speed", True, "Lists"),
        ("Find what the documents say about: how well are they kept (wines)", False, "How well are they kept?"),
        ("Find what the documents say about: how wine is kept", False, "How wine is kept"),
        ("Compare what was found about a1 and b1, regarding speed", False, "Comparison: a1 and b1"),
        ("Answer from the tables t: which is best; how large is it", False, "Which is best, and how large is it?"),
        ("Answer from the tables t: what they hold that bears on: x", False, "What the tables hold"),
    ],
)
def test_a_heading_reads_like_one(description: str, within: bool, title: str) -> None:
    assert title_of(description, within=within) == title
