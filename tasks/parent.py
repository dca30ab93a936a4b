"""How a process of a local stack learns that its parent is gone, also when that was killed."""

import os
import signal
import threading
import time
from typing import Final

PARENT_VARIABLE: Final = "TROUPE_PARENT_PID"
"""Says to a child whose child it is."""


def end_with_parent() -> None:
    """In a child: end as if by SIGTERM once the parent is gone, however it went."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
