"""Log lines of code that also runs inside a host application, which has its own logging: nothing is configured here.

There a line is text (`job_left_out job=j… reason=…`); where `configure_logs` was called it is an event with fields,
as every other one.
"""

import logging
from types import TracebackType
from typing import Final

from tasks.redaction import redact_text

Raised = tuple[type[BaseException], BaseException, TracebackType | None]

FIELDS: Final = "troupe_fields"
"""Attribute of a record of ours: what it says, without the event."""
EVENT: Final = "troupe_event"


class LibraryLog:
    """A named log."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def info(self, event: str, **fields: object) -> None:
        """Say what is as it should be, and worth knowing."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Say what is not as it should be, and passes or is dealt with."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, raised: Raised | None = None, **fields: object) -> None:
        """Say what somebody should look at."""
        self._write(logging.ERROR, event, fields, raised or False)

    def critical(self, event: str, raised: Raised | None = None, **fields: object) -> None:
        """Say what ends the process."""
        self._write(logging.CRITICAL, event, fields, raised or False)

    def exception(self, event: str, **fields: object) -> None:
        """Say what somebody should look at, with the exception that is being handled."""
        self._write(logging.ERROR, event, fields, trace=True)

    def _write(self, level: int, event: str, fields: dict[str, object], trace: bool | Raised = False) -> None:
        if not self._log.isEnabledFor(level):
            return
        text = redact_text(" ".join([event, *(f"{name}={value}" for name, value in fields.items())]))
        extra = {EVENT: event, FIELDS: fields}
        self._log.log(level, "%s", text, extra=extra, exc_info=trace, stacklevel=3)
