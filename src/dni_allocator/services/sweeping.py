"""Housekeeping in the background: leases end on time even where nobody calls.

Every process sweeps; the scripts are idempotent, so two that meet cost a little and break nothing.
Without any sweeper `/assign` still reclaims for itself; only the `lease.ended` events come later.
"""

import asyncio
from collections.abc import Sequence

import structlog

from dni_allocator.domain.errors import PoolUnknown
from dni_allocator.domain.pool import LONGEST_WINDOW_S
from dni_allocator.metrics import Metrics
from dni_allocator.rounds import rounds
from dni_allocator.services.shelving import Shelving
from dni_allocator.store.directory import Directory, Entry, Role
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.policies import packed_policy
from dni_allocator.store.pools import PoolStore

log = structlog.get_logger(__name__)


class Sweeper:
    """Sweep every shard again and again."""

    def __init__(
        self,
        *,
        pools: PoolStore,
        leases: LeaseStore,
        directory: Directory,
        shelving: Shelving,
        metrics: Metrics | None = None,
        interval_s: float = 1.0,
    ) -> None:
        self._pools = pools
        self._leases = leases
        self._directory = directory
        self._shelving = shelving
        self._metrics = metrics
        self._interval_s = interval_s

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop` is set. A store that is away is waited for."""
        await rounds(self.sweep_once, stop, every_s=self._interval_s, name="sweeper")

    async def sweep_once(self) -> int:
        """Sweep what is due now in every shard; return how many leases ended."""
        ended = 0
        for shard in self._pools.shards():
            for pool_id in await self._leases.due_pools(shard):
                ended += await self._sweep_pool(pool_id)
        if self._metrics is not None:
            self._metrics.swept += ended
        return ended

    async def _sweep_pool(self, pool_id: str) -> int:
        policy = ""
        try:
            pool = await self._pools.read(pool_id)
        except PoolUnknown:
            window_ms = LONGEST_WINDOW_S * 1000
        else:
            window_ms, policy = pool.window_ms, packed_policy(pool.settings)
            if pool.unshelved:
                await self._shelving.reshelve(pool)
        ended = 0
        while True:
            swept = await self._leases.sweep(pool_id, window_ms=window_ms, policy=policy)
            ended += swept.ended
            if swept.drained:
                await self._tell_directory(pool_id, swept.drained, window_ms=window_ms)
            if not swept.more:
                return ended

    async def _tell_directory(
        self, pool_id: str, drained: Sequence[str], *, window_ms: int
    ) -> None:
        """Give up numbers that left when their lease ended.

        One of them may have been attached to the pool again while we looked: its claim was still
        there then, and is gone now. It is claimed again, or, if another pool was quicker, leaves.
        """
        entry = Entry(role=Role.INVENTORY, pool_id=pool_id)
        for number in drained:
            await self._directory.release(number, entry, answers_for_ms=window_ms)
        await self._leases.forget_drained(pool_id, drained)
        for number in await self._pools.present(pool_id, drained):
            if await self._directory.claim(number, entry) is not None:
                await self._pools.detach(pool_id, number, window_ms=window_ms, force=True)
