"""Which event ends a job."""

from datetime import UTC, datetime

import pytest

from tasks.events import JobFinished, JobSubmitted, ends_job
from tasks.ids import JobId
from tasks.states import FINAL_JOB, TaskStatus

JOB, AT = JobId("j0123456789abcdefgh3"), datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("status", TaskStatus)
def test_a_job_ends_with_its_final_status(status: TaskStatus) -> None:
    assert ends_job(JobFinished(job_id=JOB, seq=1, at=AT, status=status)) == (status in FINAL_JOB)


def test_no_other_event_ends_a_job() -> None:
    assert not ends_job(JobSubmitted(job_id=JOB, seq=1, at=AT))
