"""Ends a server whose owners have all died: started as a file with its process id, without importing the package.

Standard input is a pipe whose other end the stack and all its processes hold open. Nobody writes to it. Reading ends
when the last of them is gone, also when they were killed, so workers that are draining still have their store.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence

END_WITHIN_S = 10.0


def main(process_id: int, folders: Sequence[str]) -> None:
    """Wait for the end of standard input, then end the process and remove the folders."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    end_process(process_id)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def end_process(process_id: int) -> None:
    """SIGTERM, and SIGKILL when that does not do it in time. One that has ended already is no error."""
    try:
        os.kill(process_id, signal.SIGTERM)
        end = time.monotonic() + END_WITHIN_S
        while time.monotonic() < end:
            time.sleep(0.05)
            os.kill(process_id, 0)
        os.kill(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
