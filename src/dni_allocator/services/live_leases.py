"""Who holds a number of a pool right now."""

from collections.abc import Mapping

from dni_allocator.domain.lease import lease_id
from dni_allocator.services.paging import Page, packed, unpacked
from dni_allocator.store.live_leases import LiveLease
from dni_allocator.store.live_leases import LiveLeases as LiveLeaseStore
from dni_allocator.store.pools import PoolStore


class LiveLeases:
    """Living leases of pools. Raises `StoreUnavailable`, `PoolUnknown` throughout."""

    def __init__(self, *, store: LiveLeaseStore, pools: PoolStore) -> None:
        self._store = store
        self._pools = pools

    async def page(self, pool_id: str, *, cursor: str | None, limit: int) -> Page[LiveLease]:
        """Leases of a pool that live now, the one that ends first at the top.

        Raises `InvalidRequest` for a cursor that is not one of ours.
        """
        await self._pools.read(pool_id)
        deadline_ms, digits = (None, "") if cursor is None else unpacked(cursor)
        leases = await self._store.after(
            pool_id, deadline_ms=deadline_ms, number=f"+{digits}", limit=limit
        )
        last = leases[-1] if len(leases) == limit else None
        following = None if last is None else packed(last.deadline_ms, last.number[1:])
        return Page(tuple(leases), following)

    async def holders(self, pool_id: str, numbers: Mapping[str, int]) -> dict[str, str]:
        """Who holds numbers that are leased, each given with its deadline in ms."""
        found = await self._store.of(pool_id, numbers)
        return {lease.number: lease.visitor_id for lease in found}


def id_of(pool_id: str, lease: LiveLease) -> str:
    """The id of a lease, as `/assign` answered it."""
    return lease_id(pool_id, lease.fence)
