"""Records of sites in Redis."""

from dni_allocator.domain.errors import EditConflict, SiteUnknown
from dni_allocator.domain.site import Site
from dni_allocator.store.keys import SITES
from dni_allocator.store.records import Edited, edit_record
from dni_allocator.store.replies import mapping
from dni_allocator.store.scripts import Execute


class SiteStore:
    """One round trip a call. Raises `StoreUnavailable`."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def create(self, site: Site) -> None:
        """Store a new site. Safe to repeat."""
        await self._execute("HSET", SITES, site.id, site.to_json())

    async def replace(self, seen: Site, wanted: Site) -> None:
        """Write an edited site over the one the editor has read. Safe to repeat.

        Raises `EditConflict`, `SiteUnknown`.
        """
        edited = await edit_record(
            self._execute, SITES, seen=seen, wanted=wanted, read=Site.from_json
        )
        if edited is Edited.GONE:
            raise SiteUnknown("The site was deleted meanwhile.")
        if edited is Edited.CONFLICT:
            raise EditConflict("The site was edited meanwhile.")

    async def read(self, site_id: str) -> Site:
        """Read one site. Raises `SiteUnknown`."""
        record = await self._execute("HGET", SITES, site_id)
        if not isinstance(record, bytes):
            message = "There is no site with this id."
            raise SiteUnknown(message)
        return Site.from_json(record)

    async def all(self) -> list[Site]:
        """All sites, oldest first."""
        records = mapping(await self._execute("HGETALL", SITES))
        sites = [Site.from_json(record) for record in records.values()]
        return sorted(sites, key=lambda site: (site.created_at, site.id))

    async def delete(self, site_id: str) -> None:
        """Forget a site. Idempotent."""
        await self._execute("HDEL", SITES, site_id)
