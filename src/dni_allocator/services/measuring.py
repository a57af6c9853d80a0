"""What lies in the store, measured for whoever scrapes the metrics.

Nobody pays for it but the scrape: between scrapes nothing is read, and one that comes soon after
another, or after a long reading, is answered with what the one before found.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dni_allocator.domain.errors import DniError
from dni_allocator.metrics import Metrics, ServerGauges, StoreGauges
from dni_allocator.services.purchasing import month_of
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.examining import Examination
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.upkeep import UpkeepStore

FRESH_S: Final = 5.0
_REST: Final = 20
"""A reading is followed by a rest of so many times its length: 5 % of a process at most."""


class Measuring:
    """Fills the gauges of `metrics`. A store that is away is one of the findings, not an error."""

    def __init__(
        self,
        *,
        examination: Examination,
        pools: PoolStore,
        upkeep: UpkeepStore,
        endpoints: Endpoints,
        metrics: Metrics,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._examination = examination
        self._pools = pools
        self._upkeep = upkeep
        self._endpoints = endpoints
        self._metrics = metrics
        self._clock_s = clock_s
        self._good_until = float("-inf")
        self._turn = asyncio.Lock()

    async def measure(self) -> None:
        """Read what is not known well enough any more. O(pools), in small reads."""
        async with self._turn:
            began = self._clock_s()
            try:
                before = time.time()
                server_s = await self._examination.now_ms() / 1000
                skew_s = server_s - (before + time.time()) / 2
                self._metrics.store_up = True
                if began >= self._good_until:
                    self._metrics.store = await self._read(skew_s)
                    took = self._clock_s() - began
                    self._good_until = self._clock_s() + max(FRESH_S, _REST * took)
            except DniError:
                # Old figures would look as if all were well.
                self._metrics.store_up = False
                self._metrics.store = None
                self._good_until = float("-inf")

    async def _read(self, skew_s: float) -> StoreGauges:
        numbers: dict[tuple[str, str], int] = {}
        conflicts: dict[tuple[str], int] = {}
        for shard in self._pools.shards():
            for pool_id in await self._pools.ids(shard):
                found = await self._pools.occupancy(pool_id)
                numbers[pool_id, "free"] = found.free
                numbers[pool_id, "leased"] = found.leased
                numbers[pool_id, "quarantined"] = found.resting
                conflicts[(pool_id,)] = found.totals.get("conflicts", 0)
        budget_used: dict[str, float] = {}
        spent: dict[tuple[str, str], float] = {}
        month = month_of(int(time.time() * 1000))
        for pool_id in await self._upkeep.scaled():
            upkeep = await self._upkeep.read(pool_id, month=month)
            if upkeep.rules is None:
                continue
            spent[pool_id, upkeep.rules.wanted.currency] = float(upkeep.spending.total)
            if upkeep.rules.budget_per_month:
                share = upkeep.spending.total / upkeep.rules.budget_per_month
                budget_used[pool_id] = float(share)
        # Those a person switched off need nobody's attention; those that failed do.
        states = Counter({"active": 0, "disabled": 0, "failed": 0})
        states.update(
            "failed" if each.disabled_reason in {"gone", "failing"} else each.state
            for each in await self._endpoints.all()
        )
        return StoreGauges(
            server=server_gauges(await self._examination.nodes(), skew_s=skew_s),
            numbers=numbers,
            endpoints={(state,): count for state, count in states.items()},
            conflicts=conflicts,
            budget_used=budget_used,
            spent=spent,
        )


def server_gauges(nodes: Mapping[str, Mapping[str, str]], *, skew_s: float) -> ServerGauges:
    """The worst that any node tells of itself."""

    def told(name: str, default: str) -> Iterator[str]:
        return (info.get(name, default) for info in nodes.values())

    writes = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
    return ServerGauges(
        persists=all(each == "1" for each in told("aof_enabled", "0")),
        writes_well=all(each == "ok" for name in writes for each in told(name, "ok")),
        evicts=any(each != "noeviction" for each in told("maxmemory_policy", "noeviction")),
        replicas=min((int(each) for each in told("connected_slaves", "0")), default=0),
        used_bytes=max((int(each) for each in told("used_memory", "0")), default=0),
        limit_bytes=max((int(each) for each in told("maxmemory", "0")), default=0),
        clock_skew_s=skew_s,
    )
