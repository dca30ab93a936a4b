"""The whole Celery message as it lies in the broker: small, whatever the step is about."""

from typing import Any, Final, cast

import pytest
from redis import Redis

from orchestrator.scheduling.dispatch import Publisher
from tasks.app import make_app
from tasks.ids import JobId, StepId
from tasks.messages import Dispatch
from tasks.models import Step
from tasks.settings import StoreSettings
from tests.support.moves import Moves

MOST_BYTES: Final = 4096
LONGEST: Final = "a" + "b" * 47
"""A name of 48 characters."""


@pytest.mark.parametrize(
    "goal",
    ["Find it.", "x" * 20_000, "😀" * 500, "\"'\\" * 500, "\u2028\u0007\u001b" * 500, "Größe, 尺寸, размер " * 50],
    ids=["short", "long", "emoji", "quotes", "controls", "scripts"],
)
async def test_a_message_is_at_most_four_kilobytes(goal: str, moves: Moves, store_settings: StoreSettings) -> None:
    step = Step(id=StepId(LONGEST), description=goal, agent=LONGEST, queue=LONGEST)
    publisher = Publisher(make_app(store_settings))
    try:
        await publisher.publish([Dispatch.of(JobId("j0123456789abcdefgh0"), step, 999)])
    finally:
        await publisher.close()
    path = store_settings.broker.removeprefix("redis+socket://").partition("?")
    with cast(Any, Redis)(unix_socket_path=f"/{path[0].lstrip('/')}", db=int(path[2].rpartition("=")[2])) as broker:
        (message,) = broker.lrange(LONGEST, 0, -1)
        broker.delete(LONGEST)
    assert len(message) <= MOST_BYTES, len(message)
