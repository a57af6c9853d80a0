"""A real Valkey Cluster and a primary watched by Sentinels, on loopback, for tests.

The servers are the embedded one's program, started without its launcher: the launcher's server
listens on a socket only. What `valkey-cli --cluster create` would do is done by commands.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from dni_allocator.store.embedded import find_executable
from tests.support.waiting import wait_until

SLOTS: Final = 16_384
LOOPBACK: Final = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@dataclass(slots=True)
class Node:
    """One server process that can be asked, killed, frozen and started again on its data."""

    port: int
    room: Path
    options: dict[str, str]
    sentinel: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    """More than ours."""
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.room.mkdir(parents=True, exist_ok=True)
        conf = self.room / "server.conf"
        # Both modes rewrite their file, a Sentinel must have one; and keep it over a restart.
        if not conf.exists():
            conf.write_text("".join(f"{name} {value}\n" for name, value in self.options.items()))
        command = [str(find_executable()), str(conf), *(["--sentinel"] if self.sentinel else [])]
        with (self.room / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.room, env=os.environ | self.environment, stdout=log, stderr=log
            )
        wait_until(self.answers, what=f"the server in {self.room}")

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            return bool(self.ask("PING"))
        except RedisError:
            return False

    def ask(self, *command: str | int) -> object:
        """One command, on a connection of its own: a node that died leaves nothing behind."""
        retry = Retry(NoBackoff(), 0)
        with redis.Redis(
            host=LOOPBACK, port=self.port, socket_timeout=2, retry=retry, decode_responses=True
        ) as client:
            return client.execute_command(*command)

    def signal(self, how: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self.process is not None, "not started"
        self.process.send_signal(how)

    def kill(self) -> None:
        """SIGKILL; safe to repeat."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(slots=True)
class Cluster:
    """Three primaries, a replica of each: `nodes[3 + n]` begins as that of `nodes[n]`."""

    nodes: list[Node]
    ids: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """As DNI_REDIS_URL takes it."""
        return f"redis+cluster://{LOOPBACK}:{self.nodes[0].port}"

    @property
    def plain_url(self) -> str:
        """As redis-py's own client for a cluster takes it."""
        return f"redis://{LOOPBACK}:{self.nodes[0].port}"

    def empty(self) -> None:
        """Drop all data and all cached scripts, on the primaries there are now."""
        for node in self.primaries():
            node.ask("FLUSHALL")
            node.ask("SCRIPT", "FLUSH")

    def primaries(self) -> list[Node]:
        """The nodes that serve slots now, of those that answer."""
        found = []
        for node in self.nodes:
            with contextlib.suppress(RedisError):
                if role(node) == "master" and "cluster_state:ok" in str(
                    node.ask("CLUSTER", "INFO")
                ):
                    found.append(node)
        return found

    def replicas(self, primary: Node) -> list[Node]:
        """Who copies this node, of those that answer."""
        found = []
        for node in self.nodes:
            with contextlib.suppress(RedisError):
                told = node.ask("ROLE")
                if isinstance(told, (list, tuple)) and told[0] == "slave":
                    found += [node] if int(str(told[2])) == primary.port else []
        return found

    def owner(self, slot: int) -> Node:
        """Who serves a slot, as the first node that answers has it."""
        for asked in self.nodes:
            with contextlib.suppress(RedisError):
                reply = asked.ask("CLUSTER", "SHARDS")
                port = _port_of(slot, reply)
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError("nobody answers")

    def settled(self) -> bool:
        """Whether every node that runs sees all slots served, and every replica is in step."""
        running = [node for node in self.nodes if node.process is not None]
        try:
            return all(_content(node) for node in running)
        except RedisError:
            return False


def atomically(cluster: Cluster, slot: int, source: Node, target: Node) -> None:
    """Move a slot as Valkey 9 does it: one command, and it is elsewhere at once."""
    source.ask(
        "CLUSTER",
        "MIGRATESLOTS",
        "SLOTSRANGE",
        slot,
        slot,
        "NODE",
        str(target.ask("CLUSTER", "MYID")),
    )
    wait_until(lambda: cluster.owner(slot) is target, timeout_s=60, what="the slot moves")


def role(node: Node) -> str:
    """`master` or `slave`, as the server has it."""
    reply = node.ask("ROLE")
    assert isinstance(reply, (list, tuple))
    return str(reply[0])


def _content(node: Node) -> bool:
    if "cluster_state:ok" not in str(node.ask("CLUSTER", "INFO")):
        return False
    return role(node) == "master" or _in_step(node)


def _in_step(replica: Node) -> bool:
    reply = replica.ask("ROLE")
    assert isinstance(reply, (list, tuple))
    return reply[0] == "slave" and str(reply[3]) == "connected"


def _port_of(slot: int, reply: object) -> int:
    assert isinstance(reply, list)
    for shard in reply:
        told = shard if isinstance(shard, dict) else dict(zip(shard[::2], shard[1::2], strict=True))
        ends = [int(each) for each in told["slots"]]
        if any(begin <= slot <= end for begin, end in zip(ends[::2], ends[1::2], strict=True)):
            for each in told["nodes"]:
                node = (
                    each
                    if isinstance(each, dict)
                    else dict(zip(each[::2], each[1::2], strict=True))
                )
                if node["role"] == "master" and node["health"] == "online":
                    return int(node["port"])
    raise AssertionError(f"slot {slot} is nobody's")


@contextmanager
def clustered(
    room: Path, *, node_timeout_ms: int = 2_000, durable: bool = False, **options: str
) -> Iterator[Cluster]:
    """A cluster that is ready: every slot is served, every replica has its primary's data."""
    ports = free_ports(12)
    nodes = [
        Node(
            port,
            room / f"node{at}",
            {
                "port": str(port), "cluster-port": str(bus), "bind": LOOPBACK,
                "cluster-enabled": "yes", "cluster-config-file": "nodes.conf",
                "cluster-node-timeout": str(node_timeout_ms), "save": '""',
                "appendonly": "yes" if durable else "no", "repl-diskless-sync-delay": "0",
                "maxmemory-policy": "noeviction", "loglevel": "notice", **options,
            },
        )
        for at, (port, bus) in enumerate(zip(ports[:6], ports[6:], strict=True))
    ]  # fmt: skip
    cluster = Cluster(nodes)
    try:
        for node in nodes:
            node.start()
        _join(cluster, ports[6:])
        yield cluster
    finally:
        for node in nodes:
            node.kill()


def _join(cluster: Cluster, buses: list[int]) -> None:
    nodes = cluster.nodes
    for at, node in enumerate(nodes):
        # Of its own, so that none has to be settled by a vote.
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
    for at, node in enumerate(nodes):
        for other, bus in zip(nodes[at + 1 :], buses[at + 1 :], strict=True):
            node.ask("CLUSTER", "MEET", LOOPBACK, other.port, bus)
    cluster.ids = [str(node.ask("CLUSTER", "MYID")) for node in nodes]
    bounds = [0, SLOTS // 3, SLOTS * 2 // 3, SLOTS]
    for at, node in enumerate(nodes[:3]):
        node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[at], bounds[at + 1] - 1)
    for at, node in enumerate(nodes[3:]):
        wait_until(partial(_replicates, node, cluster.ids[at]), what="a replica")
    wait_until(cluster.settled, what="a cluster that serves every slot")


def _replicates(node: Node, primary_id: str) -> bool:
    try:
        node.ask("CLUSTER", "REPLICATE", primary_id)
    except ResponseError:
        return False  # They have not met yet.
    return True


@dataclass(slots=True)
class Watched:
    """A primary with two replicas, and three Sentinels that watch them."""

    servers: list[Node]
    sentinels: list[Node]

    @property
    def primary(self) -> Node:
        """The one that began as primary."""
        return self.servers[0]

    @property
    def url(self) -> str:
        """As DNI_REDIS_URL takes it."""
        hosts = ",".join(f"{LOOPBACK}:{node.port}" for node in self.sentinels)
        return f"redis+sentinel://{hosts}/dni"


@contextmanager
def watched(room: Path, *, down_after_ms: int = 2_000, durable: bool = False) -> Iterator[Watched]:
    """Three servers and three Sentinels that know each other."""
    ports = free_ports(6)
    servers = [
        Node(
            port,
            room / f"server{at}",
            {
                "port": str(port), "bind": LOOPBACK, "save": '""', "appendonly": _yes(durable),
                "repl-diskless-sync-delay": "0",
                **({"replicaof": f"{LOOPBACK} {ports[0]}"} if at else {}),
            },
        )
        for at, port in enumerate(ports[:3])
    ]  # fmt: skip
    sentinels = [
        Node(
            port,
            room / f"sentinel{at}",
            {
                "port": str(port), "bind": LOOPBACK,
                "sentinel monitor": f"dni {LOOPBACK} {ports[0]} 2",
                "sentinel down-after-milliseconds": f"dni {down_after_ms}",
                "sentinel failover-timeout": "dni 10000",
            },
            sentinel=True,
        )
        for at, port in enumerate(ports[3:])
    ]  # fmt: skip
    both = Watched(servers, sentinels)
    try:
        for node in servers:
            node.start()
        wait_until(lambda: all(_in_step(node) for node in servers[1:]), what="replicas in step")
        for node in sentinels:
            node.start()
        wait_until(lambda: all(_knows_all(node) for node in sentinels), what="Sentinels that met")
        yield both
    finally:
        for node in (*sentinels, *servers):
            node.kill()


def _knows_all(sentinel: Node) -> bool:
    replicas = sentinel.ask("SENTINEL", "REPLICAS", "dni")
    others = sentinel.ask("SENTINEL", "SENTINELS", "dni")
    assert isinstance(replicas, list)
    assert isinstance(others, list)
    return len(replicas) == len(others) == 2


def _yes(wanted: bool) -> str:  # noqa: FBT001 -- what it is
    return "yes" if wanted else "no"


@pytest.fixture(scope="session")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of this test process, in memory; tests that want it empty take cluster_url."""
    # Nobody dies here: a machine that is too busy for two seconds must not elect anybody.
    with clustered(tmp_path_factory.mktemp("cluster"), node_timeout_ms=30_000) as cluster:
        yield cluster


@pytest.fixture
def cluster_url(valkey_cluster: Cluster) -> str:
    """Address of an empty cluster, as DNI_REDIS_URL takes it."""
    valkey_cluster.empty()
    return valkey_cluster.url
