"""Celery's broker: which URLs it may have, and what kombu is told of each."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from tasks.address import Address, Kind, hide_password, parse_address

ALSO: Final = frozenset({"rediss+sentinel", "redis+socket"})
"""Schemes beside kombu's own."""
VISIBILITY_TIMEOUT_S: Final = 7 * 86_400
"""Early acknowledgement leaves nothing to redeliver; a long timeout keeps kombu from trying."""


@dataclass(frozen=True, slots=True)
class Broker:
    """What kombu is told."""

    url: str
    tls: dict[str, object] | None = None
    """`broker_use_ssl`. For a rediss:// URL without it kombu would take any certificate."""
    options: dict[str, object] = field(default_factory=dict[str, object])
    """Transport options that follow from the URL."""


def check_broker(url: str) -> None:
    """Refuse a URL that no worker could ever use.

    Raises:
        ValueError: its scheme is unknown to Celery, or it is malformed; the message shows no password.
    """
    from kombu.transport import TRANSPORT_ALIASES  # a producer that names no broker does without kombu

    scheme = url.partition("://")[0]
    if scheme not in {*TRANSPORT_ALIASES, *ALSO}:
        raise ValueError(
            f"{hide_password(url)!r} is no broker: it must begin with redis://, rediss://, sentinel://, amqp:// or "
            "another scheme of Celery's"
        )
    if scheme in {"redis", "rediss", "sentinel", "rediss+sentinel"}:
        try:
            parse_address(url)
        except ValueError as error:
            raise ValueError(f"{hide_password(url)!r} is no broker: {error}") from error


def is_redis(url: str) -> bool:
    """Whether the broker is a Redis, of whatever kind."""
    return url.startswith(("redis", "sentinel"))


def broker_for(url: str, tls: dict[str, str | bool], sentinel_login: dict[str, object]) -> Broker:
    """What kombu is told of a broker.

    Args:
        url: As in the settings; checked.
        tls: What a connection with TLS is told of certificates.
        sentinel_login: Username and password at the Sentinels; empty when they want none.
    """
    if not is_redis(url) or url.startswith("redis+socket"):
        return Broker(url)
    address = parse_address(url)
    # kombu lets ssl_… of the URL stand in place of all that it is told besides, so they are taken out and added.
    asked = {name: value for name, value in address.options.items() if name.startswith("ssl_")}
    secured: dict[str, object] = {**tls, **asked}
    if "ssl_check_hostname" in asked:
        secured["ssl_check_hostname"] = asked["ssl_check_hostname"].lower() not in {"false", "0", "no"}
    elif str(secured["ssl_cert_reqs"]).lower() in {"none", "cert_none"}:
        secured["ssl_check_hostname"] = False
    told = secured if address.tls else None
    if address.kind is Kind.SENTINEL:
        options: dict[str, object] = {"master_name": address.service}
        options["sentinel_kwargs"] = {**sentinel_login, **({**secured, "ssl": True} if address.tls else {})}
        return Broker(_sentinels(address), told, options)
    rest = "&".join(f"{name}={quote(value)}" for name, value in address.options.items() if name not in asked)
    return Broker(url.partition("?")[0] + (f"?{rest}" if rest else ""), told)


def _sentinels(address: Address) -> str:
    """kombu's form: one URL a Sentinel, each with the login and the database of the servers behind them."""
    login = f"{quote(address.username, safe='')}:{quote(address.password, safe='')}@" if address.password else ""
    places = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in address.hosts)
    return ";".join(f"sentinel://{login}{place}/{address.database}" for place in places)
