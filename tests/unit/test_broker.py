"""What kombu is told of a broker."""

from typing import Any

import pytest
from pydantic import SecretStr

from tasks.app import SteadyConnection, make_app
from tasks.broker import broker_for, check_broker, is_redis
from tasks.settings import StoreSettings

TLS: dict[str, str | bool] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": "/ca"}


@pytest.mark.parametrize("url", ["redis://h/1", "redis+socket:///s?virtual_host=1", "amqp://u:p@h//", "memory://"])
def test_a_broker_without_tls_is_named_as_it_is(url: str) -> None:
    broker = broker_for(url, TLS, {})
    assert (broker.url, broker.tls, broker.options) == (url, None, {})


def test_a_certificate_is_asked_for_though_kombu_would_take_any() -> None:
    assert broker_for("rediss://u:p@h:1/2", TLS, {}).tls == TLS


def test_what_the_url_says_of_certificates_wins_and_leaves_the_url() -> None:
    broker = broker_for("rediss://h/1?ssl_cert_reqs=none&socket_timeout=3", TLS, {})
    assert broker.url == "rediss://h/1?socket_timeout=3"
    assert broker.tls == {"ssl_cert_reqs": "none", "ssl_check_hostname": False, "ssl_ca_certs": "/ca"}
    strict = broker_for("rediss://h/1?ssl_check_hostname=False&ssl_ca_certs=/own", TLS, {})
    assert strict.tls == {"ssl_cert_reqs": "required", "ssl_check_hostname": False, "ssl_ca_certs": "/own"}


def test_sentinels_are_named_one_by_one_with_the_login_of_the_servers() -> None:
    broker = broker_for("sentinel://u:p%40@a,[::1]:2/main/1", TLS, {"username": None, "password": "s"})
    assert broker.url == "sentinel://u:p%40@a:26379/1;sentinel://u:p%40@[::1]:2/1"
    assert broker.tls is None
    assert broker.options == {"master_name": "main", "sentinel_kwargs": {"username": None, "password": "s"}}


def test_sentinels_with_tls_are_asked_with_it() -> None:
    broker = broker_for("rediss+sentinel://a/main/1", TLS, {})
    assert broker.url == "sentinel://a:26379/1"
    assert broker.tls == TLS
    assert broker.options["sentinel_kwargs"] == {**TLS, "ssl": True}


@pytest.mark.parametrize("url", ["redis://h:port", "sentinel://a", "redis://h/x", "nonsense://h", "h"])
def test_what_can_be_no_broker_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no broker"):
        check_broker(url)


def test_only_redis_is_redis() -> None:
    assert [is_redis(url) for url in ("redis://h", "redis+socket:///s", "sentinel://a", "amqp://h")] == [True] * 3 + [
        False
    ]


def test_the_app_reaches_sentinels_in_bounded_time_and_tries_again_at_short_intervals() -> None:
    app: Any = make_app(StoreSettings(redis_url=SecretStr("sentinel://a:1/main/0"), sentinel_password=SecretStr("s")))
    options = app.conf.broker_transport_options
    assert options["master_name"] == "main"
    assert options["sentinel_kwargs"] == {
        "username": None,
        "password": "s",
        "socket_timeout": 5.0,
        "socket_connect_timeout": 5.0,
    }
    assert isinstance(app.connection_for_read(), SteadyConnection)
    app.close()
