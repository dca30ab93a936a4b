"""Ids: how they are made, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InvalidId
from tasks.ids import (
    ALPHABET,
    JOB_ID,
    MAX_PARTITIONS,
    STEP_ID,
    AttemptRef,
    JobId,
    StepId,
    new_job_id,
    parse_job_id,
    partition_of,
)

JOB = "j0123456789abcdefgh3"


@pytest.mark.parametrize("partition", range(MAX_PARTITIONS))
def test_a_job_id_carries_its_partition(partition: int) -> None:
    job = new_job_id(partition)
    assert partition_of(parse_job_id(job)) == partition


def test_job_ids_do_not_repeat_and_sort_by_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    ids: list[str] = []
    for millisecond in (1, 2, 31, 32, 33, 1_700_000_000_000, 32**9 - 1):
        monkeypatch.setattr("tasks.ids.time.time_ns", lambda now=millisecond: now * 1_000_000)
        ids.append(new_job_id(0))
    assert ids == sorted(ids)
    assert len({new_job_id(0) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text", ["", "j", JOB[:-1], JOB + "0", JOB.upper(), JOB.replace("a", "i"), " " + JOB, JOB + "\n", "k" + JOB[1:]]
)
def test_what_is_no_job_id_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidId, match="is not a job id; ids look like 'j0"):
        parse_job_id(text)


@given(
    st.text(ALPHABET, min_size=19, max_size=19).map(lambda rest: JobId("j" + rest)),
    st.from_regex(STEP_ID, fullmatch=True).map(StepId),
    st.integers(1, 999_999_999),
)
def test_an_attempt_survives_its_journey_as_a_task_id(job: JobId, step: StepId, attempt: int) -> None:
    ref = AttemptRef(job, step, attempt)
    assert AttemptRef.parse(ref.task_id) == ref


@given(
    st.one_of(
        st.text(max_size=40), st.lists(st.sampled_from([JOB, "plan", "1", "0", ":", "٣", "-1", " "])).map("".join)
    )
)
def test_a_text_that_is_read_as_an_attempt_is_the_text_that_the_attempt_writes(text: str) -> None:
    try:
        ref = AttemptRef.parse(text)
    except InvalidId:
        return
    assert ref.task_id == text
    assert ref.attempt >= 1


@pytest.mark.parametrize(
    "text",
    ["", "::", f"{JOB}:plan", f"{JOB}:plan:", f"{JOB}:plan:0", f"{JOB}:plan:01", f"{JOB}:plan:٣", f"{JOB}:plan:-1",
     f"{JOB}::1", f"{JOB}:Plan:1", f"{JOB}:a:b:1", "j1:plan:1", f"{JOB}:plan:1\n", f"{JOB}:plan:{'9' * 5000}"],
)  # fmt: skip
def test_what_is_no_task_id_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        AttemptRef.parse(text)


def test_the_alphabet_has_no_letters_that_are_misread() -> None:
    assert not set("ilou") & set(ALPHABET)
    assert len(set(ALPHABET)) == MAX_PARTITIONS == 32
    assert JOB_ID.fullmatch(JOB)
