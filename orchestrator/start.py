"""Entry point of the installed command `troupe`: light, because Ctrl-C may come while the rest is being loaded."""

import sys
from typing import Final

INTERRUPTED: Final = 130


def main() -> None:
    """Run the command line; Ctrl-C ends it in one line from the first moment on."""
    try:
        from orchestrator.cli import call

        code = call(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("troupe: interrupted\n")
        code = INTERRUPTED
    sys.exit(code)
