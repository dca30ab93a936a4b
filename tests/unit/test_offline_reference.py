"""Pronouns of a question and what they stand for."""

import pytest

from workers.llm.offline.reference import indirect, noun_of, refers_back, resolve


@pytest.mark.parametrize(
    ("question", "noun"),
    [
        ("which modules of the library are the largest", "modules of the library"),
        ("Which regions sell most", "regions"),
        ("What is a generator", "generator"),
        ("How are lost workers detected", "lost workers"),
        ("how do lists work", "lists"),
        ("what the package asyncio holds", "package asyncio"),
        ("how context managers work", "context managers"),
        ("How do I make a class hashable", "How do I make a class hashable"),
        ("what happens to their steps", "what happens to their steps"),
        ("lists", "lists"),
    ],
)
def test_the_thing_that_a_question_is_about_is_its_noun(question: str, noun: str) -> None:
    assert noun_of(question) == noun


@pytest.mark.parametrize(
    ("clause", "leans"),
    [
        ("how are they compared", True),
        ("what happens to their steps", True),
        ("why is its speed low", True),
        ("how do functions get their values", False),
        ("how do functions treat them", True),
        ("how do lists grow", False),
    ],
)
def test_a_clause_leans_unless_its_pronoun_has_a_noun_of_its_own(clause: str, leans: bool) -> None:
    assert refers_back(clause) is leans


@pytest.mark.parametrize(
    ("clause", "noun", "whole"),
    [
        ("how well are they documented", "modules", "how well are the modules documented"),
        ("what is their size", "modules", "what is their size (modules)"),
        ("how large is it", "how context managers work", "how large is it (how context managers work)"),
        ("how large is it", "the package", "how large is the package"),
    ],
)
def test_a_pronoun_gives_way_to_a_short_noun(clause: str, noun: str, whole: str) -> None:
    assert resolve(clause, noun) == whole


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("how are they compared", "how they are compared"),
        ("how well are they kept", "how well they are kept"),
        ("how do they grow", "how they grow"),
        ("what may change", "what may change"),
    ],
)
def test_a_question_turns_into_a_part_of_a_sentence(question: str, part: str) -> None:
    assert indirect(question) == part
