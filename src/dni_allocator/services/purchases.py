"""Orders of numbers as an operator handles them: place, look at, call off."""

from dataclasses import dataclass, replace

from dni_allocator.domain.errors import InvalidRequest, PurchaseClosed, PurchaseUnknown
from dni_allocator.domain.number import NumberType, calling_code_of, parse_number
from dni_allocator.domain.pool import Pool, PoolNumberType
from dni_allocator.domain.purchase import LineState, Purchase, given_up
from dni_allocator.domain.shop import Wanted
from dni_allocator.services.ids import new_record_token
from dni_allocator.services.ledger_pages import page_of
from dni_allocator.services.paging import Page
from dni_allocator.services.purchasing import Now, wall_clock
from dni_allocator.services.shops import Shops
from dni_allocator.store.ledger import Kept, Ledger, record_id
from dni_allocator.store.pools import PoolStore


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRequest:
    """What an order is made of. `vendor` "": the pool's."""

    pool_id: str
    wanted: Wanted
    quantity: int
    vendor: str = ""
    dry_run: bool = False
    origin: str = "operator"
    token: str = ""
    """Of the id; the same token for the same pool is the same order. Empty: a new one."""


class Purchases:
    """Raises `StoreUnavailable` throughout."""

    def __init__(
        self,
        *,
        ledger: Ledger[Purchase],
        pools: PoolStore,
        shops: Shops,
        now: Now = wall_clock,
    ) -> None:
        self._ledger = ledger
        self._pools = pools
        self._shops = shops
        self._now = now

    def check_vendor(self, name: str) -> None:
        """Raises `VendorUnknown`, `VendorNotConfigured`, `InvalidRequest` where none is named."""
        if not name:
            raise InvalidRequest.at("vendor", "Name a vendor, here or in the pool.")
        self._shops.get(name)

    async def place(self, request: PurchaseRequest) -> Purchase:
        """Write an order down; it is carried out in the background.

        With a `token` that is known already the order there is, if it is for the same. Raises
        `PoolUnknown`, `InvalidRequest` for what the pool cannot have, and as `check_vendor`;
        nothing is written then.
        """
        pool = await self._pools.read(request.pool_id)
        vendor = request.vendor or pool.settings.vendor or ""
        self.check_vendor(vendor)
        now_ms = self._now()
        purchase = Purchase(
            id=record_id("pur", pool.id, request.token or new_record_token()),
            pool_id=pool.id,
            vendor=vendor,
            wanted=checked(request.wanted, pool=pool),
            quantity=request.quantity,
            dry_run=request.dry_run,
            origin=request.origin,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        # First: with it the pool may have no room for a second.
        known = await self._ledger.read(purchase.id) if request.token else None
        if known is None:
            if not request.dry_run:
                await self._check_room(pool, request.quantity)
            known = await self._ledger.put(purchase, seen=None, look_at_ms=now_ms)
        if _wish(known.record) != _wish(purchase):
            raise InvalidRequest.at(
                "Idempotency-Key", "It was used for another order of this pool."
            )
        return known.record

    async def read(self, purchase_id: str) -> Purchase:
        """One order. Raises `PurchaseUnknown`."""
        return (await self._kept(purchase_id)).record

    async def page(
        self, *, cursor: str | None = None, limit: int, pool_id: str | None = None
    ) -> Page[Purchase]:
        """Some orders, newest first. Raises `InvalidRequest` for a cursor that is not ours."""
        return await page_of(self._ledger, cursor=cursor, limit=limit, pool_id=pool_id)

    async def cancel(self, purchase_id: str) -> Purchase:
        """Ask for nothing more; what the vendor was asked for is followed to the end.

        Raises `PurchaseUnknown`, `PurchaseClosed`, `EditConflict` while a step is under way.
        """
        kept = await self._kept(purchase_id)
        if kept.record.closed:
            message = "The order is closed."
            raise PurchaseClosed(message)
        now_ms = self._now()
        ended = replace(given_up(kept.record), updated_ms=now_ms)
        look_at = None if ended.closed else now_ms
        return (await self._ledger.put(ended, seen=kept, look_at_ms=look_at)).record

    async def on_order(self, pool_id: str) -> int:
        """How many numbers of a pool are ordered and not there yet."""
        return sum(
            max(0, kept.record.quantity - kept.record.count(LineState.ATTACHED))
            for kept in await self._ledger.open(pool_id)
            if not kept.record.dry_run
        )

    async def _kept(self, purchase_id: str) -> Kept[Purchase]:
        kept = await self._ledger.read(purchase_id)
        if kept is None:
            message = "There is no order with this id."
            raise PurchaseUnknown(message)
        return kept

    async def _check_room(self, pool: Pool, quantity: int) -> None:
        most = pool.settings.max_size
        if most is None:
            return
        size = (await self._pools.occupancy(pool.id)).attached + await self.on_order(pool.id)
        if size + quantity > most:
            raise InvalidRequest.at(
                "quantity", f"The pool has room for {max(0, most - size)} (max_size)."
            )


def _wish(purchase: Purchase) -> tuple[object, ...]:
    return purchase.vendor, purchase.wanted, purchase.quantity, purchase.dry_run, purchase.origin


def checked(wanted: Wanted, *, pool: Pool) -> Wanted:
    """The wishes in canonical form. Raises `InvalidRequest` naming the first that cannot be."""
    country = wanted.country.upper() or pool.settings.country
    code = calling_code_of(country)
    if code == 0 or code != calling_code_of(pool.settings.country):
        raise InvalidRequest.at("country", f"The pool has numbers of {pool.settings.country}.")
    digits = "".join(filter(str.isdigit, wanted.prefix))
    if wanted.prefix.startswith("+"):
        if not digits.startswith(str(code)):
            raise InvalidRequest.at("prefix", f"Not a prefix of {country}.")
        digits = digits.removeprefix(str(code))
    if wanted.area_code and digits and not digits.startswith(wanted.area_code):
        raise InvalidRequest.at("prefix", "Does not begin with area_code.")
    kind = {PoolNumberType.LOCAL: NumberType.LOCAL, PoolNumberType.TOLL_FREE: NumberType.TOLL_FREE}
    if wanted.type is not kind.get(pool.settings.number_type, wanted.type):
        raise InvalidRequest.at("type", f"The pool takes {pool.settings.number_type} numbers only.")
    near = wanted.near
    if near:
        near = parse_number(near, country=country).e164
    return replace(wanted, country=country, prefix=digits, near=near)
