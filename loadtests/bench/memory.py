"""Memory of Redis: what an idle number and a live lease take, from `used_memory`."""

import time

from redis import Redis

from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from loadtests.bench import traffic
from loadtests.bench.pipelining import DATA, Recorder, load_scripts, send
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, at_most
from loadtests.bench.seeding import AREA_CODES, Seeder, list_in_directory, numbers, pool
from loadtests.bench.servers import redis_server

NAMES = ("memory-number", "memory-number-directory", "memory-lease")

_NUMBER_LIMIT_B = 256
_LEASE_LIMIT_B = 800
_OWN_CONNECTIONS = 4
"""At most: the store's, and the one that asks."""

_CLOSED_WITHIN_S = 5.0


async def measure(plan: Plan) -> list[Row]:
    """The rows of this part that the plan wants."""
    count = plan.scaled(100_000, short=10_000)
    leases = count // 2
    with redis_server(durable=False) as redis:
        async with Connection(redis.url) as connection:
            seeder = Seeder(connection)
            rows = list(numbers(count, area=AREA_CODES[0]))
            made = await seeder.make_pool(pool("memory"))
            await load_scripts(connection.execute, made)
            empty = _used_memory(redis)
            await seeder.make_pool(made, rows)
            attached = _used_memory(redis)
            list_in_directory(redis.url, made, rows)
            listed = _used_memory(redis)
            asked = ((made, traffic.visitor(at)) for at in range(leases))
            sent = await send(redis.socket_path, await Recorder().assigns(asked), pid=redis.pid)
            leased = _used_memory(redis)
    errors = sent.errors
    number = (attached - empty) / count
    directory = (listed - attached) / count
    lease = (leased - listed) / leases
    found = [
        at_most("memory-number", f"idle number, one of {count:,}", value=number,
                limit=_NUMBER_LIMIT_B, unit="B"),
        Row(name="memory-number-directory", what="idle number and its directory entry",
            value=f"{number + directory:,.0f} B"),
        at_most("memory-lease", f"live lease with event, one of {leases:,}, {len(DATA)} B of data",
                value=lease, limit=_LEASE_LIMIT_B, unit="B more"),
    ]  # fmt: skip
    if errors:
        raise RuntimeError(f"{errors} leases were refused")
    return [row for row in found if plan.wants(row.name)]


def _used_memory(redis: EmbeddedServer) -> int:
    with Redis.from_url(redis.url) as client:
        # The buffers of connections that were just closed must be gone first.
        until = time.monotonic() + _CLOSED_WITHIN_S
        while int(client.info("clients")["connected_clients"]) > _OWN_CONNECTIONS:
            if time.monotonic() > until:
                raise RuntimeError("connections to the server stay open; they take memory too")
            time.sleep(0.01)
        return int(client.info("memory")["used_memory"])
