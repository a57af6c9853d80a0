"""The look `GET /pools/{id}/explain` takes into Redis."""

from collections.abc import Mapping
from dataclasses import dataclass

from dni_allocator.domain.errors import PoolUnknown
from dni_allocator.domain.pool import Pool
from dni_allocator.store.policies import packed_policy
from dni_allocator.store.scripts import load
from dni_allocator.store.shards import Shards

_EXPLAIN = load("explain")
_FIXED = 15
"""Values of the reply before those of the shelves."""


@dataclass(frozen=True, slots=True)
class ShelfHead:
    """What a shelf has to give. `number`: the one released longest ago."""

    shelf: str
    available: int
    number: str | None
    released_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One instant of a pool, as one visitor meets it. Waits in ms, 0: none."""

    now_ms: int
    circulating: int
    """Numbers of the pool that are not in quarantine."""
    leased: int
    resting: int
    over: int
    """Leases that are over, or would give way, as soon as somebody asks; 64 at most are counted."""
    idle_in_force_ms: int
    kept: int
    """Free numbers the reserve keeps."""
    own: str | None
    """The number the visitor holds."""
    own_until_ms: int | None
    visitor_wait_ms: int
    network_wait_ms: int
    network_leases: int
    back: str | None
    """The number the visitor had, and would get back."""
    shelves: Mapping[str, ShelfHead]
    """Only those that have something to give."""


class Explaining:
    """One round trip; raises `PoolUnknown`, `StoreUnavailable`."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def explain(
        self, pool: Pool, *, visitor_id: str, network: str, destination: str
    ) -> Explained | None:
        """Look; None: the order of shelves for the destination has to be put first."""
        at = self._shards.pool(pool.id)
        reply = await _EXPLAIN.run(
            self._shards.execute,
            {
                "conf": at.conf,
                "leased": at.leased,
                "holders": at.holders,
                "numbers": at.numbers,
                "shelves": at.shelves,
                "visitor": at.visitors + visitor_id,
                "orders": at.orders,
                "free": at.free,
                "visitors": at.visitors,
                "limits": at.limits,
                "given_now": self._shards.clock(),
                "idle": pool.idle_ms,
                "window": pool.window_ms,
                "policy": packed_policy(pool.settings, if_none=True),
                "visitor_id": visitor_id,
                "address": network,
                "destination": destination,
            },
        )
        if reply[0] == b"GONE":
            message = "There is no pool with this id."
            raise PoolUnknown(message)
        if reply[0] == b"UNORDERED":
            return None
        told = [value.decode() for value in reply]
        shelves = {}
        for start in range(_FIXED, len(told), 4):
            shelf, available, number, released = told[start : start + 4]
            shelves[shelf] = ShelfHead(shelf, int(available), number, int(float(released)))
        return Explained(
            now_ms=int(told[1]),
            circulating=int(told[2]),
            leased=int(told[3]),
            resting=int(told[4]),
            over=int(told[5]),
            idle_in_force_ms=int(told[6]),
            kept=int(told[7]),
            own=told[8] or None,
            own_until_ms=int(float(told[9])) if told[9] else None,
            visitor_wait_ms=int(float(told[10])),
            network_wait_ms=int(float(told[11])),
            network_leases=int(told[12]),
            back=told[13] or None,
            shelves=shelves,
        )
