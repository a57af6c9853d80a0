"""Does one forwarder keep up, and what does it cost to have fallen behind: rate, lag, memory."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from redis import Redis

from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.migrating import check_layout
from loadtests.bench.forwarding import receiving_at, taken
from loadtests.bench.pipelining import DATA
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, at_least, at_most
from loadtests.bench.servers import SHARDS, Server, forwarder, peer, redis_server

SUSTAINED, BACKLOG = "forwarder-sustained", "forwarder-backlog"
NAMES = (SUSTAINED, BACKLOG)

_RATE = 3_000
_STEP_S = 0.05
_STALLED_S = 60.0
"""Covers the start of the forwarder, on a machine that does much else."""
_CHUNK = 1_000
_DOCUMENTED_B = 135
"""Bytes of an event that is kept, its captured data apart: docs/redis.md."""


async def measure(plan: Plan) -> list[Row]:
    """The rows of this part that the plan wants."""
    rows: list[Row] = []
    if plan.wants(SUSTAINED):
        rows += await _sustained(seconds=plan.scaled(20, short=2))
    if plan.wants(BACKLOG):
        rows += await _backlog(plan.scaled(1_000_000, short=10_000))
    return rows


async def _sustained(*, seconds: int) -> list[Row]:
    """3,000 events a second, written by the clock whatever the forwarder does."""
    with redis_server() as redis, peer("sink") as sink:
        await _prepare(redis, sink)
        with forwarder(redis.url), Redis.from_url(redis.url) as client:
            events = _entries()
            _write(client, islice(events, 1))
            await _until(sink, 1)
            sent, most_behind, began = 1, 0, time.monotonic()
            while (spent := time.monotonic() - began) < seconds:
                due = 1 + int(spent * _RATE)
                sent += _write(client, islice(events, due - sent))
                most_behind = max(most_behind, sent - taken(sink)["events"])
                await asyncio.sleep(_STEP_S)
            await _until(sink, sent)
    what = f"forwarder, batched, {_RATE:,} events a second for {seconds} s: furthest behind"
    return [
        at_most(SUSTAINED, what, value=most_behind, limit=_RATE, unit="events"),
    ]


async def _backlog(events: int) -> list[Row]:
    """So many events that nobody has taken; then one forwarder."""
    with redis_server() as redis, peer("sink") as sink:
        await _prepare(redis, sink)
        with Redis.from_url(redis.url) as client:
            empty = int(client.info("memory")["used_memory"])
            written, entries = 0, _entries()
            while written < events:
                written += _write(client, islice(entries, min(_CHUNK, events - written)))
            each_b = (int(client.info("memory")["used_memory"]) - empty) / events
            with forwarder(redis.url) as pid:
                await _until(sink, 1)
                began, first = time.monotonic(), taken(sink)["events"]
                await _until(sink, events)
                rate = (events - first) / (time.monotonic() - began)
                peak_mb = _peak_mb(pid)
    what = f"a backlog of {events:,} events"
    return [
        Row(name=BACKLOG, what=f"{what} drains, batched", per_second=rate,
            note=f"peak memory of the forwarder {peak_mb:.0f} MB"),
        at_least(f"budget-{BACKLOG}", f"{what} drains, batched", value=rate, limit=5_000,
                 unit="/s"),
        at_most(f"memory-{BACKLOG}", f"{what}: memory of each, {len(DATA)} B of data",
                value=each_b, limit=_DOCUMENTED_B + len(DATA), unit="B"),
    ]  # fmt: skip


async def _prepare(redis: EmbeddedServer, sink: Server) -> None:
    async with Connection(redis.url) as connection:
        await check_layout(connection.execute, shards=SHARDS)
        endpoint = receiving_at(sink.port, batched=True)
        await Endpoints(connection.execute, shards=SHARDS).create(endpoint)


def _entries() -> Iterator[tuple[str, list[str]]]:
    """Events as `assign.lua` writes them, one shard after the other."""
    for at in count():
        yield ShardKeys(at % SHARDS).events, [
            "t", "number.assigned", "p", "pool_0123456789abcdef", "n", f"+1212{at % 10**7:07d}",
            "v", f"visitor-{at:014d}", "d", "+18005550100", "f", str(at), "w", "1795344299544",
            "r", "new", "x", DATA,
        ]  # fmt: skip


def _write(client: Redis, entries: Iterator[tuple[str, list[str]]]) -> int:
    with client.pipeline(transaction=False) as pipe:
        for key, fields in entries:
            pipe.execute_command("XADD", key, "*", *fields)  # type: ignore[no-untyped-call]  # redis-py leaves this one untyped
        return len(pipe.execute())


async def _until(sink: Server, events: int) -> None:
    moved, seen = time.monotonic(), -1
    while (now := taken(sink)["events"]) < events:
        if now != seen:
            moved, seen = time.monotonic(), now
        elif time.monotonic() - moved > _STALLED_S:
            raise RuntimeError(f"deliveries stopped at {now} of {events}")
        await asyncio.sleep(0.02)


def _peak_mb(pid: int) -> float:
    """The most memory a process ever had; 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) / 1024
