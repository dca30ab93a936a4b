"""Several real servers at once, on loopback: a cluster; a master with a replica and a Sentinel."""

import subprocess
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

from orchestrator.local.redis_server import RedisServer, find_server, free_port
from tests.support.waiting import wait_until_sync

SLOTS: Final = 16_384
WITHIN_S: Final = 30.0
BUS_ABOVE: Final = 10_000
"""What a cluster's nodes add to their ports for the bus between them."""


def client(url: str) -> Any:
    """A plain client."""
    return cast(Any, Redis).from_url(url, decode_responses=True, socket_timeout=5)


def low_port() -> int:
    """A free port whose bus port is one, too."""
    while (port := free_port()) + BUS_ABOVE > 65_535:
        pass
    return port


@dataclass(slots=True)
class Cluster:
    """Nodes that share the slots evenly."""

    folder: Path
    ports: list[int]
    nodes: list[RedisServer]

    @property
    def url(self) -> str:
        """For TROUPE_REDIS_URL."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in self.ports)}"

    def start_node(self, at: int) -> None:
        """Start a node, or start it again on its data."""
        folder, port = self.folder / f"node-{at}", self.ports[at]
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-config-file", "nodes.conf"]
        options += ["--cluster-port", str(port + BUS_ABOVE)]
        server = RedisServer.start(folder, port=port, options=options)
        self.nodes[at:] = [server, *self.nodes[at + 1 :]]

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.stop()

    def wait_until_whole(self) -> None:
        """Return when every node sees all slots served."""
        clients = [client(node.url) for node in self.nodes]
        wait_until_sync(lambda: all(_whole(one, len(self.nodes)) for one in clients), within=WITHIN_S)
        for one in clients:
            one.close()


@contextmanager
def cluster(folder: Path, size: int = 3) -> Generator[Cluster]:
    """A cluster without replicas."""
    made = Cluster(folder, [low_port() for _ in range(size)], [])
    with ExitStack() as ending:
        ending.callback(made.stop)
        for at in range(size):
            made.start_node(at)
        share = -(-SLOTS // size)
        for at, node in enumerate(made.nodes):
            one = client(node.url)
            one.execute_command("CLUSTER", "ADDSLOTSRANGE", at * share, min((at + 1) * share, SLOTS) - 1)
            one.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
            one.execute_command("CLUSTER", "MEET", "127.0.0.1", made.ports[0])
            one.close()
        made.wait_until_whole()
        yield made


def _whole(one: Any, size: int) -> bool:
    facts = one.execute_command("CLUSTER INFO")
    text = facts if isinstance(facts, str) else "".join(f"{name}:{value}\n" for name, value in facts.items())
    return "cluster_state:ok" in text and f"cluster_known_nodes:{size}" in text


@dataclass(slots=True)
class Watched:
    """A master and a replica, watched by Sentinels."""

    servers: list[RedisServer]
    sentinels: list[RedisServer]
    service: str = "main"

    @property
    def url(self) -> str:
        """For TROUPE_REDIS_URL."""
        places = ",".join(one.url.removeprefix("redis://").partition("/")[0] for one in self.sentinels)
        return f"sentinel://{places}/{self.service}/0"

    def master_port(self) -> int:
        """Where the Sentinels say that the master is."""
        one = client(self.sentinels[0].url)
        try:
            return int(one.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)[1])
        finally:
            one.close()


@contextmanager
def watched(folder: Path, options: Sequence[str] = ()) -> Generator[Watched]:
    """A master, a replica and a Sentinel that fails over after a second."""
    with ExitStack() as ending:
        ports = [free_port(), free_port()]
        servers: list[RedisServer] = []
        for at, port in enumerate(ports):
            following = ["--replicaof", f"127.0.0.1 {ports[0]}"] if at else []
            servers.append(RedisServer.start(folder / f"server-{at}", port=port, options=[*options, *following]))
            ending.callback(servers[at].stop)
        made = Watched(servers, [])
        replica, master = client(servers[1].url), client(servers[0].url)
        wait_until_sync(lambda: replica.info("replication").get("master_link_status") == "up", within=WITHIN_S)
        made.sentinels.append(_sentinel(folder / "sentinel", ports[0], made.service))
        ending.callback(made.sentinels[0].stop)
        sentinel = client(made.sentinels[0].url)
        wait_until_sync(lambda: len(_replicas(sentinel, made.service)) == 1, within=WITHIN_S)
        for one in (replica, master, sentinel):
            one.close()
        yield made


def _replicas(sentinel: Any, service: str) -> list[Any]:
    return list(sentinel.execute_command("SENTINEL", "REPLICAS", service))


def _sentinel(folder: Path, master: int, service: str) -> RedisServer:
    folder.mkdir(parents=True)
    settings = folder / "sentinel.conf"
    settings.write_text(
        f"sentinel monitor {service} 127.0.0.1 {master} 1\n"
        f"sentinel down-after-milliseconds {service} 1000\n"
        f"sentinel failover-timeout {service} 10000\n"
    )
    port = free_port()
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--logfile", str(folder / "redis.log")]
    process = subprocess.Popen(
        [str(find_server()), str(settings), "--sentinel", *where], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    server = RedisServer(process, f"redis://127.0.0.1:{port}/0", folder, None)
    try:
        server.wait_until_ready()
    except BaseException:
        server.stop()
        raise
    return server
