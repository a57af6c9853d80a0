"""Carry out orders of numbers, a step at a time; each step can be the last of this process.

The rule that buys nothing twice: what a vendor is about to be asked is written down first. Whoever
takes an order up and finds a question without an answer looks at what the vendor has under the
order's id before asking again, and asks for the same number, which is sold only once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from dni_allocator.domain.errors import (
    EditConflict,
    PoolUnknown,
    VendorNotConfigured,
    VendorRefused,
    VendorUnavailable,
    VendorUnknown,
)
from dni_allocator.domain.moment import moment
from dni_allocator.domain.purchase import (
    Line,
    LineState,
    Purchase,
    PurchaseState,
    answered,
    asked,
    attached,
    chosen,
    cost_of,
    gave_up_waiting,
    onward,
    settled,
)
from dni_allocator.domain.shop import Holding, Offer, Shop, Standing
from dni_allocator.services.inventory import Inventory, NumberRow, objection_to
from dni_allocator.services.shops import Shops
from dni_allocator.store.directory import Directory, Role
from dni_allocator.store.ledger import Charge, Kept, Ledger
from dni_allocator.store.pools import PoolStore

log = structlog.get_logger(__name__)

Now = Callable[[], int]

_MOST_OFFERS = 1_000
_AT_ONCE = 20
"""Numbers a vendor is asked for in one step, so that no step takes long."""


def wall_clock() -> int:
    """Now, ms since 1970."""
    return time.time_ns() // 1_000_000


def month_of(now_ms: int) -> str:
    """The calendar month, UTC, such as `2026-11`."""
    return f"{moment(now_ms):%Y-%m}"


class Purchasing:
    """Raises `StoreUnavailable`; what a vendor does is in the order, not an exception."""

    def __init__(
        self,
        *,
        ledger: Ledger[Purchase],
        shops: Shops,
        inventory: Inventory,
        pools: PoolStore,
        directory: Directory,
        now: Now = wall_clock,
    ) -> None:
        self._ledger = ledger
        self._shops = shops
        self._inventory = inventory
        self._pools = pools
        self._directory = directory
        self._now = now

    async def step(self, purchase_id: str) -> bool:
        """Do what is due next for an order; whether there is more to do at once. Safe to repeat."""
        kept = await self._ledger.read(purchase_id)
        if kept is None or kept.record.closed:
            return False
        try:
            following = await self._step(kept)
        except EditConflict:
            return True  # somebody else was at it: look again
        purchase = following.record
        return not purchase.closed and purchase.waits(self._now()) == 0

    async def _step(self, kept: Kept[Purchase]) -> Kept[Purchase]:
        purchase = kept.record
        try:
            shop = self._shops.get(purchase.vendor)
            if purchase.state is PurchaseState.SEARCHING:
                return await self._search(kept, shop)
            return await self._pursue(kept, shop)
        except (VendorUnavailable, VendorNotConfigured, VendorUnknown) as error:
            return await self._postpone(purchase_id=purchase.id, problem=error.code)
        except VendorRefused as error:
            return await self._refused(purchase_id=purchase.id, problem=error.code)

    async def _search(self, kept: Kept[Purchase], shop: Shop) -> Kept[Purchase]:
        purchase = kept.record
        limit = min(_MOST_OFFERS, 2 * purchase.missing + len(purchase.lines) + 10)
        offers = await shop.search(purchase.wanted, limit=limit)
        taken = await self._not_for(purchase.pool_id, offers)
        picked = chosen(replace(purchase, tries=0, problem=""), offers, taken=taken)
        return await self._write(picked, kept)

    async def _pursue(self, kept: Kept[Purchase], shop: Shop) -> Kept[Purchase]:
        """Look at what is open, ask for what is not decided, attach what was bought."""
        purchase = kept.record
        if purchase.count(LineState.ASKED, LineState.PENDING):
            holdings = await shop.look_up(purchase.id)
            purchase = answered(purchase, holdings, now_ms=self._now())
            purchase = gave_up_waiting(purchase, now_ms=self._now())
            if purchase.cancelling:
                purchase = settled(purchase, now_ms=self._now())
        wanted = [
            line.number
            for line in purchase.lines
            if line.state in {LineState.CHOSEN, LineState.ASKED} and not purchase.cancelling
        ][:_AT_ONCE]
        if wanted:
            purchase = asked(purchase, wanted, now_ms=self._now())
            kept = await self._write(purchase, kept, look_at_ms=self._now())
            holdings = await _order(shop, wanted, reference=purchase.id)
            purchase = answered(purchase, holdings, now_ms=self._now())
            # Once more before anything else can go wrong: it is money.
            kept = await self._write(purchase, kept, look_at_ms=self._now())
        charge = None
        if purchase.count(LineState.BOUGHT):
            purchase, charge = await self._attach(purchase)
        open_questions = purchase.count(LineState.ASKED)
        purchase = replace(
            purchase,
            tries=purchase.tries + 1 if open_questions else 0,
            problem="" if purchase.problem.startswith("vendor-") else purchase.problem,
        )
        return await self._write(onward(purchase), kept, charge=charge)

    async def _attach(self, purchase: Purchase) -> tuple[Purchase, Charge]:
        bought = [line for line in purchase.lines if line.state is LineState.BOUGHT]
        rows = [NumberRow(line.number, _facts(line, purchase)) for line in bought]
        try:
            result = await self._inventory.attach(purchase.pool_id, rows, all_or_nothing=False)
            rejected = {row.number: row.code for row in result.rejected}
        except PoolUnknown as error:
            rejected = {line.number: error.code for line in bought}
        if rejected:
            log.warning("purchase.rejected", purchase=purchase.id, numbers=len(rejected))
        monthly, upfront = cost_of(bought)
        charge = Charge(month=month_of(self._now()), held=monthly, upfront=upfront)
        return attached(purchase, rejected), charge

    async def _not_for(self, pool_id: str, offers: Sequence[Offer]) -> frozenset[str]:
        """Offers the pool cannot have, so that nobody pays for them."""
        try:
            pool = await self._pools.read(pool_id)
        except PoolUnknown:
            return frozenset(offer.number for offer in offers)
        offered = [offer.number for offer in offers]
        entries = await self._directory.find_all(offered)
        return frozenset(
            number
            for number, entry in zip(offered, entries, strict=True)
            if objection_to(number, pool=pool) is not None
            or (entry is not None and entry.role is not Role.FORMER)
        )

    async def _postpone(self, *, purchase_id: str, problem: str) -> Kept[Purchase]:
        kept = await self._again(purchase_id)
        purchase = replace(kept.record, tries=kept.record.tries + 1, problem=problem)
        log.warning("purchase.postponed", purchase=purchase_id, problem=problem)
        return await self._write(purchase, kept)

    async def _refused(self, *, purchase_id: str, problem: str) -> Kept[Purchase]:
        """End an order that has asked for nothing yet; with others an operator may mend it."""
        kept = await self._again(purchase_id)
        if kept.record.count(LineState.ASKED, LineState.PENDING, LineState.BOUGHT):
            return await self._postpone(purchase_id=purchase_id, problem=problem)
        kept_lines = tuple(line for line in kept.record.lines if line.state is not LineState.CHOSEN)
        purchase = replace(kept.record, lines=kept_lines, problem=problem, cancelling=True)
        ended = replace(onward(purchase), cancelling=False)
        if ended.state is PurchaseState.CANCELLED:
            ended = replace(ended, state=PurchaseState.FAILED)
        return await self._write(ended, kept)

    async def _again(self, purchase_id: str) -> Kept[Purchase]:
        kept = await self._ledger.read(purchase_id)
        if kept is None or kept.record.closed:
            message = "The order was closed meanwhile."
            raise EditConflict(message)
        return kept

    async def _write(
        self,
        purchase: Purchase,
        kept: Kept[Purchase],
        *,
        look_at_ms: int | None = None,
        charge: Charge | None = None,
    ) -> Kept[Purchase]:
        now_ms = self._now()
        purchase = replace(purchase, updated_ms=now_ms)
        if purchase.closed:
            log.info("purchase.ended", purchase=purchase.id, state=purchase.state.value)
            return await self._ledger.put(
                purchase, seen=kept, look_at_ms=None, charge=charge, event=_event(purchase)
            )
        if look_at_ms is None:
            look_at_ms = now_ms + purchase.waits(now_ms)
        return await self._ledger.put(purchase, seen=kept, look_at_ms=look_at_ms, charge=charge)


async def _order(shop: Shop, numbers: Sequence[str], *, reference: str) -> list[Holding]:
    """Order; numbers of which nothing is said stay in doubt, whatever went wrong."""
    try:
        holdings = list(await shop.order(numbers, reference=reference))
    except (VendorUnavailable, VendorRefused):
        holdings = []
    told = {holding.number for holding in holdings}
    return holdings + [
        Holding(number, Standing.UNKNOWN, reference=reference)
        for number in numbers
        if number not in told
    ]


def _facts(line: Line, purchase: Purchase) -> dict[str, object]:
    return {
        **line.facts,
        "vendor": purchase.vendor,
        "purchase_id": purchase.id,
        "monthly_cost": line.monthly or None,
        "currency": line.currency or None,
    }


def _event(purchase: Purchase) -> dict[str, str]:
    told = {
        "t": "purchase.ended",
        "p": purchase.pool_id,
        "r": purchase.state.value,
        "purchase_id": purchase.id,
        "vendor": purchase.vendor,
        "quantity": str(purchase.quantity),
        "attached": str(purchase.count(LineState.ATTACHED)),
        "problem": purchase.problem,
    }
    return {name: value for name, value in told.items() if value}
