"""The offline model's summaries and answers: nothing invented, citations kept, gaps named."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.models import StepInput, StepKind
from tests.unit.offline_requests import failed, finding, job, request
from workers.llm.offline.model import respond
from workers.llm.offline.summary import DISCLAIMER

PREFIX = "Find what the documents say about: "
LISTS = (
    "- Lists are mutable sequences that keep their items in order. [p0000000001]\n"
    "- Lists grow at the end at little cost, unlike arrays. [p0000000002]"
)
TUPLES = (
    "- Tuples are immutable sequences of arbitrary Python objects. [p0000000003]\n"
    "- Tuples and lists are compared item by item, from the left. [p0000000004]"
)
NUMBERS = (
    "Average amount per region in table sales: North (2.5). [t0000000001]\n\n"
    "| region | n |\n| --- | --- |\n| North | 3 |"
)


def answer(*inputs: StepInput, task: str = "Compare lists and tuples") -> str:
    return respond(request(job(task), "Write the answer.", kind=StepKind.SYNTHESIS, inputs=inputs)).text


def summary(*inputs: StepInput, task: str = "Compare lists and tuples", step: str = "Summarise") -> str:
    return respond(request(job(task), step, inputs=inputs)).text


def test_an_answer_opens_with_the_best_sentence_on_each_subject() -> None:
    text = answer(finding(f"{PREFIX}lists", LISTS), finding(f"{PREFIX}tuples", TUPLES, step="search-2"))
    opening = text.split("\n\n")[0]
    assert "Lists are mutable sequences that keep their items in order. [p0000000001]" in opening
    assert "Tuples are immutable sequences of arbitrary Python objects. [p0000000003]" in opening


def test_an_answer_has_a_section_for_each_input_and_says_who_wrote_it() -> None:
    text = answer(
        finding(f"{PREFIX}lists, regarding cost", LISTS),
        finding("Answer from the tables sales: which is best", NUMBERS, agent="analysis"),
    )
    assert re.findall(r"^## .+$", text, re.MULTILINE) == ["## Lists: cost", "## Which is best?"]
    assert text.endswith(DISCLAIMER)


def test_numbers_that_nobody_asked_for_stay_out_of_the_opening() -> None:
    about = "Answer from the tables sales: what they hold that bears on: lists"
    text = answer(finding(f"{PREFIX}how lists work", LISTS), finding(about, NUMBERS, agent="analysis"))
    assert "2.5" not in text.split("\n\n")[0]
    assert re.findall(r"^## .+$", text, re.MULTILINE) == ["## How lists work", "## What the tables hold"]


def test_tables_stay_whole() -> None:
    text = answer(finding("Answer from the tables sales: amount", NUMBERS, agent="analysis"))
    assert "| region | n |\n| --- | --- |\n| North | 3 |" in text
    assert text.startswith("Average amount per region in table sales: North (2.5). [t0000000001]")


def test_what_failed_or_found_nothing_is_named_as_missing() -> None:
    text = answer(
        finding(f"{PREFIX}lists", LISTS),
        finding(f"{PREFIX}elves", "Nothing was found in the documents about: elves.", step="search-2"),
        failed(f"{PREFIX}tuples", "the index is broken"),
    )
    missing = text.split("## Missing\n\n")[1]
    assert "- Nothing was found in the documents about: elves." in missing
    assert "- Tuples (failed): the index is broken" in missing


def test_an_answer_from_nothing_says_that_there_is_nothing() -> None:
    text = answer(failed(f"{PREFIX}tuples", "broken"))
    assert text.startswith("Nothing was found that answers: Compare lists and tuples")
    assert "Tuples (failed): broken" in text
    assert answer().endswith(DISCLAIMER)


def test_a_comparison_sets_sections_side_by_side_and_shows_first_what_concerns_both() -> None:
    text = summary(finding(f"{PREFIX}lists", LISTS), finding(f"{PREFIX}tuples", TUPLES, step="search-2"))
    assert re.findall(r"^### .+$", text, re.MULTILINE) == ["### Said of more than one", "### Lists", "### Tuples"]
    assert text.index("Tuples and lists are compared") < text.index("### Lists")


def test_a_comparison_within_an_answer_comes_first_with_its_own_headings() -> None:
    joined = summary(finding(f"{PREFIX}lists", LISTS), finding(f"{PREFIX}tuples", TUPLES, step="search-2"))
    text = answer(
        finding(
            f"{PREFIX}yeast",
            "- Yeast makes the bread rise in an hour or two. [p0000000009]\n- Yeast likes it warm. [p0000000008]",
        ),
        finding("Compare what was found about lists and tuples", joined, agent="summary", step="summary-1"),
    )
    headings = re.findall(r"^##+ .+$", text, re.MULTILINE)
    assert headings[0] == "## Comparison: lists and tuples"
    assert headings[-1] == "## Yeast"


def test_a_side_of_a_comparison_without_findings_is_named() -> None:
    text = summary(
        finding(f"{PREFIX}lists", LISTS), finding(f"{PREFIX}sets", TUPLES), failed(f"{PREFIX}maps", "broken")
    )
    assert text.endswith("### Maps\n\nNothing was found.")


def test_one_input_is_cut_to_its_central_sentences() -> None:
    many = "\n".join(
        f"- Sentence number {number} tells something about topic {number % 7}. [p{number:010d}]" for number in range(40)
    )
    assert len(summary(finding("x", many)).splitlines()) <= 6


def test_without_inputs_the_text_of_the_task_is_summarised() -> None:
    text = summary(
        task="Summarise this. The harvest of wheat fell by half in the dry year. Prices of bread rose at once.",
        step="x",
    )
    assert "The harvest of wheat fell by half in the dry year." in text


@pytest.mark.parametrize("text", ["short", "| a |\n| - |", "42", "a" * 100_000, "· · ·"])
def test_text_without_sentences_is_passed_on(text: str) -> None:
    assert text[:40] in summary(finding("x", text))
    assert text[:40] in answer(finding("x", text))


VERBS = ["runs", "holds", "keeps", "order", "items", "of", "the", "quickly", "never", "values", "grow", "changed"]


def cited_sentence(first: str, rest: list[str], source: int) -> str:
    return f"{first} {' '.join(rest)} and so on. [p{source:010x}]"


SENTENCE = st.builds(
    cited_sentence,
    st.sampled_from(["Lists", "Tuples", "The dog", "Écoles", "Every function"]),
    st.lists(st.sampled_from(VERBS), min_size=6, max_size=20),
    st.integers(min_value=0, max_value=9),
)


def bare(text: str) -> set[str]:
    lines = [re.sub(r"^- |^#+ .*$", "", line) for line in text.splitlines()]
    return {one.strip() for line in lines for one in re.split(r"(?<=\])\s+", line) if one.strip()}


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(st.lists(SENTENCE, min_size=1, max_size=12), min_size=1, max_size=4), final=st.booleans())
def test_no_sentence_is_invented_and_citations_stay_with_theirs(groups: list[list[str]], *, final: bool) -> None:
    inputs = [
        finding(f"{PREFIX}topic {place}", "\n".join(group), step=f"s-{place}") for place, group in enumerate(groups)
    ]
    text = (answer if final else summary)(*inputs).removesuffix(DISCLAIMER)
    known = [one for group in groups for one in group]
    texts = {one.rpartition(" [")[0] for one in known}
    for one in bare(text):
        sentence, _, ids = one.rpartition(" [")
        assert sentence in texts
        for source in ids.rstrip("]").split(", "):
            assert f"{sentence} [{source}]" in known


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=400), about=st.text(max_size=80))
def test_any_input_gets_an_answer_and_the_same_one_again(text: str, about: str) -> None:
    assert answer(finding(about, text)) == answer(finding(about, text))
    assert summary(finding(about, text), finding(about, LISTS))


def test_huge_inputs_are_summarised_in_a_second() -> None:
    text = " ".join(
        f"Sentence {number} says that the word {number % 97} is rather common here." for number in range(2_000)
    )
    start = time.process_time()
    answer(finding("a", text[:100_000]))
    assert time.process_time() - start < 1


def test_no_sentence_stands_twice_in_an_answer() -> None:
    both = "- Lists are mutable sequences that keep their items in order. [p0000000001]\n"
    text = answer(
        finding(f"{PREFIX}lists", f"{both}- Lists grow at the end. [p0000000002]\n- Lists sort. [p0000000002]"),
        finding(
            f"{PREFIX}order", f"{both}- Order is kept. [p0000000003]\n- Lists sort. [p0000000002]", step="search-2"
        ),
        finding("Answer from the tables sales: amount", NUMBERS, agent="analysis", step="analysis-1"),
    )
    for sentence in ("Lists are mutable sequences", "Lists sort.", "Order is kept.", "Average amount per region"):
        assert text.count(sentence) == 1


def test_the_opening_says_what_each_compared_thing_is_and_then_the_figures() -> None:
    joined = summary(finding(f"{PREFIX}lists", LISTS), finding(f"{PREFIX}tuples", TUPLES, step="search-2"))
    opening = answer(
        finding("Compare what was found about lists and tuples", joined, agent="summary", step="summary-1"),
        finding("Answer from the tables sales: amount", NUMBERS, agent="analysis", step="analysis-1"),
    ).split("\n\n")[0]
    places = [opening.index(one) for one in ("Lists are", "Tuples are", "Average amount")]
    assert places == sorted(places)


def test_a_comparison_of_nothing_is_named_in_one_line() -> None:
    text = summary(
        failed(f"{PREFIX}lists", "broken"), step="Compare what was found about lists and tuples, regarding x"
    )
    assert text == "Nothing was found about lists and tuples."


def test_an_aspect_without_findings_is_said_in_one_sentence_outside_the_opening() -> None:
    text = answer(finding(f"{PREFIX}lists", f"{LISTS}\n- Nothing was found on lists regarding cost."))
    assert "Nothing was found on lists regarding cost." not in text.split("\n\n")[0]
    assert "- Nothing was found on lists regarding cost." in text


def test_steps_about_the_same_share_one_heading() -> None:
    more = "- Lists can hold lists, which may hold further lists in turn. [p0000000005]"
    other = "- Lists are copied by slicing, as all other sequences are. [p0000000006]"
    inputs = [
        finding(f"{PREFIX}lists", LISTS),
        finding(f"{PREFIX}lists", f"{other}\n{more}", step="search-2"),
    ]
    text = answer(*inputs)
    assert text.count("## Lists") == 1
    assert "which may hold further lists in turn." in text.split("## Lists")[1]
    joined = summary(*inputs, step="Compare what was found about lists")
    assert joined.count("### Lists") == 1
    assert "\n- Lists are copied" in joined


def test_questions_in_one_heading_go_on_in_lower_case() -> None:
    step = "Answer from the tables sales: How many refunds are allowed?; Which region has most orders?"
    text = answer(finding(step, NUMBERS))
    assert "and which region has most orders?" in text
