"""Reading what is stored: what cannot be read was written by a later release, or is damaged. Neither is half-read."""

from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, TypeVar

from pydantic import ValidationError

from tasks.errors import DamagedRecord, IncompatibleVersion

E = TypeVar("E", bound=StrEnum)

LATER: Final = frozenset({"extra_forbidden", "literal_error", "enum", "union_tag_invalid"})
"""Faults of what is well-formed and says more than this release knows."""
VERSIONS: Final = frozenset({("version",), ("v",)})
"""Where one says so by itself."""


@contextmanager
def readable(what: str) -> Generator[None]:
    """Say of what cannot be read within this whether a release that knows it could do better.

    Raises:
        IncompatibleVersion: it was written by a later release.
        DamagedRecord: it is not what any release writes.
    """
    try:
        yield
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in faults[:5])
        later = {fault["type"] for fault in faults} <= LATER or any(fault["loc"] in VERSIONS for fault in faults)
        if later:
            raise IncompatibleVersion(f"{what} was written by a release that this one cannot read: {said}") from error
        raise DamagedRecord(f"{what} is damaged: {said}") from error
    except (ValueError, LookupError, ArithmeticError, OSError, RecursionError) as error:  # also of times and depths
        raise DamagedRecord(f"{what} is damaged: {type(error).__name__}: {error}") from error


def known(kind: type[E], value: str) -> E:
    """A stored status.

    Raises:
        IncompatibleVersion: only a later release knows it.
    """
    try:
        return kind(value)
    except ValueError as error:
        raise IncompatibleVersion(f"{value!r} is no {kind.__name__} that this release knows") from error
