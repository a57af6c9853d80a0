"""Where calls go while the store is away: a table of numbers and destinations in this process.

Filled at the start and again every few seconds. It knows who had a number last as of then, so in a
pool with several destinations a call may ring at that of the visitor before; in a pool with one it
is always right. Bounded: see `MOST_NUMBERS`.
"""

from dataclasses import dataclass, field
from typing import Final

import structlog

from dni_allocator.domain.errors import PoolUnknown
from dni_allocator.domain.pool import Pool
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.routes import RouteStore

log = structlog.get_logger(__name__)

MOST_NUMBERS: Final = 100_000
"""100 bytes each (tracemalloc), and 160 more where a number has a destination of its own: 26 MB at
most."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A number as it was lately: its pool, and where a call on it belongs."""

    pool: Pool
    destination: str


@dataclass(slots=True)
class _Table:
    pools: dict[str, Pool] = field(default_factory=dict)
    """By number."""
    destinations: dict[str, str] = field(default_factory=dict)
    """By number, where it is not the pool's default."""
    whole: bool = True

    def put(self, number: str, pool: Pool, *, most: int) -> bool:
        if number not in self.pools and len(self.pools) >= most:
            self.whole = False
            return False
        self.pools[number] = pool
        return True


class LastKnown:
    """The table. `refresh` raises `StoreUnavailable`, and leaves it as it was then."""

    def __init__(self, *, pools: PoolStore, routes: RouteStore, most: int = MOST_NUMBERS) -> None:
        self._pools = pools
        self._routes = routes
        self._most = most
        self._table = _Table(whole=False)
        self._coming: _Table | None = None
        """The next one, while it is being read."""

    @property
    def whole(self) -> bool:
        """Whether every number of every pool is in it, so that one that is not is nobody's."""
        return self._table.whole

    def find(self, number: str) -> Remembered | None:
        """What is known of a number."""
        pool = self._table.pools.get(number)
        if pool is None:
            return None
        default = pool.settings.destinations[0]
        return Remembered(pool, self._table.destinations.get(number, default))

    def note(self, number: str, pool: Pool, destination: str) -> None:
        """What a call has just shown. It holds until the number is read after it."""
        for table in (self._table, self._coming):
            if table is None or not table.put(number, pool, most=self._most):
                continue
            if destination == pool.settings.destinations[0]:
                table.destinations.pop(number, None)
            else:
                table.destinations[number] = destination

    async def refresh(self) -> None:
        """Read it all anew. A round trip per 1,000 numbers, twice with several destinations."""
        table = self._coming = _Table()
        try:
            await self._read_all(table)
        finally:
            self._coming = None
        if not table.whole and self._table.whole:
            log.warning("telephony.more_numbers_than_remembered", remembered=self._most)
        self._table = table

    async def _read_all(self, table: _Table) -> None:
        for shard in self._pools.shards():
            for pool_id in await self._pools.ids(shard):
                if not table.whole:
                    return
                try:
                    pool = await self._pools.read(pool_id)
                except PoolUnknown:
                    continue
                await self._read(pool, table)

    async def _read(self, pool: Pool, table: _Table) -> None:
        for number in pool.settings.overflow_numbers:
            table.put(number, pool, most=self._most)
        async for numbers in self._routes.numbers(pool.id):
            for number in numbers:
                if not table.put(number, pool, most=self._most):
                    return
        if len(pool.settings.destinations) == 1:
            return
        default = pool.settings.destinations[0]
        async for found in self._routes.destinations(pool.id):
            for number, destination in found.items():
                if destination != default and number in table.pools:
                    table.destinations[number] = destination
