"""The diamond in Prefect, on its own local server with SQLite. Run by the python of its own venv."""

from importlib.metadata import version

import drive
from prefect import flow, task
from prefect.testing.utilities import prefect_test_harness


@task
def nothing(job: str) -> str:
    """A step that does nothing."""
    return job


@flow
def diamond(job: str) -> str:
    """One step, three side by side, one."""
    first = nothing(job)
    found = [nothing.submit(first) for _ in range(3)]
    return nothing(found[0].result())


def one(job: str) -> object:
    """One job."""
    return diamond(job)


with prefect_test_harness(server_startup_timeout=120):
    drive.main(version("prefect"), one)
