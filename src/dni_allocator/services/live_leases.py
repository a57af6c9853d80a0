"""Who holds a number of a pool right now."""

from collections.abc import Mapping
from dataclasses import dataclass

from dni_allocator.domain.digits import whole
from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.lease import lease_id
from dni_allocator.store.live_leases import LiveLease
from dni_allocator.store.live_leases import LiveLeases as LiveLeaseStore
from dni_allocator.store.pools import PoolStore


@dataclass(frozen=True, slots=True)
class LeasePage:
    """Some leases, and where to go on; None: these were all."""

    leases: list[LiveLease]
    next_cursor: str | None


class LiveLeases:
    """Living leases of pools. Raises `StoreUnavailable`, `PoolUnknown` throughout."""

    def __init__(self, *, store: LiveLeaseStore, pools: PoolStore) -> None:
        self._store = store
        self._pools = pools

    async def page(self, pool_id: str, *, cursor: str | None, limit: int) -> LeasePage:
        """Leases of a pool that live now, the one that ends first at the top.

        Raises `InvalidRequest` for a cursor that is not one of ours.
        """
        await self._pools.read(pool_id)
        deadline_ms, number = (None, "") if cursor is None else _place(cursor)
        leases = await self._store.after(
            pool_id, deadline_ms=deadline_ms, number=number, limit=limit
        )
        last = leases[-1] if len(leases) == limit else None
        return LeasePage(leases, None if last is None else f"{last.deadline_ms}_{last.number[1:]}")

    async def holders(self, pool_id: str, numbers: Mapping[str, int]) -> dict[str, str]:
        """Who holds numbers that are leased, each given with its deadline in ms."""
        found = await self._store.of(pool_id, numbers)
        return {lease.number: lease.visitor_id for lease in found}


def id_of(pool_id: str, lease: LiveLease) -> str:
    """The id of a lease, as `/assign` answered it."""
    return lease_id(pool_id, lease.fence)


def _place(cursor: str) -> tuple[int, str]:
    deadline, _, digits = cursor.partition("_")
    deadline_ms = whole(deadline)
    if deadline_ms is None or whole(digits) is None:
        message = "cursor: not one of ours."
        raise InvalidRequest(message, extra={"errors": [{"field": "cursor", "detail": "unknown"}]})
    return deadline_ms, f"+{digits}"
