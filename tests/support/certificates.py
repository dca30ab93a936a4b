"""Certificates for a server on this machine, made by the openssl program, and a server with TLS."""

import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.local.redis_server import RedisServer, free_port
from tests.support.waiting import wait_until_sync


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority, and a certificate of 127.0.0.1 that it vouches for."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make them; the openssl program must be there."""
    made = Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    subject, new = ["-subj", "/CN=Troupe test"], ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    _openssl(*new, *subject, "-keyout", str(folder / "ca.key"), "-out", str(made.authority))
    vouched = ["-CA", str(made.authority), "-CAkey", str(folder / "ca.key"), "-addext", "basicConstraints=CA:FALSE"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    _openssl(*new, *names, *vouched, "-keyout", str(made.key), "-out", str(made.certificate))
    return made


def tls_program() -> str | None:
    """A `redis-server` on PATH that was built with TLS, and the means to make certificates; else None."""
    program = shutil.which("redis-server")
    if program is None or shutil.which("openssl") is None:
        return None
    # One without TLS does not know the option, and ends at once with a complaint.
    said = subprocess.run([program, "--tls-port", "nonsense"], capture_output=True, check=False, timeout=20)
    return None if b"Bad directive" in said.stdout + said.stderr else program


@contextmanager
def tls_server(folder: Path, program: str, made: Certificates, options: Sequence[str] = ()) -> Generator[int]:
    """A server that takes TLS only; gives its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    where = ["--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    files = ["--tls-cert-file", str(made.certificate), "--tls-key-file", str(made.key)]
    files += ["--tls-ca-cert-file", str(made.authority), "--tls-auth-clients", "no"]
    log = folder / "redis.log"
    process = subprocess.Popen([program, *where, *files, "--logfile", str(log), *options], stdin=subprocess.DEVNULL)
    server = RedisServer(process, "", folder, None)
    try:
        wait_until_sync(lambda: log.exists() and "eady to accept connections" in log.read_text(), within=20)
        yield port
    finally:
        server.stop()


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
