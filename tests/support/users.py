"""A server whose users are those of deploy/redis, started as the containers start it."""

import os
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

from orchestrator.local.redis_server import RedisServer, find_server, free_port

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "redis"
ROLES: Final = ("producer", "api", "orchestrator", "worker", "flower", "doctor", "metrics")
USERS: Final = ("admin", *ROLES)


def password(user: str) -> str:
    """Of one of the users, in tests."""
    return f"password-of-{user}-in-tests"


def passwords() -> dict[str, str]:
    """The variables that start.sh wants."""
    return {f"REDIS_PASSWORD_{user.upper()}": password(user) for user in USERS}


def start_sh(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script to its end."""
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        ["sh", str(FOLDER / "start.sh"), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server with a user for each role."""

    port: int

    def url(self, user: str) -> str:
        """For TROUPE_REDIS_URL."""
        return f"redis://{user}:{password(user)}@127.0.0.1:{self.port}/0"

    def client(self, user: str = "admin") -> Any:
        """A plain client."""
        return cast(Any, Redis).from_url(self.url(user), decode_responses=True)

    def refusals(self) -> list[str]:
        """What somebody was refused since the last look, without those who only said a wrong password."""
        with self.client() as admin:
            found = [f"{one['username']}: {one['reason']} {one['object']}" for one in admin.acl_log()]
            admin.acl_log_reset()
        return sorted(found)


@contextmanager
def guarded(folder: Path, variables: Mapping[str, str] | None = None) -> Generator[Guarded]:
    """Start one; its data go with the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Guarded(free_port())
    where = ["--port", str(made.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    log = ["--logfile", str(folder / "redis.log")]
    process = subprocess.Popen(
        ["sh", str(FOLDER / "start.sh"), str(find_server()), *where, *log],
        env={"PATH": os.environ["PATH"], "ACL_FOLDER": str(folder / "run"), **passwords(), **(variables or {})},
        stdin=subprocess.DEVNULL,
    )
    server = RedisServer(process, made.url("metrics"), folder, None)
    try:
        server.wait_until_ready()
        yield made
    finally:
        server.stop()
