"""Which pool a publishable key opens, remembered in this process.

A remembered pool is never trusted blindly: every script compares its revision, so an edit, a
deletion or a revoked key takes effect on the very next call, in every process.
"""

from collections import OrderedDict

from dni_allocator.domain.errors import OriginNotAllowed, PoolUnknown, StoreUnavailable, UnknownKey
from dni_allocator.domain.pool import Pool
from dni_allocator.store.directory import Directory
from dni_allocator.store.pools import PoolStore

MOST_REMEMBERED = 20_000
"""0.7 kB a pool (tracemalloc), 14 MB at most; the pools that are asked for stay."""

MOST_TRIES = 5
"""An edit between reading and using a pool is met once in a blue moon; five in a row never."""


class Sites:
    """Pools by publishable key."""

    def __init__(self, *, directory: Directory, pools: PoolStore) -> None:
        self._directory = directory
        self._pools = pools
        self._remembered: OrderedDict[str, Pool] = OrderedDict()

    def known(self, site_key: str, origin: str | None) -> Pool | None:
        """The remembered pool of a key, if it allows a page of `origin`; None: ask `pool`.

        It may have been edited since: its revision is for the script to compare. When the script
        says so, call `forget`, and then `pool`.
        """
        pool = self._remembered.get(site_key)
        if pool is None or (origin is not None and not pool.allows_origin(origin)):
            return None
        self._remembered.move_to_end(site_key)
        return pool

    async def pool(self, site_key: str, *, origin: str | None, tries: int = 0) -> Pool:
        """The pool of a key, read now, for a page of `origin`; None for a caller without a browser.

        `tries`: how often a script has found the pool edited meanwhile. Raises `UnknownKey`,
        `OriginNotAllowed`, and `StoreUnavailable` after too many tries.
        """
        if tries >= MOST_TRIES:
            message = "The pool is being edited all the time."
            raise StoreUnavailable(message)
        pool = await self.read(site_key)
        if origin is not None and not pool.allows_origin(origin):
            message = "Pages of this origin may not use the key; add it to allowed_origins."
            raise OriginNotAllowed(message)
        return pool

    def forget(self, site_key: str) -> None:
        """Read this pool anew the next time."""
        self._remembered.pop(site_key, None)

    async def read(self, site_key: str) -> Pool:
        """The pool of a key, read afresh. Raises `UnknownKey`, `StoreUnavailable`."""
        self.forget(site_key)
        pool_id = await self._directory.pool_of_key(site_key)
        if pool_id is None:
            message = "No pool has this publishable key."
            raise UnknownKey(message)
        try:
            pool = await self._pools.read(pool_id)
        except PoolUnknown as error:
            message = "The pool of this publishable key was deleted."
            raise UnknownKey(message) from error
        if pool.key != site_key:
            message = "This publishable key was replaced by another."
            raise UnknownKey(message)
        self._remembered[site_key] = pool
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return pool
