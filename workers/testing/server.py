"""A fake Messages API over real HTTP on 127.0.0.1. It checks every request and answers without a language model.

`with FakeMessages() as fake:` and `fake.url` as base URL. `GET /_fake/stats`, `GET /_fake/requests` and
`POST /_fake/queue` are for other processes.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from workers.llm.pricing import Pricing
from workers.testing.behaviours import Break, Fault, Hang, Say
from workers.testing.cache import MINIMUM, PromptCache
from workers.testing.handler import Handler, Service
from workers.testing.limits import Limits, RateLimiter
from workers.testing.record import Record, RecordedRequest, Served
from workers.testing.responder import Responder, RuleResponder


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # hundreds of agents connect at once; the default of 5 would refuse them
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong with a connection; a client that went away is nothing to speak of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeMessages:
    """The server. Starts on entering the context, and ends on leaving it."""

    def __init__(
        self,
        responder: Responder | None = None,
        *,
        script: Iterable[Say | Fault | Break | Hang] | None = None,
        api_key: str | None = None,
        port: int = 0,
        limits: Limits | None = None,
        cache_minimum: int = MINIMUM,
        latency_s: float = 0.0,
        pace_s: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Bind the port; connections wait until the context is entered.

        Args:
            responder: Answers requests that nothing was queued for; the offline model's rules unless given.
            script: Answers, one for each request; a request after the last one is a violation.
            api_key: The only key that is accepted; any unless given.
            port: 0 takes a free one.
            limits: Rate limits of each key and model; none unless given.
            cache_minimum: Tokens below which a prefix is not cached.
            latency_s: Wait before every answer that has no delay of its own.
            pace_s: Wait between the events of every streamed answer that has no pace of its own.
            clock: Seconds since 1970, by which buckets fill and cached prefixes expire.
        """
        prices = Pricing.read()
        self.record = Record(prices)
        self.record.queue(script or ())
        self._stop = threading.Event()
        fallback = (responder or RuleResponder()) if script is None else None
        service = Service(
            self.record,
            fallback,
            api_key,
            self._stop,
            prices=prices,
            limiter=RateLimiter(limits, clock) if limits is not None else None,
            cache=PromptCache(clock, cache_minimum),
            latency_s=latency_s,
            pace_s=pace_s,
        )
        self._server = _Server(("127.0.0.1", port), partial(Handler, service))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """Requests to /v1/messages, in order of arrival."""
        return self.record.requests

    @property
    def calls(self) -> int:
        """How many requests came to /v1/messages."""
        return len(self.record.requests)

    @property
    def violations(self) -> list[str]:
        """Rules that requests broke."""
        return self.record.violations

    @property
    def usage_total(self) -> dict[str, int]:
        """Tokens of all answers, by the API's names."""
        return self.record.usage_total

    @property
    def served(self) -> list[Served]:
        """Answers that were paid for, in order: what a ledger must come to."""
        return self.record.served

    @property
    def cost_microusd(self) -> int:
        """Price of all answers."""
        return sum(one.cost_microusd for one in list(self.record.served))

    @property
    def limited(self) -> int:
        """Requests that the rate limits refused."""
        return self.record.limited

    @property
    def aborted(self) -> int:
        """Requests whose client went away before the answer."""
        return self.record.aborted

    def queue(self, *behaviours: Say | Fault | Break | Hang) -> None:
        """One behaviour for each of the next requests, before script or responder."""
        self.record.queue(behaviours)

    def stop(self) -> None:
        """Let go of every hanging request and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
