"""Where a process serves its figures, and what it says of itself."""

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import BadSetting
from tasks.metrics import exporter as module
from tasks.metrics.exporter import Exporter
from tasks.metrics.names import OTHER, Names
from tasks.metrics.own import OwnFigures
from tasks.metrics.settings import MetricsSettings
from tasks.settings import read_settings


class Ports:
    """Stands in for the machine's ports."""

    def __init__(self, *taken: int, error: int = errno.EADDRINUSE) -> None:
        self.taken, self.error = taken, error
        self.served: list[tuple[int, str]] = []

    def __call__(self, port: int, host: str, registry: object) -> tuple[Any, Any]:
        if port in self.taken:
            raise OSError(self.error, "in use")
        self.served.append((port, host))
        server = SimpleNamespace(server_port=port, shutdown=lambda: None, server_close=self.served.clear)
        return server, SimpleNamespace(join=lambda: None)


def start(monkeypatch: pytest.MonkeyPatch, ports: Ports, port: int = 9464, host: str = "127.0.0.1") -> Exporter:
    monkeypatch.setattr(module, "start_http_server", ports)
    settings = MetricsSettings(metrics_port=port, metrics_host=host)
    exporter = Exporter(OwnFigures("worker", "w1").registry, settings)
    exporter.start()
    return exporter


def test_figures_are_served_at_the_port_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    exporter = start(monkeypatch, ports)
    assert ports.served == [(9464, "127.0.0.1")]
    assert exporter.address == "127.0.0.1:9464"
    exporter.stop()
    exporter.stop()
    assert ports.served == []


def test_a_port_that_is_taken_gives_way_to_the_next_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start(monkeypatch, Ports(9464, 9465)).port == 9466


@pytest.mark.parametrize(("first", "last"), [(9464, 9564), (65_500, 65_535)])
def test_without_a_free_port_the_process_ends(monkeypatch: pytest.MonkeyPatch, first: int, last: int) -> None:
    with pytest.raises(BadSetting, match=f"all ports from {first} to {last} are taken"):
        start(monkeypatch, Ports(*range(first, last + 1)), first)


def test_an_address_of_another_machine_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSetting, match="TROUPE_METRICS_HOST"):
        start(monkeypatch, Ports(9464, error=errno.EADDRNOTAVAIL), host="192.0.2.1")


def test_what_is_served_everywhere_is_announced_under_the_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    assert start(monkeypatch, Ports(), host="0.0.0.0").address == "box:9464"  # noqa: S104
    assert start(monkeypatch, Ports(), host="::").address == "box:9464"
    assert start(monkeypatch, Ports(), host="::1").address == "[::1]:9464"


def test_nothing_is_served_unless_a_port_is_set() -> None:
    assert read_settings(MetricsSettings).metrics_port == 0


def test_a_process_says_who_it_is_and_how_late_its_loop_was() -> None:
    own = OwnFigures("worker", "w1")
    own.late(0.003)
    found = {sample.name: sample for metric in own.registry.collect() for sample in metric.samples}
    about = found["troupe_process_info"].labels
    assert (about["role"], about["name"]) == ("worker", "w1")
    assert found["troupe_event_loop_lag_seconds_sum"].value == 0.003


def test_names_beyond_the_most_stand_for_the_others() -> None:
    names = Names(2)
    assert [names.of(one) for one in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]
