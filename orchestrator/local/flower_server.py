"""Flower on the fleet's broker: its options, who may open it, and what of its buttons is ours."""

import atexit
import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

from celery import Celery
from flower import command
from tornado.options import Error, options

from orchestrator.local.flower_pages import as_shown, pages
from orchestrator.local.flower_truth import Truth
from orchestrator.local.monitor import LOOPBACK, guard
from orchestrator.local.redis_server import port_is_free
from tasks.errors import BadSetting
from tasks.settings import StoreSettings

COLUMNS: Final = "name,uuid,state,args,result,runtime,worker,retries,received"
FILE_DIGITS: Final = 12
MAX_PORT: Final = 65_535


def defaults(home: Path, broker: str) -> dict[str, object]:
    """What Flower is told unless FLOWER_… variables or a flowerconfig.py say otherwise.

    What it has seen outlives it, in a file of each broker's own: 10,000 tasks take some 2 MB. It is a pickle, so
    nobody else may write there.
    """
    name = hashlib.sha256(broker.encode()).hexdigest()[:FILE_DIGITS]
    return {
        "address": LOOPBACK[0],
        "max_tasks": 10_000,
        "max_workers": 1000,
        "purge_offline_workers": 3600,
        "tasks_columns": COLUMNS,
        "persistent": True,
        "db": str(home / "flower" / f"seen-{name}"),
        "state_save_interval": 60_000,
    }


def configure(values: dict[str, object], arguments: Sequence[str]) -> bool:
    """Give Flower its options; whether it asks who opens it.

    Args:
        values: Defaults of ours, below the environment, a configuration file and the arguments.

    Raises:
        BadSetting: one of them is wrong, or the port is taken, or others could open it without a password.
    """
    library, told = cast(Any, command), cast(Any, options)
    for name, value in values.items():
        setattr(told, name, value)
    check_port(os.environ.get("FLOWER_PORT"))
    try:
        library.apply_env_options()
        library.apply_options("flower", list(arguments))
    except (Error, ValueError) as error:
        raise BadSetting(f"an option of Flower is wrong: {error}") from error
    except OSError as error:
        raise BadSetting(f"Flower's configuration file cannot be read: {error}") from error
    protected = is_protected(told.basic_auth, told.auth)
    if not protected and (told.unix_socket or told.address not in LOOPBACK):
        where = told.unix_socket or told.address or "all addresses"
        raise BadSetting(f"Flower would listen on {where} for everybody; set FLOWER_BASIC_AUTH=user:password")
    if not told.unix_socket and not port_is_free(told.port):
        raise BadSetting(f"port {told.port} is taken; choose another one with --port")
    return protected


def check_port(text: str | None) -> None:
    """Refuse a FLOWER_PORT that is none.

    Raises:
        BadSetting: it is no number, or no port's.
    """
    if text and not (text.isascii() and text.isdecimal() and 0 < int(text) <= MAX_PORT):
        raise BadSetting(f"FLOWER_PORT: {text!r} is no port: 1 to {MAX_PORT}")


def is_protected(passwords: Sequence[str] | None, emails: str | None) -> bool:
    """Whether Flower asks who opens it.

    Raises:
        BadSetting: a password is none.
    """
    for entry in passwords or ():
        user, _, password = entry.partition(":")
        if not user or not password:
            raise BadSetting("FLOWER_BASIC_AUTH: must be user:password, or several of them separated by commas")
    return bool(passwords or emails)


def serve(app: Celery, store: StoreSettings, *, protected: bool) -> None:
    """Run Flower, which `configure` has told its options, until SIGTERM."""
    library, told = cast(Any, command), cast(Any, options)
    if told.persistent:
        _make_folder(Path(told.db).parent)
    if not protected:  # Flower keeps its API shut without a password, also for this machine alone
        os.environ.setdefault("FLOWER_UNAUTHENTICATED_API", "true")
    library.extract_settings()
    library.setup_logging()
    flower = library.Flower(capp=app, options=told, **library.settings)
    if not protected:
        flower.add_handlers(r".*", guard())
    flower.add_handlers(r".*", pages(told.url_prefix or ""))
    told.format_task = as_shown(lambda task_id: task_id in flower.events.state.tasks.data)
    truth = Truth(store, flower.events)
    atexit.register(flower.stop)
    signal.signal(signal.SIGTERM, cast("Callable[..., None]", library.sigterm_handler))
    flower.start_http_server()
    truth.start()
    try:
        flower.start()
    except (KeyboardInterrupt, SystemExit):
        return


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadSetting(f"Flower cannot keep what it has seen in {folder}: {error.strerror}") from error
