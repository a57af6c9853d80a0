"""The history of pools: read, and kept up to date in the background.

Every process may collect; a lock on each shard lets one at a time do it, and the position that is
compared in the script keeps two that meet from counting anything twice. Where nobody collects for
a while, what the outbox still holds is added later; how full the pools were meanwhile is not known.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.history import Bucket, Resolution, Tally, tally
from dni_allocator.rounds import rounds
from dni_allocator.store.history import HistoryStore
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.pools import PoolStore

log = structlog.get_logger(__name__)

_ENTRIES: Final = 200
"""Entries read at a time: about a millisecond of the process that also serves."""

_MOST_ENTRIES: Final = 1000
_MOST_ROWS: Final = 100
_LOCK_MS: Final = 15_000
EVERY_S: Final = 5.0
_USUAL: Final = {Resolution.MINUTE: 60, Resolution.HOUR: 48}


@dataclass(frozen=True, slots=True)
class Span:
    """Buckets of one pool without a hole: from `start_ms` on to before `end_ms`."""

    resolution: Resolution
    start_ms: int
    end_ms: int
    buckets: Sequence[Bucket]


class History:
    """What happened in a pool. Raises `StoreUnavailable` throughout."""

    def __init__(self, *, store: HistoryStore, pools: PoolStore) -> None:
        self._store = store
        self._pools = pools

    async def of(
        self,
        pool_id: str,
        resolution: Resolution,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> Span:
        """Buckets of a pool that touch `start_ms` to before `end_ms`, oldest first.

        Without `end_ms`: until now, the bucket under way included. Without `start_ms`: 60 minutes,
        or 48 hours. What lies further back than is kept is cut off. One in which nothing was noted
        is there too, with nothing in it.

        Raises `PoolUnknown`, `InvalidRequest` when the end is not behind the start.
        """
        await self._pools.read(pool_id)
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            raise InvalidRequest.at("to", "Not behind from.")
        now, step = await self._store.now_ms(), resolution.ms
        latest = (now // step + 1) * step
        end = latest if end_ms is None else min(latest, -(-end_ms // step) * step)
        start = end - _USUAL[resolution] * step if start_ms is None else start_ms // step * step
        # No further than what is: the ends of time are years no answer can write.
        start = min(latest, max(start, (now - resolution.kept_ms) // step * step))
        found = await self._store.buckets(pool_id, resolution, start_ms=start, end_ms=end)
        buckets = tuple(
            found.get(at_ms) or Bucket(start_ms=at_ms) for at_ms in range(start, end, step)
        )
        return Span(resolution, start, max(start, end), buckets)


class Historian:
    """Collects history again and again, on every shard that nobody else collects on."""

    def __init__(self, store: HistoryStore, *, interval_s: float = EVERY_S) -> None:
        self._store = store
        self._interval_s = interval_s
        self._token = secrets.token_hex(8)

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until `stop` is set. A store that is away is waited for."""
        await rounds(self.round, stop, every_s=self._interval_s, name="historian")

    async def round(self) -> None:
        """Add what happened since the last round, and look how full the pools are."""
        for shard in self._store.shards():
            if await self._store.lock(shard, token=self._token, ttl_ms=_LOCK_MS):
                await self._collect(shard)
                await self._store.sample(shard)

    async def _collect(self, shard: ShardKeys) -> None:
        start, more = await self._store.position(shard), True
        while more:
            tallies: dict[tuple[str, int], Tally] = {}
            end, read = start, 0
            # Few writes for many events, and none that takes long: each minute of a pool is a row.
            while more and read < _MOST_ENTRIES and len(tallies) < _MOST_ROWS:
                part, end, more = await self._store.changes(shard, after=end, limit=_ENTRIES)
                tally(part, tallies)
                read += _ENTRIES
            if end == start:
                return
            if not await self._store.fold(shard, tallies, start=start, end=end):
                return  # somebody else has been here: they go on
            start = end
            if more and not await self._store.lock(shard, token=self._token, ttl_ms=_LOCK_MS):
                return
