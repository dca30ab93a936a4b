"""`/metrics` for Prometheus: each process serves its own figures, from threads of its own. No files are shared."""

import errno
import socket
import threading
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server
from prometheus_client.registry import CollectorRegistry

from tasks.errors import BadSetting
from tasks.metrics.settings import LAST_PORT, MetricsSettings

FURTHER: Final = 100
"""Ports that are tried after the one of the setting."""
EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - only looked for


class Exporter:
    """Serves what a registry holds."""

    def __init__(self, registry: CollectorRegistry, settings: MetricsSettings) -> None:
        self._registry = registry
        self._settings = settings
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        """Where it is, once it is started."""

    def start(self) -> int:
        """Serve; the port.

        Raises:
            BadSetting: the address is none of this machine, or no port is free.
        """
        host, first = self._settings.metrics_host, self._settings.metrics_port
        ports = range(first, min(first + FURTHER, LAST_PORT) + 1)
        for port in ports:
            try:
                self._server, self._thread = start_http_server(port, host, self._registry)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise BadSetting(
                    f"TROUPE_METRICS_HOST, TROUPE_METRICS_PORT: {host}:{port}: {error.strerror}"
                ) from error
            self.port = int(self._server.server_port)
            return self.port
        raise BadSetting(f"TROUPE_METRICS_PORT: all ports from {ports[0]} to {ports[-1]} are taken at {host}")

    @property
    def address(self) -> str:
        """Host and port for who wants to read it: this machine's name when it is served on all addresses."""
        host = self._settings.metrics_host
        return f"{socket.gethostname() if host in EVERYWHERE else f'[{host}]' if ':' in host else host}:{self.port}"

    def stop(self) -> None:
        """Serve no more. A second call does nothing."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()
