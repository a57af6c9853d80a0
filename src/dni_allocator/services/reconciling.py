"""Compare what a vendor's account holds with what the pools hold."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from dni_allocator.domain.errors import PoolUnknown
from dni_allocator.domain.pool import Pool
from dni_allocator.domain.shop import Holding
from dni_allocator.services.shops import Shops
from dni_allocator.store.directory import Directory, Role
from dni_allocator.store.pools import PoolStore

_SCAN = 1_000


@dataclass(frozen=True, slots=True)
class PoolNumber:
    """A number in a pool."""

    number: str
    pool_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Both differences, and how many are in both.

    `unattached`: the vendor bills them, and no pool has them. `unknown_to_vendor`: pools show them
    as this vendor's, and the account does not have them: calls to them do not arrive.
    """

    vendor: str
    owned: int
    matched: int
    unattached: Sequence[Holding]
    unknown_to_vendor: Sequence[PoolNumber]


class Reconciling:
    """Raises `StoreUnavailable`, and what a shop raises."""

    def __init__(self, *, shops: Shops, pools: PoolStore, directory: Directory) -> None:
        self._shops = shops
        self._pools = pools
        self._directory = directory

    async def compare(self, vendor: str) -> Reconciliation:
        """Read the whole account and all pools. O(numbers); not one instant."""
        holdings = {each.number: each for each in await self._shops.get(vendor).owned()}
        entries = await self._directory.find_all(list(holdings))
        unattached = [
            holding
            for holding, entry in zip(holdings.values(), entries, strict=True)
            if entry is None or entry.role is Role.FORMER
        ]
        missing = [each for each in await self._numbers_of(vendor) if each.number not in holdings]
        return Reconciliation(
            vendor=vendor,
            owned=len(holdings),
            matched=len(holdings) - len(unattached),
            unattached=sorted(unattached, key=lambda each: each.number),
            unknown_to_vendor=sorted(missing, key=lambda each: each.number),
        )

    async def _numbers_of(self, vendor: str) -> set[PoolNumber]:
        """Numbers of pools that say they are of this vendor, or whose pool does."""
        found = set[PoolNumber]()
        for shard in self._pools.shards():
            for pool_id in await self._pools.ids(shard):
                with suppress(PoolUnknown):  # deleted since: its numbers are in no pool
                    found |= await self._of_pool(await self._pools.read(pool_id), vendor)
        return found

    async def _of_pool(self, pool: Pool, vendor: str) -> set[PoolNumber]:
        found = set[PoolNumber]()
        cursor = "0"
        while True:
            rows, cursor = await self._pools.inventory(pool.id, cursor=cursor, limit=_SCAN)
            for row in rows:
                facts = orjson.loads(row.facts) if row.facts else {}
                if facts.get("vendor", pool.settings.vendor) == vendor:
                    found.add(PoolNumber(row.number, pool.id))
            if cursor == "0":
                return found
