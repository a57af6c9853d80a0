"""Erase a visitor from all that is kept, now."""

import asyncio
from collections.abc import Callable

import structlog

from dni_allocator.domain.errors import DniError, PoolUnknown, StoreUnavailable
from dni_allocator.rounds import pause
from dni_allocator.services.access import instant_ms
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.erasing import Erased, ErasureStore
from dni_allocator.store.pools import PoolStore

log = structlog.get_logger(__name__)

_AT_ONCE = 16
"""Pools under way together."""

ABANDONED_AFTER_MS = 60_000
"""An erasure that has not ended by then has lost its process; another finishes it."""


class Erasure:
    """Erase visitors. Raises `StoreUnavailable`; repeat it then, or leave it to `resume`.

    A note is written first and taken back last, in the step that tells the outside world. So an
    erasure that was begun is finished by some process, and is told once.
    """

    def __init__(
        self,
        *,
        store: ErasureStore,
        pools: PoolStore,
        endpoints: Endpoints,
        clock: Callable[[], str] = str,
    ) -> None:
        self._store = store
        self._pools = pools
        self._endpoints = endpoints
        self._clock = clock

    async def erase(self, visitor_id: str) -> Erased:
        """End the visitor's leases and erase what names them. Safe to repeat.

        What is under way to a webhook endpoint is counted as `left`: it goes when it was taken.
        """
        await self._store.begin(visitor_id)
        done = Erased()
        for shard in self._pools.shards():
            pool_ids = await self._pools.ids(shard)
            for start in range(0, len(pool_ids), _AT_ONCE):
                part = pool_ids[start : start + _AT_ONCE]
                for each in await asyncio.gather(*(self._from(one, visitor_id) for one in part)):
                    done += each
        done += await self._store.from_histories(visitor_id)
        done += await self._store.from_callers(visitor_id)
        done += await self._store.from_calls(visitor_id)
        endpoint_ids = [endpoint.id for endpoint in await self._endpoints.all()]
        done += await self._store.from_outboxes(visitor_id, endpoint_ids)
        await self._store.end(visitor_id)
        return done

    async def resume(self) -> int:
        """Finish what other processes began and did not end; how many there were."""
        before_ms = instant_ms(self._clock) - ABANDONED_AFTER_MS
        visitors = await self._store.unfinished(before_ms=before_ms)
        for visitor_id in visitors:
            await self.erase(visitor_id)
        return len(visitors)

    async def run(self, stop: asyncio.Event, *, interval_s: float = 60.0) -> None:
        """Finish abandoned erasures until `stop` is set. A store that is away is waited for."""
        while not stop.is_set():
            try:
                finished = await self.resume()
            except StoreUnavailable:
                pass  # the sweeper says so
            except DniError as error:
                log.error("erasure.failed", code=error.code)  # noqa: TRY400 - no visitor in a stack
            else:
                if finished:
                    log.info("erasure.finished", abandoned=finished)
            await pause(stop, interval_s)

    async def _from(self, pool_id: str, visitor_id: str) -> Erased:
        try:
            pool = await self._pools.read(pool_id)
        except PoolUnknown:
            pool = None
        return await self._store.from_pool(pool_id, visitor_id, pool=pool)
