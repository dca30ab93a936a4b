"""Logs: one line per fact, JSON when nobody watches, colours on a terminal; Celery's and libraries' lines too.

For processes of our own. Code that runs in a producer uses `LibraryLog`, and leaves logging to its host.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Literal

import structlog
from pydantic import Field
from structlog.typing import Processor

from tasks.library_log import LibraryLog
from tasks.log_lines import bind_task, bind_trace, in_order, unpack
from tasks.redaction import redact_event
from tasks.settings import RoomSettings

NOISY = ("kombu", "amqp", "httpx2", "httpcore2", "anthropic", "tornado", "asyncio")
"""Libraries that are heard from warnings on."""

TOLD_BY_US = ("celery.worker.strategy", "celery.app.trace")
"""Celery's loggers of what our own lines say: that a task was received, has succeeded, or has raised what it may raise.

From warnings on they say what ours do not: that a handler has failed.
"""

log = LibraryLog("process")


class LogSettings(RoomSettings):
    """How processes log."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""
    log_format: Literal["auto", "json", "text"] = Field(default="auto")
    """auto: readable on a terminal, JSON elsewhere."""


def configure_logs(settings: LogSettings) -> None:
    """Send all logs of this process to stderr; stdout belongs to answers."""
    readable = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        bind_trace,
    ]
    foreign: list[Processor] = [unpack, bind_task]
    ending: list[Processor] = (
        # Plain: the pretty form shows the local variables of every frame, keys among them.
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if readable
        else [structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,  # first: a line that is not written must cost nothing
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:-1], *foreign, shared[-1]],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact_event,
                in_order,
                *ending,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in (*NOISY, *TOLD_BY_US):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # Python's own hooks would write tracebacks past the handler, with whatever secrets the message holds.
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    log.critical("process_raised", (kind, error, trace))


def _log_thread(args: threading.ExceptHookArgs) -> None:
    error = args.exc_value
    if error is not None and not isinstance(error, SystemExit):
        name = args.thread.name if args.thread is not None else "unknown"
        log.error("thread_raised", (args.exc_type, error, args.exc_traceback), thread=name)
