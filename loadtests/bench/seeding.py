"""Pools and numbers for the measurements, written through the store in bulk."""

from collections.abc import Iterable, Sequence
from itertools import islice

from redis import Redis

from dni_allocator.domain.pool import Pool, PoolSettings
from dni_allocator.store.connection import Connection
from dni_allocator.store.directory import Directory, Entry, Role
from dni_allocator.store.keys import number_directory
from dni_allocator.store.migrating import check_layout
from dni_allocator.store.pools import THE_SHELF, InventoryRow, PoolStore
from dni_allocator.store.shards import Shards
from loadtests.bench.servers import SHARDS
from loadtests.bench.traffic import DESTINATION, ORIGIN, site_key

AREA_CODES = (212, 213, 312, 415, 305, 617, 206, 702, 404, 512)
"""Each has room for 8,000,000 numbers; one per pool that must be answered for by number."""

_FIRST = 2_000_000
_DAY_S = 86_400
_MSET_ROWS = 5_000


def pool(name: str) -> Pool:
    """A pool of this name whose leases outlast the run."""
    return Pool(
        id=f"pool_{name:0>16}",
        key=site_key(name),
        revision=1,
        created_at="2026-01-01T00:00:00Z",
        settings=PoolSettings(
            name=name,
            country="US",
            destinations=(DESTINATION,),
            idle_limit_s=_DAY_S,
            allowed_origins=(ORIGIN,),
        ),
    )


def numbers(count: int, *, area: int, start: int = 0) -> Iterable[InventoryRow]:
    """Valid numbers of one area code, in a row."""
    for local in range(_FIRST + start, _FIRST + start + count):
        exchange, line = divmod(local, 10_000)
        yield InventoryRow(
            number=f"+1{area}{local:07d}",
            shelf=THE_SHELF,
            place="",
            national=f"({area}) {exchange:03d}-{line:04d}",
            international=f"+1 {area}-{exchange:03d}-{line:04d}",
            facts="",
            shelved_at_ms=(local * 7919) % 1_000_000,
        )


class Seeder:
    """Writes what the service will find. One connection, closed by the caller."""

    def __init__(self, connection: Connection) -> None:
        self._execute = connection.execute
        self._pools = PoolStore(Shards(connection.execute, SHARDS))
        self._directory = Directory(connection.execute)

    async def prepare(self) -> None:
        """Write the layout record, as the first start does."""
        await check_layout(self._execute, shards=SHARDS)

    async def make_pool(self, made: Pool, rows: Iterable[InventoryRow] = ()) -> Pool:
        """Write a pool, its key and its numbers; the pool as the store has it."""
        await self._pools.create(made)
        await self._directory.bind_key(made.key, made.id)
        remaining = iter(rows)
        while batch := list(islice(remaining, _MSET_ROWS)):
            await self._pools.attach(made, batch)
        return await self._pools.read(made.id)

    async def totals(self, made: Pool) -> dict[str, int]:
        """What the pool has counted: `new`, `returned`, `turned_away`, ..."""
        return dict((await self._pools.occupancy(made.id)).totals)


def list_in_directory(redis_url: str, made: Pool, listed: Sequence[InventoryRow]) -> None:
    """Write the numbers' directory entries, thousands at a time."""
    entry = str(Entry(role=Role.INVENTORY, pool_id=made.id))
    with Redis.from_url(redis_url) as client:
        for start in range(0, len(listed), _MSET_ROWS):
            part = listed[start : start + _MSET_ROWS]
            client.mset({number_directory(row.number): entry for row in part})
