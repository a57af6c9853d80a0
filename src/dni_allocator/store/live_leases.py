"""The living leases of a pool, for people to look at. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dni_allocator.store.replies import count, scored, text
from dni_allocator.store.shards import Shards

_HOLDER_FIELDS: Final = 5
_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLease:
    """A lease as it stands. Times in ms since 1970; `data` is what the page told, JSON or ""."""

    number: str
    visitor_id: str
    destination: str
    from_ms: int
    deadline_ms: int
    fence: str
    data: str


class LiveLeases:
    """Leases by their deadline, a page at a time. Few round trips a page."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def after(
        self, pool_id: str, *, deadline_ms: int | None, number: str, limit: int
    ) -> list[LiveLease]:
        """Leases that live now and whose deadline comes after a place, the nearest first.

        Two readings of one pool: a lease that ends between them is left out, one that is renewed
        meanwhile is met again further on; none is missed.
        """
        at = self._shards.pool(pool_id)
        now_ms = int(self._shards.clock() or 0) or await self._redis_now_ms()
        first = f"({now_ms}" if deadline_ms is None else str(max(deadline_ms, now_ms + 1))
        wanted: list[tuple[str, int]] = []
        offset = 0
        while len(wanted) < limit:
            found = scored(
                await self._shards.execute(
                    "ZRANGE", at.leased, first, "+inf", "BYSCORE", "LIMIT", offset, _AT_ONCE,
                    "WITHSCORES",
                )
            )  # fmt: skip
            # Of those with the deadline of the place, some were given already.
            wanted += [
                (name, int(score))
                for name, score in found
                if deadline_ms is None or (int(score), name) > (deadline_ms, number)
            ]
            if len(found) < _AT_ONCE:
                break
            offset += _AT_ONCE
        del wanted[limit:]
        if not wanted:
            return []
        return await self._held(pool_id, wanted)

    async def of(self, pool_id: str, numbers: Mapping[str, int]) -> list[LiveLease]:
        """The leases of numbers that are leased, each with its deadline in ms. One round trip."""
        return await self._held(pool_id, list(numbers.items())) if numbers else []

    async def _held(self, pool_id: str, wanted: Sequence[tuple[str, int]]) -> list[LiveLease]:
        key = self._shards.pool(pool_id).holders
        packed = await self._shards.execute("HMGET", key, *(name for name, _ in wanted))
        holders = packed if isinstance(packed, list) else []
        leases = []
        for (name, score), holder in zip(wanted, holders, strict=True):
            fields = text(holder).split("\t", _HOLDER_FIELDS - 1) if holder is not None else []
            if len(fields) == _HOLDER_FIELDS:
                visitor_id, destination, from_ms, fence, data = fields
                leases.append(
                    LiveLease(
                        number=name,
                        visitor_id=visitor_id,
                        destination=destination,
                        from_ms=int(from_ms),
                        deadline_ms=score,
                        fence=fence,
                        data=data,
                    )
                )
        return leases

    async def _redis_now_ms(self) -> int:
        reply = await self._shards.execute("TIME")
        seconds, micros = reply if isinstance(reply, (list, tuple)) else (0, 0)
        return count(seconds) * 1000 + count(micros) // 1000
