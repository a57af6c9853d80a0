"""The hot path on a cluster: one connection a node for all calls; what nodes say is followed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from redis.crc import key_slot

from dni_allocator.domain.errors import ConfigurationError, StoreUnavailable
from dni_allocator.store.connection import Connection
from dni_allocator.store.scripts import NoScript, Value, load
from tests.cluster.test_every_feature import on_every_shard
from tests.support.cluster import LOOPBACK, Cluster, Node, atomically, free_ports
from tests.support.rig import fictional
from tests.support.service import serving
from tests.support.waiting import wait_until, wait_until_async

SHARDS = 4


@pytest.fixture
async def connection(cluster_url: str) -> AsyncIterator[Connection]:
    """A connection to the empty cluster."""
    async with Connection(cluster_url) as made:
        yield made


def clients(node: Node) -> dict[str, str]:
    """A node's connections by id, but for the one that asks."""
    listed = str(node.ask("CLIENT", "LIST", "TYPE", "normal")).splitlines()
    return {line.split()[0]: line for line in listed if "cmd=client|list" not in line}


def others(cluster: Cluster, node: Node) -> Node:
    """Another primary."""
    return next(each for each in cluster.primaries() if each is not node)


def key_of(cluster: Cluster, node: Node) -> str:
    """A key that this node has."""
    keys = (f"key-{at}" for at in range(10_000))
    return next(key for key in keys if cluster.owner(key_slot(key.encode())) is node)


async def test_all_calls_share_one_connection_a_node(
    connection: Connection, valkey_cluster: Cluster
) -> None:
    """However many are under way, and each reply is that of its own call."""
    for node in valkey_cluster.primaries():
        await connection.execute("GET", key_of(valkey_cluster, node))
    before = {node.port: clients(node) for node in valkey_cluster.primaries()}

    await asyncio.gather(*(connection.pipelined("SET", f"key-{at}", at) for at in range(600)))
    replies = await asyncio.gather(*(connection.pipelined("GET", f"key-{at}") for at in range(600)))

    assert replies == [str(at).encode() for at in range(600)]
    for node in valkey_cluster.primaries():
        assert len(clients(node).keys() - before[node.port].keys()) == 1


async def test_scripts_keep_to_the_node_of_their_keys(
    connection: Connection, valkey_cluster: Cluster
) -> None:
    """EVALSHA, on NOSCRIPT the source: asked of the same node, which has it from then on."""
    script = load("due_pools")

    def values(shard: int) -> dict[str, Value]:
        return {"due": f"dni:{{s{shard}}}:due", "given_now": "5", "limit": 1}

    for shard in range(SHARDS):
        assert await script.run(connection.pipelined, values(shard)) == [b"OK", b"5"]
    with pytest.raises(NoScript):
        await connection.pipelined("EVALSHA", "0" * 40, 1, "dni:{s0}:due")
    for node in valkey_cluster.primaries():
        node.ask("SCRIPT", "FLUSH")

    for shard in range(SHARDS):
        assert await script.run(connection.pipelined, values(shard)) == [b"OK", b"5"]
        node = valkey_cluster.owner(key_slot(b"{s%d}" % shard))
        assert node.ask("SCRIPT", "EXISTS", script.sha) == [1]


async def test_commands_without_a_key_are_answered_too(connection: Connection) -> None:
    """PING, TIME and what else names no slot: redis-py's client knows whom to ask."""
    assert await connection.pipelined("PING") is True
    assert await connection.pipelined("TIME")


async def test_a_slot_that_moved_is_followed_at_once(
    connection: Connection, valkey_cluster: Cluster
) -> None:
    """MOVED is followed within the call, remembered, and no call is refused."""
    slot = key_slot(b"{s0}")
    source = valkey_cluster.owner(slot)
    await connection.pipelined("SET", "dni:{s0}:x", "before")

    with moved(valkey_cluster, slot, source, others(valkey_cluster, source)):
        assert await connection.pipelined("GET", "dni:{s0}:x") == b"before"
        assert connection.failures == Counter({("moved",): 1})
        assert await connection.pipelined("SET", "dni:{s0}:x", "after") == b"OK"
        assert connection.failures == Counter({("moved",): 1})

    assert await connection.pipelined("GET", "dni:{s0}:x") == b"after"


@contextmanager
def moved(cluster: Cluster, slot: int, source: Node, target: Node) -> Iterator[None]:
    """The slot on another node meanwhile."""
    atomically(cluster, slot, source, target)
    try:
        yield
    finally:
        atomically(cluster, slot, target, source)


async def test_a_slot_on_two_nodes_answers_or_refuses(
    connection: Connection, valkey_cluster: Cluster
) -> None:
    """A key that went ahead is asked for there (ASK); keys on either node: 503, then service."""
    keys = [f"{{s0}}:{name}" for name in ("gone", "stays", "new")]
    slot = key_slot(b"{s0}")
    source = valkey_cluster.owner(slot)
    target = others(valkey_cluster, source)
    here, there = (str(node.ask("CLUSTER", "MYID")) for node in (source, target))
    both = "return redis.call('MGET', KEYS[1], KEYS[2])"
    for key in keys[:2]:
        await connection.pipelined("SET", key, "kept")
    await connection.pipelined("EVAL", both, 2, *keys[:2])
    try:
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", keys[0])

        assert await connection.pipelined("GET", keys[0]) == b"kept"
        assert await connection.pipelined("GET", keys[1]) == b"kept"
        assert await connection.pipelined("SET", keys[2], "made") == b"OK"
        with pytest.raises(StoreUnavailable, match="TRYAGAIN"):
            await connection.pipelined("EVAL", both, 2, *keys[:2])
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", keys[1])
        assert await connection.pipelined("EVAL", both, 2, *keys[:2]) == [b"kept"] * 2
    finally:
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", there)
        wait_until(lambda: valkey_cluster.owner(slot) is target)
        atomically(valkey_cluster, slot, target, source)

    assert await connection.pipelined("GET", keys[2]) == b"made"


async def test_nodes_that_point_to_each_other_end_in_a_refusal(
    connection: Connection, valkey_cluster: Cluster
) -> None:
    """A cluster that contradicts itself keeps no call going round."""
    slot = key_slot(b"{s1}")
    source = valkey_cluster.owner(slot)
    here = str(source.ask("CLUSTER", "MYID"))
    there = str(others(valkey_cluster, source).ask("CLUSTER", "MYID"))
    await connection.pipelined("GET", "{s1}")
    source.ask("CLUSTER", "SETSLOT", slot, "NODE", there)
    try:
        with pytest.raises(StoreUnavailable, match="point to each other"):
            await connection.pipelined("GET", "{s1}")
    finally:
        source.ask("CLUSTER", "SETSLOT", slot, "NODE", here)

    assert await connection.pipelined("GET", "{s1}") is None


async def test_a_replica_that_takes_over_is_found(
    connection: Connection, valkey_cluster: Cluster
) -> None:
    """Its primary says MOVED from then on: what was written is there, and more can be."""
    primary = valkey_cluster.owner(key_slot(b"{s2}"))
    await connection.pipelined("SET", "{s2}:x", "kept")
    (replica,) = valkey_cluster.replicas(primary)

    replica.ask("CLUSTER", "FAILOVER")
    await asyncio.to_thread(wait_until, lambda: valkey_cluster.owner(key_slot(b"{s2}")) is replica)

    assert await connection.pipelined("GET", "{s2}:x") == b"kept"
    assert await connection.pipelined("SET", "{s2}:x", "more") == b"OK"


async def test_each_node_is_asked_with_the_addresss_user(
    cluster_url: str, valkey_cluster: Cluster
) -> None:
    """AUTH is redis-py's, on shared connections as on others; a wrong password is a 503."""
    for node in valkey_cluster.nodes:
        node.ask("ACL", "SETUSER", "dni", "on", ">secret", "~*", "+@all")
    try:
        address = cluster_url.removeprefix("redis+cluster://")
        async with Connection(f"redis+cluster://dni:secret@{address}") as known:
            for node in valkey_cluster.primaries():
                await known.pipelined("GET", key_of(valkey_cluster, node))
                assert [line for line in clients(node).values() if "user=dni" in line]
        async with Connection(f"redis+cluster://dni:guessed@{address}") as unknown:
            with pytest.raises(StoreUnavailable):
                await unknown.pipelined("GET", "key")
    finally:
        for node in valkey_cluster.nodes:
            node.ask("ACL", "DELUSER", "dni")


async def test_a_first_node_that_is_down_does_not_matter(
    cluster_url: str, valkey_cluster: Cluster
) -> None:
    """The next one of the address is asked, with the same user."""
    (dead,) = free_ports(1)
    for node in valkey_cluster.nodes:
        node.ask("ACL", "SETUSER", "dni", "on", ">secret", "~*", "+@all")
    try:
        address = cluster_url.removeprefix("redis+cluster://")
        url = f"redis+cluster://dni:secret@{LOOPBACK}:{dead},{address}"
        async with Connection(url) as connection:
            assert await connection.pipelined("SET", "key", "kept", "PX", 60_000) == b"OK"
            assert await connection.execute("GET", "key") == b"kept"
    finally:
        for node in valkey_cluster.nodes:
            node.ask("ACL", "DELUSER", "dni")


@pytest.mark.parametrize("hosts", ["host:1,", "host:1,:2", "host:1,other:no"])
async def test_an_address_of_nodes_that_cannot_be_read(hosts: str) -> None:
    """Is refused at the start, without a word of it: it may hold a password."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Connection(f"redis+cluster://{hosts}")


async def test_a_primary_without_enough_replicas_is_a_503(
    cluster_url: str, valkey_cluster: Cluster
) -> None:
    """`min-replicas-to-write`: better no lease than one that a failover forgets. Reads go on."""
    async with serving(cluster_url) as service:
        site = (await on_every_shard(service))[0]
        numbers = {"numbers": fictional(2)}
        await service.admin("POST", f"/pools/{site.pool_id}/numbers", numbers)
        held = await site.number("ann")
        paths = ("/assign", "/assign", "/heartbeat", "/close")
        with too_few_replicas(valkey_cluster):
            refused = [
                await service.tag(path, {"key": site.key, "visitor_id": who, "page_id": "page"})
                for path, who in zip(paths, ("ann", "bob", "ann", "ann"), strict=True)
            ]
            found = await service.attribution(held)

        assert [answer.status_code for answer in refused] == [503] * 4
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert {answer.json()["code"] for answer in refused} == {"store-unavailable"}
        assert found["visitor_id"] == "ann"
        assert await site.number("ann") == held


@contextmanager
def too_few_replicas(cluster: Cluster) -> Iterator[None]:
    """Each primary wants more replicas than it has before it takes a write."""
    nodes = cluster.nodes
    for node in nodes:
        node.ask("CONFIG", "SET", "min-replicas-to-write", 5)
    try:
        yield
    finally:
        for node in nodes:
            node.ask("CONFIG", "SET", "min-replicas-to-write", 0)


async def test_closing_ends_all_of_them(connection: Connection, valkey_cluster: Cluster) -> None:
    """What is under way is told so; safe to repeat; later calls are refused."""
    before = {node.port: clients(node) for node in valkey_cluster.primaries()}
    await asyncio.gather(*(connection.pipelined("GET", f"key-{at}") for at in range(100)))

    await connection.close()
    await connection.close()

    with pytest.raises(StoreUnavailable):
        await connection.pipelined("GET", "key-1")
    await wait_until_async(
        lambda: all(
            clients(node).keys() <= before[node.port].keys() for node in valkey_cluster.primaries()
        )
    )


async def test_a_cluster_is_not_dialled_before_it_is_admitted(cluster_url: str) -> None:
    """As with one server: nothing is written where the layout was not compared yet."""

    def refuse() -> None:
        raise StoreUnavailable("not yet")

    async with Connection(cluster_url, admit=refuse) as connection:
        with pytest.raises(StoreUnavailable, match="not yet"):
            await connection.pipelined("SET", "key", "value")

    async with Connection(cluster_url) as connection:
        assert await connection.pipelined("GET", "key") is None
