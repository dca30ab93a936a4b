"""A switch that keeps tests from calling a real model, in this process and in those it starts."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

VARIABLE: Final = "TROUPE_ALLOW_MODEL_REQUESTS"


@contextmanager
def forbid_model_calls() -> Generator[None]:
    """While it lasts, `ModelSettings` that are read forbid every model call but those to a loopback address.

    The environment is what child processes inherit, which is why it is written here and nowhere else.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
