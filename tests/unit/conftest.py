"""The unit ring is pure: a test that opens a network socket fails."""

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Forbid sockets but Unix ones: asyncio wakes its loop through a pair of those."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
