"""Events a second through one forwarder process, from the outbox to a sink on this machine."""

import asyncio
import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from dni_allocator.domain.webhook import Endpoint
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.webhooks.signing import new_secret
from loadtests.bench import traffic
from loadtests.bench.pipelining import Recorder, load_scripts, send
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, at_least
from loadtests.bench.seeding import AREA_CODES, Seeder, numbers, pool
from loadtests.bench.servers import SHARDS, Server, cpu_seconds, forwarder, peer, redis_server

SINGLE, BATCHED = "forwarder", "forwarder-batched"
NAMES = (SINGLE, BATCHED)

_POOLS = 32
"""Enough that every shard has some."""

_SINGLE_LIMIT = 800
_BATCHED_LIMIT = 5_000
_STALLED_S = 20.0


@dataclass(frozen=True, slots=True)
class _Run:
    """What one drain of the outbox showed."""

    events: int
    seconds: float
    cpu_s: float
    requests: int


async def measure(plan: Plan) -> list[Row]:
    """The rows of this part that the plan wants."""
    rows: list[Row] = []
    if plan.wants(SINGLE):
        what, limit = "forwarder, one event a request", _SINGLE_LIMIT
        rows += await _rows(SINGLE, what, limit, plan.scaled(8_000, short=1_500), batched=False)
    if plan.wants(BATCHED):
        what, limit = "forwarder, batched", _BATCHED_LIMIT
        rows += await _rows(BATCHED, what, limit, plan.scaled(50_000, short=5_000), batched=True)
    return rows


async def _rows(name: str, what: str, limit: int, count: int, *, batched: bool) -> list[Row]:
    seen = await _drain(count, batched=batched)
    rate = seen.events / seen.seconds
    measured = Row(
        name=name,
        what=what,
        per_second=rate,
        cpu_us=1e6 * seen.cpu_s / seen.events,
        note=f"{seen.events / max(1, seen.requests):.1f} events a request",
    )
    return [measured, at_least(f"budget-{name}", what, value=rate, limit=limit, unit="/s")]


async def _drain(count: int, *, batched: bool) -> _Run:
    with redis_server() as redis, peer("sink") as sink:
        async with Connection(redis.url) as connection:
            await _fill(connection, redis.socket_path, redis.pid, count=count)
            endpoint = receiving_at(sink.port, batched=batched)
            await Endpoints(connection.execute, shards=SHARDS).create(endpoint)
            with forwarder(redis.url) as pid:
                return await _watch(sink, pid, count)


def receiving_at(port: int, *, batched: bool) -> Endpoint:
    """An endpoint that takes all there is, at a sink on this machine."""
    return Endpoint(
        id="whe_bench",
        url=f"http://127.0.0.1:{port}/events",
        secret=new_secret(b"benchmark of the forwarder: 32 B"),
        created_ms=int(time.time() * 1000),
        start="oldest",
        body="json" if batched else "single",
    )


async def _fill(connection: Connection, socket_path: Path, pid: int, *, count: int) -> None:
    seeder = Seeder(connection)
    await seeder.prepare()
    each = count // _POOLS + 2
    pools = [
        await seeder.make_pool(
            pool(f"events{at}"), numbers(each, area=AREA_CODES[0], start=at * each)
        )
        for at in range(_POOLS)
    ]
    await load_scripts(connection.execute, pools[0])
    asked = ((pools[at % _POOLS], traffic.visitor(at)) for at in range(count))
    sent = await send(socket_path, await Recorder().assigns(asked), pid=pid)
    if sent.errors:
        raise RuntimeError(f"{sent.errors} leases were refused")


async def _watch(sink: Server, pid: int, count: int) -> _Run:
    """From the first delivery seen to the last; the start of the process does not count."""
    began = moved = time.monotonic()
    first = taken(sink)
    cpu = 0.0
    seen = first
    while seen["events"] < count:
        await asyncio.sleep(0.02)
        now, last = taken(sink), seen
        if first["events"] == 0 and now["events"]:
            first, began, cpu = now, time.monotonic(), cpu_seconds(pid)
        if now["events"] != last["events"]:
            moved = time.monotonic()
        if time.monotonic() - moved > _STALLED_S:
            raise RuntimeError(f"deliveries stopped at {now['events']} of {count}")
        seen = now
    return _Run(
        events=seen["events"] - first["events"],
        seconds=time.monotonic() - began,
        cpu_s=cpu_seconds(pid) - cpu,
        requests=seen["requests"] - first["requests"],
    )


def taken(sink: Server) -> dict[str, int]:
    """What a sink has: `events`, in so many `requests`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/") as answer:  # nosec B310 -- our own server
        counted: dict[str, int] = json.loads(answer.read())
        return counted
