"""Logs: one line per event, JSON when nobody watches, colours on a terminal; Celery's and libraries' lines too."""

import logging
import sys
import threading
from types import TracebackType
from typing import Literal

import structlog
from pydantic import Field
from structlog.typing import Processor

from tasks.redaction import redact_event
from tasks.settings import RoomSettings

NOISY = ("kombu", "amqp", "httpx2", "httpcore2", "anthropic", "tornado", "asyncio", "celery.worker.strategy")
"""Libraries that are heard from warnings on."""


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
    ]
    ending: list[Processor] = (
        # Plain: the pretty form shows the local variables of every frame, keys among them.
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if readable
        else [structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact_event,
                *ending,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Python's own hooks would write tracebacks past the handler, with whatever secrets the message holds.
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("process").critical("process_raised", exc_info=(kind, error, trace))


def _log_thread(args: threading.ExceptHookArgs) -> None:
    error = args.exc_value
    if error is not None and not isinstance(error, SystemExit):
        name = args.thread.name if args.thread is not None else "unknown"
        logging.getLogger("process").error(
            "thread_raised thread=%s", name, exc_info=(args.exc_type, error, args.exc_traceback)
        )
