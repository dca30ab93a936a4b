"""The fake Messages API as a process of its own: `python -m workers.testing.fake_messages` prints its URL."""

import signal
import threading
from typing import Annotated, Any

import typer

from workers.testing.server import FakeMessages


def main(port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0) -> None:
    """Serve a fake Messages API until interrupted, and print its URL."""
    fake = FakeMessages(port=port)
    interrupted = threading.Event()

    def interrupt(*_: Any) -> None:
        interrupted.set()

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    with fake:
        print(fake.url, flush=True)
        interrupted.wait()


if __name__ == "__main__":
    typer.run(main)
