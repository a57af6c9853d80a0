"""What to do about the size of a pool this moment, by all that is known of it. Changes nothing."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

import orjson

from dni_allocator.domain.errors import DniError, StoreUnavailable
from dni_allocator.domain.history import HOUR_MS, MINUTE_MS, Resolution, joined
from dni_allocator.domain.pool import Pool
from dni_allocator.domain.release import ReleaseState
from dni_allocator.domain.scaling import (
    WEEK_MS,
    Action,
    Decision,
    DecisionState,
    Picture,
    ScalingRules,
    Verdict,
    decide,
)
from dni_allocator.services.purchases import Purchases
from dni_allocator.services.purchasing import Now
from dni_allocator.services.releasing import Releasing
from dni_allocator.services.shops import Shops
from dni_allocator.store.history import HistoryStore
from dni_allocator.store.ledger import Ledger
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.upkeep import Upkeep

RECENT_MS: Final = 60 * MINUTE_MS
"""How far back the present load is taken from: less, and chance would be taken for a trend."""

_SCAN: Final = 1_000


class Judge:
    """Raises `StoreUnavailable` throughout."""

    def __init__(
        self,
        *,
        ledger: Ledger[Decision],
        pools: PoolStore,
        history: HistoryStore,
        purchases: Purchases,
        releasing: Releasing,
        shops: Shops,
        now: Now,
    ) -> None:
        self._ledger = ledger
        self._pools = pools
        self._history = history
        self._purchases = purchases
        self._releasing = releasing
        self._shops = shops
        self._now = now

    async def verdict(self, pool: Pool, upkeep: Upkeep, rules: ScalingRules) -> Verdict:
        """What to do about a pool this moment."""
        picture = await self._picture(pool, upkeep)
        verdict = decide(picture, rules)
        if verdict.action is Action.SHRINK:
            # Only now: which numbers may go takes a look at all of them.
            releasable = len(await self.releasable(pool.id))
            return decide(replace(picture, releasable=releasable), rules)
        if verdict.reasons and rules.budget_per_month is not None and picture.unit is None:
            unit = await self._price(pool, rules)
            verdict = decide(replace(picture, unit=unit), rules)
        return verdict

    async def _picture(self, pool: Pool, upkeep: Upkeep) -> Picture:
        now_ms = self._now()
        occupancy = await self._pools.occupancy(pool.id)
        recent = await self._history.buckets(
            pool.id, Resolution.MINUTE, start_ms=now_ms - RECENT_MS, end_ms=now_ms + 1
        )
        hours = await self._history.buckets(
            pool.id,
            Resolution.HOUR,
            start_ms=(now_ms - WEEK_MS - 24 * HOUR_MS) // HOUR_MS * HOUR_MS,
            end_ms=now_ms + 1,
        )
        grew = await self.last(upkeep, "grow")
        shrank = await self.last(upkeep, "shrink")
        resting = [
            each
            for each in await self._releasing.open(pool.id)
            if each.state is ReleaseState.RESTING and each.origin.startswith("dec_")
        ]
        return Picture(
            now_ms=now_ms,
            attached=occupancy.attached,
            leased=occupancy.leased,
            quarantined=occupancy.resting,
            resting=len(resting),
            on_order=await self._purchases.on_order(pool.id),
            releasable=occupancy.free,
            recent=joined(recent.values()),
            hours=hours,
            least=pool.settings.min_size or 0,
            most=pool.settings.max_size,
            spending=upkeep.spending,
            grew_ms=_when_applied(grew),
            shrank_ms=_when_applied(shrank),
        )

    async def _price(self, pool: Pool, rules: ScalingRules) -> Decimal | None:
        """What the first number in stock costs in its first month; None: nobody says."""
        vendor = rules.vendor or pool.settings.vendor or ""
        try:
            offers = await self._shops.get(vendor).search(rules.wanted, limit=1)
        except StoreUnavailable:
            raise
        except DniError:
            return None
        price = offers[0].price if offers else None
        if price is None or price.currency != rules.wanted.currency:
            return None  # the budget is in the currency of the wishes
        return price.monthly + price.upfront

    async def releasable(self, pool_id: str) -> list[str]:
        """Numbers that were bought by an order and lie free now. O(numbers)."""
        found, cursor = [], "0"
        while True:
            rows, cursor = await self._pools.inventory(pool_id, cursor=cursor, limit=_SCAN)
            for row in rows:
                bought = row.facts and "purchase_id" in orjson.loads(row.facts)
                if bought and not row.state and row.deadline_ms is None:
                    found.append(row.number)
            if cursor == "0":
                return sorted(set(found), reverse=True)

    async def last(self, upkeep: Upkeep, kind: str) -> Decision | None:
        """The last decision of a kind that is on record."""
        decision_id = upkeep.latest.get(kind)
        kept = None if decision_id is None else await self._ledger.read(decision_id)
        return None if kept is None else kept.record


def _when_applied(decision: Decision | None) -> int | None:
    if decision is None or decision.state not in {DecisionState.APPLIED, DecisionState.APPROVED}:
        return None
    return decision.created_ms
