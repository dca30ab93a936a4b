"""One process that offers model calls at a steady rate: `python -m benchmarks.callers RATE SECONDS [unlimited]`.

It begins at a line on stdin. A call that is refused comes again when it was told to, as a step that was put off does.
"""

import asyncio
import importlib
import sys
from contextlib import suppress
from typing import Final

from tasks.errors import ModelUnavailable, SpendLimitReached
from tasks.settings import StoreSettings, read_settings
from tasks.store import Store
from tasks.store.limits import LimitStore
from workers.llm.base import Model, ModelRequest
from workers.llm.claude import ClaudeModel
from workers.llm.limited import LimitedModel
from workers.llm.rate_headers import look
from workers.llm.settings import ModelSettings

PROMPT: Final = "What is known of this? " * 16
AGAIN_S: Final = 1.0
"""When a call comes again that was not told when."""


async def offer(model: Model, request: ModelRequest) -> None:
    """Call until there is an answer."""
    while True:
        try:
            await model.reply(request)
        except ModelUnavailable as error:
            await asyncio.sleep(AGAIN_S if error.retry_after is None else error.retry_after.total_seconds())
        except SpendLimitReached:
            return
        else:
            return


async def run(rate: float, seconds: float, *, limited: bool) -> None:
    """Offer calls for so long; those that are under way then are given up."""
    store = Store(read_settings(StoreSettings))
    settings = read_settings(ModelSettings)
    claude = ClaudeModel(settings.chosen_model, settings, middleware=[look])
    model = LimitedModel(claude, LimitStore(store), settings) if limited else claude
    importlib.import_module("anthropic.resources.messages")  # else the first call takes seconds
    await claude.account()
    await store.ping()
    request = ModelRequest(
        model=model.name, agent="caller", system="", messages=[{"role": "user", "content": PROMPT}], max_tokens=1024
    )
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begun, calls = loop.time(), set[asyncio.Task[None]]()
    number = 0
    while (now := loop.time()) < begun + seconds:
        while number < (now - begun) * rate:
            calls.add(asyncio.create_task(offer(model, request)))
            number += 1
        await asyncio.sleep(min(0.05, 0.5 / rate))
    for call in calls:
        call.cancel()
    for call in calls:
        with suppress(asyncio.CancelledError):
            await call
    await model.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(run(float(sys.argv[1]), float(sys.argv[2]), limited=sys.argv[3:] != ["unlimited"]))
