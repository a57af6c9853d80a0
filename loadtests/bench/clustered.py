"""What a call costs its process on a cluster, against one server: the client's side alone.

No HTTP: the store's own renewals, from the arguments to the answer, on uvloop as in the service.
CPU is that of the thread that calls; the servers are on the other core. Each shard has a primary of
its own, so that calls share a write as seldom as they can; without replicas, which cost the
servers, not the client.
"""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

import uvloop
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from dni_allocator.domain.lease import PageRequest
from dni_allocator.domain.pool import Pool
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import find_executable
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.scripts import Execute
from dni_allocator.store.shards import Shards
from loadtests.bench.pipelining import DATA
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, Sample, Samples
from loadtests.bench.seeding import AREA_CODES, Seeder, numbers, pool
from loadtests.bench.servers import SHARDS, free_port, pin
from loadtests.bench.traffic import DESTINATION, page, visitor

CALLERS = {"few": 8, "many": 256}
"""Calls under way at once: few, as on a quiet service; many, as at full load."""

WAYS = {
    "server": "one server, shared connection",
    "client": "cluster of eight, redis-py's client",
    "cluster": "cluster of eight, a shared connection a node",
}

NAMES = tuple(f"{way}-{load}" for load in CALLERS for way in WAYS)

_SLOTS = 16_384
_POOLS = 4 * SHARDS
_VISITORS = 50
_START_S = 30.0
_POLL_S = 0.05


async def measure(plan: Plan) -> list[Row]:
    """A row for each way to the store and each number of callers that the plan wants."""
    wanted = plan.wanted(NAMES)
    samples = await asyncio.to_thread(_on_uvloop, plan, wanted)
    return [
        samples.row(f"{way}-{load}", f"client of the store, renewal, {callers} callers: {what}")
        for load, callers in CALLERS.items()
        for way, what in WAYS.items()
        if f"{way}-{load}" in wanted
    ]


def _on_uvloop(plan: Plan, wanted: list[str]) -> Samples:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_sampled(plan, wanted))


async def _sampled(plan: Plan, wanted: list[str]) -> Samples:
    samples = Samples()
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dni-bench-")))
        one = f"redis://127.0.0.1:{stack.enter_context(_server(room)).port}"
        url = stack.enter_context(_cluster(room))
        async with Connection(one) as single, Connection(url) as cluster:
            ways: dict[str, Execute] = {
                "server": single.pipelined, "client": cluster.execute, "cluster": cluster.pipelined,
            }  # fmt: skip
            pools = {connection: await _pools(connection) for connection in (single, cluster)}
            for _ in range(plan.rounds):
                for load, callers in CALLERS.items():
                    for way, execute in ways.items():
                        if f"{way}-{load}" in wanted:
                            leases = LeaseStore(Shards(execute, SHARDS))
                            made = pools[single if way == "server" else cluster]
                            sample = await _window(leases, made, callers, plan.seconds)
                            samples.add(f"{way}-{load}", sample)
    return samples


async def _pools(connection: Connection) -> list[Pool]:
    seeder = Seeder(connection)
    await seeder.prepare()
    made = [
        await seeder.make_pool(
            pool(f"node{at}"), numbers(_VISITORS, area=AREA_CODES[0], start=at * _VISITORS)
        )
        for at in range(_POOLS)
    ]
    leases = LeaseStore(Shards(connection.execute, SHARDS))
    for each in made:
        for at in range(_VISITORS):
            await _renew(leases, each, at)
    return made


async def _renew(leases: LeaseStore, made: Pool, at: int) -> None:
    request = PageRequest(visitor(at % _VISITORS), page(at), (DESTINATION,), {}, DATA)
    await leases.assign(made, request)


async def _window(leases: LeaseStore, pools: list[Pool], callers: int, seconds: float) -> Sample:
    turns = count()
    done = 0

    async def caller(until: float) -> None:
        nonlocal done
        while time.monotonic() < until:
            at = next(turns)
            await _renew(leases, pools[at % _POOLS], at)
            done += 1

    await asyncio.gather(*(caller(time.monotonic() + seconds / 10) for _ in range(callers)))
    done, began, cpu = 0, time.monotonic(), time.thread_time()
    await asyncio.gather(*(caller(began + seconds) for _ in range(callers)))
    return Sample(done=done, seconds=time.monotonic() - began, cpu_s=time.thread_time() - cpu)


@dataclass(frozen=True, slots=True)
class _Server:
    port: int
    bus: int
    client: Redis


@contextmanager
def _server(room: Path, **options: str) -> Iterator[_Server]:
    """A server on TCP, as one that is not embedded."""
    port, bus = free_port(), free_port()
    place = room / str(port)
    place.mkdir()
    every = {
        "port": str(port), "bind": "127.0.0.1", "dir": str(place), "logfile": "log", "save": "",
        "appendonly": "yes", "auto-aof-rewrite-percentage": "0", **options,
    }  # fmt: skip
    if options:
        every["cluster-port"] = str(bus)
    words = [word for name, value in every.items() for word in (f"--{name}", value)]
    with ExitStack() as stack:
        process = subprocess.Popen(  # noqa: S603 -- the embedded server's program
            [str(find_executable()), *words]
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        pin(process.pid, measured=True)
        client = stack.enter_context(Redis(port=port))
        _wait_until(partial(_answers, client))
        yield _Server(port, bus, client)


@contextmanager
def _cluster(room: Path) -> Iterator[str]:
    """A primary for each shard; the first has all that is in no shard, too."""
    options = {"cluster-enabled": "yes", "cluster-config-file": "nodes.conf"}
    homes = [key_slot(ShardKeys(shard).tag.encode()) for shard in range(SHARDS)]
    rest = [slot for slot in range(_SLOTS) if slot not in homes]
    with ExitStack() as stack:
        servers = [stack.enter_context(_server(room, **options)) for _ in homes]
        for at, (server, home) in enumerate(zip(servers, homes, strict=True)):
            # Of its own, so that none has to be settled by a vote.
            _ask(server.client, "CLUSTER SET-CONFIG-EPOCH", at + 1)
            _ask(server.client, "CLUSTER ADDSLOTS", home, *([] if at else rest))
        for server in servers:
            for other in servers:
                _ask(server.client, "CLUSTER MEET", "127.0.0.1", other.port, other.bus)
        for server in servers:
            _wait_until(partial(_is_whole, server.client))
        yield f"redis+cluster://127.0.0.1:{servers[0].port}"


def _answers(client: Redis) -> bool:
    with suppress(RedisError):
        return bool(client.ping())
    return False


def _is_whole(client: Redis) -> bool:
    known = _ask(client, "CLUSTER INFO")
    return known["cluster_state"] == "ok" and known["cluster_known_nodes"] == str(SHARDS)


def _ask(client: Redis, *command: str | int) -> dict[str, str]:
    # Without annotations in redis-py. Only CLUSTER INFO has an answer that matters.
    return cast("dict[str, str]", client.execute_command(*command))  # type: ignore[no-untyped-call]


def _wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + _START_S
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError("the servers are not ready in time")
        time.sleep(_POLL_S)
