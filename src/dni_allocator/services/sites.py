"""Which pools a publishable key opens, remembered in this process.

A remembered pool is never trusted blindly: every script compares its revision, so an edit, a
deletion or a revoked key takes effect on the very next call, in every process.
"""

from collections import OrderedDict
from collections.abc import Callable

from dni_allocator.domain.errors import OriginNotAllowed, PoolUnknown, StoreUnavailable, UnknownKey
from dni_allocator.domain.pool import Pool
from dni_allocator.services.access import instant_ms
from dni_allocator.store.directory import Directory
from dni_allocator.store.pools import PoolStore

MOST_REMEMBERED = 20_000
"""1.2 kB a pool (tracemalloc), 23 MB at most; the pools that are asked for stay."""

MOST_TRIES = 5
"""An edit between reading and using a pool is met once in a blue moon; five in a row never."""


class Sites:
    """Pools by publishable key: a pool's own key opens that pool, a site's key several."""

    def __init__(
        self, *, directory: Directory, pools: PoolStore, clock: Callable[[], str] = str
    ) -> None:
        self._directory = directory
        self._pools = pools
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[Pool, ...]] = OrderedDict()

    def known(self, site_key: str, origin: str | None) -> tuple[Pool, ...] | None:
        """The remembered pools of a key, if they allow a page of `origin`; None: ask `pools`.

        They may have been edited since: their revision is for the script to compare. When the
        script says so, call `forget`, and then `pools`. A pool that does not allow the page is
        asked nothing, so nobody would tell: unless all of them do, they are read anew.
        """
        pools = self._remembered.get(site_key)
        if pools is None:
            return None
        self._remembered.move_to_end(site_key)
        if origin is None or (len(pools) == 1 and pools[0].allows_origin(origin)):
            return pools
        return pools if len(_allowing(pools, origin)) == len(pools) else None

    async def pools(self, site_key: str, *, origin: str | None, tries: int = 0) -> tuple[Pool, ...]:
        """The pools of a key, read now, for a page of `origin`; None for what is no browser.

        Never empty. `tries`: how often a script has found a pool edited meanwhile. Raises
        `UnknownKey`, `OriginNotAllowed`, and `StoreUnavailable` after too many tries.
        """
        if tries >= MOST_TRIES:
            message = "The pool is being edited all the time."
            raise StoreUnavailable(message)
        pools = await self.read(site_key)
        allowed = pools if origin is None else _allowing(pools, origin)
        if not allowed:
            message = "Pages of this origin may not use the key; add it to allowed_origins."
            raise OriginNotAllowed(message)
        return allowed

    def forget(self, site_key: str) -> None:
        """Read this key anew the next time."""
        self._remembered.pop(site_key, None)

    async def read(self, site_key: str) -> tuple[Pool, ...]:
        """The pools of a key, read afresh. Raises `UnknownKey`, `StoreUnavailable`.

        A replaced key that works for a while yet is not remembered: no revision would tell when
        its time is over. Its pages cost two more reads each until then.
        """
        self.forget(site_key)
        opened = await self._directory.opened_by(site_key)
        if opened is None:
            message = "No pool has this publishable key."
            raise UnknownKey(message)
        found, replaced = [], opened.retired
        for pool_id in opened.pool_ids:
            try:
                pool = await self._pools.read(pool_id)
            except PoolUnknown:
                continue
            if opened.site_id is None and pool.key != site_key:
                now_ms = instant_ms(self._clock)
                if not any(o.key == site_key and o.until_ms > now_ms for o in pool.old_keys):
                    message = "This publishable key was replaced by another."
                    raise UnknownKey(message)
                replaced = True
            found.append(pool)
        if not found:
            message = "The pool of this publishable key was deleted."
            raise UnknownKey(message)
        pools = tuple(found)
        if replaced:
            return pools
        self._remembered[site_key] = pools
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return pools


def _allowing(pools: tuple[Pool, ...], origin: str) -> tuple[Pool, ...]:
    return tuple(pool for pool in pools if pool.allows_origin(origin))
