"""Give numbers back: to rest, out of the pool, out of the vendor's account; a step at a time.

The order of things keeps calls safe: nobody is given the number any more, then its visitor leaves,
then the pool forgets it, and only then the vendor is asked. A step can be the last of this process.
"""

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import orjson

from dni_allocator.domain.errors import (
    EditConflict,
    InvalidRequest,
    NumberUnknown,
    PoolUnknown,
    PurchaseClosed,
    PurchaseUnknown,
    VendorNotConfigured,
    VendorRefused,
    VendorUnavailable,
    VendorUnknown,
)
from dni_allocator.domain.release import Release, ReleaseState
from dni_allocator.services.ids import new_record_token
from dni_allocator.services.inventory import Inventory
from dni_allocator.services.ledger_pages import page_of
from dni_allocator.services.paging import Page
from dni_allocator.services.purchasing import Now, month_of, wall_clock
from dni_allocator.services.shops import Shops
from dni_allocator.store.directory import Directory, Role
from dni_allocator.store.ledger import Charge, Kept, Ledger, record_id
from dni_allocator.store.pools import Detached, PoolStore
from dni_allocator.store.shelves import ShelfStore

_MOST_REFUSALS = 5
"""A vendor that says no so often means it; an operator must look."""


class Releasing:
    """Raises `StoreUnavailable`; what a vendor does is in the record."""

    def __init__(
        self,
        *,
        ledger: Ledger[Release],
        shops: Shops,
        inventory: Inventory,
        pools: PoolStore,
        shelves: ShelfStore,
        directory: Directory,
        now: Now = wall_clock,
    ) -> None:
        self._ledger = ledger
        self._shops = shops
        self._inventory = inventory
        self._pools = pools
        self._shelves = shelves
        self._directory = directory
        self._now = now

    async def begin(
        self,
        pool_id: str,
        number: str,
        *,
        rest_s: int,
        vendor: str = "",
        origin: str = "operator",
        token: str = "",
    ) -> Release:
        """Let a number rest for `rest_s` seconds, then give it back to its vendor.

        Raises `PoolUnknown`, `NumberUnknown`, `InvalidRequest` where nobody knows the vendor, and
        `VendorUnknown`, `VendorNotConfigured`.
        """
        pool = await self._pools.read(pool_id)
        found = await self._pools.number(pool_id, number)
        if found is None:
            message = "The pool does not have this number."
            raise NumberUnknown(message)
        facts = orjson.loads(found.facts) if found.facts else {}
        name = vendor or str(facts.get("vendor") or pool.settings.vendor or "")
        if not name:
            raise InvalidRequest.at("vendor", "Nobody said which vendor the number is of.")
        self._shops.get(name)
        for kept in await self._ledger.open(pool_id):
            if kept.record.number == number:
                return kept.record
        now_ms = self._now()
        release = Release(
            id=record_id("rel", pool_id, token or new_record_token()),
            pool_id=pool_id,
            vendor=name,
            number=number,
            created_ms=now_ms,
            updated_ms=now_ms,
            due_ms=now_ms + rest_s * 1000,
            monthly=str(facts.get("monthly_cost") or ""),
            currency=str(facts.get("currency") or ""),
            origin=origin,
        )
        # The record first: a number that rests for ever because of a crash would be lost money.
        kept = await self._ledger.put(release, seen=None, look_at_ms=release.due_ms)
        await self._shelves.quarantine(
            pool_id, number, until_ms=None, reason=f"release {release.id}"
        )
        return kept.record

    async def read(self, release_id: str) -> Release:
        """One release. Raises `PurchaseUnknown`."""
        return (await self._kept(release_id)).record

    async def page(
        self, *, cursor: str | None = None, limit: int, pool_id: str | None = None
    ) -> Page[Release]:
        """Some releases, newest first. Raises `InvalidRequest` for a cursor that is not ours."""
        return await page_of(self._ledger, cursor=cursor, limit=limit, pool_id=pool_id)

    async def open(self, pool_id: str) -> list[Release]:
        """Releases of a pool that are under way."""
        return [kept.record for kept in await self._ledger.open(pool_id)]

    async def cancel(self, release_id: str) -> Release:
        """Call a rest off: the number serves on. Raises `PurchaseClosed` once it is leaving."""
        kept = await self._kept(release_id)
        if kept.record.state is not ReleaseState.RESTING:
            message = "The number is leaving already, or has left."
            raise PurchaseClosed(message)
        ended = replace(kept.record, state=ReleaseState.CANCELLED, updated_ms=self._now())
        kept = await self._ledger.put(ended, seen=kept, look_at_ms=None)
        with suppress(PoolUnknown):
            await self._shelves.acquit(ended.pool_id, ended.number)
        return kept.record

    async def step(self, release_id: str) -> bool:
        """Do what is due next; whether there is more to do at once. Safe to repeat."""
        kept = await self._ledger.read(release_id)
        if kept is None or kept.record.closed:
            return False
        try:
            match kept.record.state:
                case ReleaseState.RESTING:
                    await self._write(replace(kept.record, state=ReleaseState.LEAVING), kept)
                    return True
                case ReleaseState.LEAVING:
                    return await self._leave(kept)
                case _:
                    return await self._give_back(kept)
        except EditConflict:
            return True

    async def _leave(self, kept: Kept[Release]) -> bool:
        release = kept.record
        try:
            outcome = await self._inventory.detach(release.pool_id, release.number, force=False)
        except (NumberUnknown, PoolUnknown):
            outcome = Detached.ABSENT
        if outcome is Detached.DRAINING:
            await self._write(release, kept, wait=True)
            return False
        await self._write(replace(release, state=ReleaseState.RELEASING, tries=0), kept)
        return True

    async def _give_back(self, kept: Kept[Release]) -> bool:
        release = kept.record
        entry = await self._directory.find(release.number)
        if entry is not None and entry.role is not Role.FORMER:
            # Somebody attached it again, here or elsewhere: it is needed.
            ended = replace(release, state=ReleaseState.CANCELLED, problem="attached_again")
            await self._write(ended, kept)
            return False
        try:
            await self._shops.get(release.vendor).release(release.number)
        except (VendorUnavailable, VendorNotConfigured, VendorUnknown) as error:
            later = replace(release, tries=release.tries + 1, problem=error.code)
            await self._write(later, kept, wait=True)
            return False
        except VendorRefused as error:
            later = replace(release, tries=release.tries + 1, problem=error.code)
            if later.tries >= _MOST_REFUSALS:
                later = replace(later, state=ReleaseState.FAILED)
            await self._write(later, kept, wait=True)
            return False
        rent = Decimal(release.monthly or 0)
        charge = Charge(month=month_of(self._now()), held=-rent, released=rent)
        done = replace(release, state=ReleaseState.DONE, problem="")
        await self._write(done, kept, charge=charge)
        return False

    async def _kept(self, release_id: str) -> Kept[Release]:
        kept = await self._ledger.read(release_id)
        if kept is None:
            message = "There is no release with this id."
            raise PurchaseUnknown(message)
        return kept

    async def _write(
        self,
        release: Release,
        kept: Kept[Release],
        *,
        wait: bool = False,
        charge: Charge | None = None,
    ) -> None:
        now_ms = self._now()
        look_at = None if release.closed else now_ms + (release.waits() if wait else 0)
        release = replace(release, updated_ms=now_ms)
        await self._ledger.put(release, seen=kept, look_at_ms=look_at, charge=charge)
