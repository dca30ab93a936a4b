"""kombu's Redis transports, made to drop what is no message, and to acknowledge nothing where nothing is kept.

Whoever may push to a queue's list could else end every worker on it: kombu takes a list's element apart in the worker's
main loop and lets the error through, which ends the process; the next worker takes the next element.
"""

from typing import Any, Final, cast

from kombu import transport as transports
from kombu.transport import redis, virtual

from tasks.library_log import LibraryLog

log = LibraryLog("troupe.broker")

ALIASES: Final = {
    "redis": "tasks.transport:Transport",
    "rediss": "tasks.transport:Transport",
    "sentinel": "tasks.transport:SentinelTransport",
}
DAMAGE: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What taking something apart can raise that is no JSON, or other JSON than a message."""


class NotAMessage(Exception):
    """It was in a queue, and is no message."""


def install_transports() -> None:
    """Let kombu use ours for its own schemes, in this process. A second call changes nothing.

    A transport that is named in Celery's settings instead would not do: for `redis+socket://` kombu takes it from the
    URL.
    """
    known = transports.TRANSPORT_ALIASES
    if known["redis"] != ALIASES["redis"]:
        known.update(ALIASES)
        cast(Any, transports)._transport_cache.clear()


class Message(cast(Any, virtual.Message)):
    """A message; says so when it cannot be one."""

    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        if _is_packed(payload):
            raise NotAMessage("it is compressed")
        try:
            cast(Any, virtual.Message.__init__)(self, payload, channel=channel, **kwargs)
            names = [cast("dict[str, object]", self.headers or {}).get(name, "") for name in ("task", "id")]
        except DAMAGE as error:
            raise NotAMessage(type(error).__name__) from error
        if not all(isinstance(name, str) for name in names):
            raise NotAMessage("its task or id is no text")


def _is_packed(payload: object) -> bool:
    """Whether kombu would unpack it, whatever size it then has, before anybody looks at it. Troupe packs nothing."""
    headers = cast("dict[str, object]", payload).get("headers") if isinstance(payload, dict) else None
    return isinstance(headers, dict) and bool(cast("dict[str, object]", headers).get("compression"))


class Dropping:
    """Mixed into kombu's channels: an element that is no message is dropped, and logged without what it said."""

    Message = Message

    def _brpop_read(self, **options: Any) -> Any:
        channel = cast(Any, self)
        delivered = channel.connection.delivered
        try:
            return cast(Any, super())._brpop_read(**options)
        except NotAMessage as error:
            _log(error)
        except DAMAGE as error:
            if channel.connection.delivered != delivered:
                raise  # a defect further in, in what was done with a message
            _log(error)
        return True


class Sparing:
    """Mixed into kombu's channels: a message of a queue without acknowledgements is not acknowledged.

    kombu does not keep such a message, and yet asks the server to forget it: four commands a message, for which the
    worker's main loop waits.
    """

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge a message that the channel holds; forget one that it does not."""
        channel = cast(Any, self)
        if delivery_tag in channel.qos._delivered:
            cast(Any, super()).basic_ack(delivery_tag, multiple=multiple)


class Counting:
    """Mixed into kombu's transports: how often one has begun to hand something on."""

    delivered = 0

    def _deliver(self, message: object, queue: str) -> None:
        self.delivered += 1
        cast(Any, super())._deliver(message, queue)


class Channel(Sparing, Dropping, cast(Any, redis.Channel)):
    """A channel of one server."""


class SentinelChannel(Sparing, Dropping, cast(Any, redis.SentinelChannel)):
    """A channel of the master behind Sentinels."""


class Transport(Counting, cast(Any, redis.Transport)):
    """One server."""

    Channel = Channel


class SentinelTransport(Counting, cast(Any, redis.SentinelTransport)):
    """The master behind Sentinels."""

    Channel = SentinelChannel


def _log(error: Exception) -> None:
    size = len(getattr(error, "doc", getattr(error, "object", "")))
    log.error("element_dropped", reason=f"not a message ({type(error).__name__})", bytes=size or "unknown")
