"""Child processes for what foreign code makes of foreign data: no environment, bounded memory, no writing of files.

What a parser or an engine takes in memory and time cannot be bounded from inside the process that runs it. There the
operating system refuses the memory, and the parent ends the process.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
from typing import Final

_BOOT: Final = (
    "import json, sys; from importlib import import_module; "
    "sys.path[:] = json.loads(sys.argv[1]); import_module(sys.argv[2]).main()"
)
_KEPT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""All that a child gets of the environment: no keys, no passwords."""


def start(module: str, settings: object) -> subprocess.Popen[bytes]:
    """Start a child that runs `main()` of a module, with its settings as the last argument, in JSON."""
    command = [sys.executable, "-I", "-c", _BOOT, json.dumps(sys.path), module, json.dumps(settings)]
    return subprocess.Popen(  # noqa: S603 (our own code, no shell)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
        cwd="/",
        start_new_session=True,  # Ctrl-C in a terminal goes to the worker, which ends its children itself.
    )


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child, whatever it does."""
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # Unsent bytes of a request that nobody reads.
                pipe.close()


def confine(memory_mb: int) -> None:
    """Have the operating system bound this process: address space, core dumps, the size of any file it writes."""
    memory = memory_mb << 20
    for what, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of address space.
            resource.setrlimit(what, (limit, limit))
    with contextlib.suppress(OSError):
        os.nice(5)
