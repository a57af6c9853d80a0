"""Make, edit and delete sites.

The record, what the key opens, and the pools lie in different places, so no step covers all. What
the key opens comes last when something is given and first when it is taken away. Every process
remembers what a key opens and is told by the revision of a pool: an edit raises those of the pools
that it touches.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from dni_allocator.domain.errors import EditConflict, PoolUnknown, SiteUnknown
from dni_allocator.domain.old_key import replaced
from dni_allocator.domain.site import Site
from dni_allocator.services.access import instant_ms
from dni_allocator.services.ids import new_site_id, new_site_key
from dni_allocator.services.pools import known_pools
from dni_allocator.store.directory import Directory
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.site_records import SiteStore


class SiteRecords:
    """Raises `SiteUnknown`, `StoreUnavailable`, and `InvalidRequest` for a pool it cannot find."""

    def __init__(
        self,
        *,
        sites: SiteStore,
        pools: PoolStore,
        directory: Directory,
        clock: Callable[[], str] = str,
    ) -> None:
        self._clock = clock
        self._sites = sites
        self._pools = pools
        self._directory = directory

    async def create(self, *, name: str, pool_ids: tuple[str, ...]) -> Site:
        """Make a site with a key of its own."""
        site = Site(
            id=new_site_id(),
            key=new_site_key(),
            name=name,
            pool_ids=await known_pools(pool_ids, pools=self._pools),
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )
        await self._sites.create(site)
        await self._open(site)
        return site

    async def read(self, site_id: str) -> Site:
        """Read one site."""
        return await self._sites.read(site_id)

    async def all(self) -> list[Site]:
        """All sites, oldest first."""
        return await self._sites.all()

    async def edit(
        self, site_id: str, *, name: str | None, pool_ids: tuple[str, ...] | None
    ) -> Site:
        """Change what is given. Leases in a pool that left the site run out by themselves.

        Raises `EditConflict` if somebody else edited it meanwhile.
        """
        site = await self._sites.read(site_id)
        edited = replace(
            site,
            name=site.name if name is None else name,
            pool_ids=site.pool_ids
            if pool_ids is None
            else await known_pools(pool_ids, pools=self._pools),
        )
        await self._sites.replace(site, edited)
        if edited.pool_ids != site.pool_ids:
            await self._open(edited)
            await self._tell_processes({*site.pool_ids, *edited.pool_ids})
        return edited

    async def rotate_key(self, site_id: str, *, overlap_s: int) -> Site:
        """Give the site a new publishable key; the one before works on for `overlap_s` seconds.

        The old key's time is set before the record is written, so that a crash in between leaves
        none that works for ever; repeat the rotation then. Raises `EditConflict` if somebody else
        edited the site meanwhile: then nothing has changed.
        """
        site = await self._sites.read(site_id)
        now_ms = instant_ms(self._clock)
        living, ended = replaced(site.key, site.old_keys, now_ms=now_ms, overlap_s=overlap_s)
        rotated = replace(site, key=new_site_key(), old_keys=living)
        await self._bind(rotated)
        for each in ended:
            await self._directory.unbind_key(each.key)
        try:
            await self._sites.replace(site, rotated)
        except (EditConflict, SiteUnknown):
            await self._directory.unbind_key(rotated.key)
            await self._open(site)
            raise
        await self._open(rotated)
        await self._tell_processes(site.pool_ids)
        return rotated

    async def delete(self, site_id: str) -> None:
        """Delete a site; its key opens nothing any more. The pools stay."""
        site = await self._sites.read(site_id)
        await self._close(site)
        await self._tell_processes(site.pool_ids)
        await self._sites.delete(site_id)
        # Once more: whoever edited it meanwhile has opened it again, and found the record there.
        await self._close(site)

    async def _open(self, site: Site) -> None:
        """Let the keys open what the record says, also one that was edited or deleted meanwhile."""
        while True:
            await self._bind(site)
            try:
                current = await self._sites.read(site.id)
            except SiteUnknown:
                await self._close(site)
                return
            if current == site:
                return
            site = current

    async def _close(self, site: Site) -> None:
        for key in (site.key, *(old.key for old in site.old_keys)):
            await self._directory.unbind_key(key)

    async def _bind(self, site: Site) -> None:
        await self._directory.bind_key(site.key, *site.pool_ids, site_id=site.id)
        now_ms = instant_ms(self._clock)
        for old in site.old_keys:
            await self._directory.retire_key(
                old.key, *site.pool_ids, site_id=site.id, for_ms=old.until_ms - now_ms
            )

    async def _tell_processes(self, pool_ids: Iterable[str]) -> None:
        """Raise the pools' revisions: whoever remembers them reads anew what the key opens."""
        for pool_id in pool_ids:
            try:
                await self._pools.edit(await self._pools.read(pool_id))
            except (PoolUnknown, EditConflict):
                # Gone, or edited by somebody else this moment: they will be read anew either way.
                continue
