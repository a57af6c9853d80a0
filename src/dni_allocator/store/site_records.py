"""Records of sites in Redis."""

from dataclasses import asdict

import orjson

from dni_allocator.domain.errors import SiteUnknown
from dni_allocator.domain.old_key import OldKey
from dni_allocator.domain.site import Site
from dni_allocator.store.keys import SITES
from dni_allocator.store.replies import mapping
from dni_allocator.store.scripts import Execute


class SiteStore:
    """One round trip a call. Raises `StoreUnavailable`."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def put(self, site: Site) -> None:
        """Write a site over what was there. Idempotent."""
        await self._execute("HSET", SITES, site.id, orjson.dumps(asdict(site)))

    async def read(self, site_id: str) -> Site:
        """Read one site. Raises `SiteUnknown`."""
        record = await self._execute("HGET", SITES, site_id)
        if not isinstance(record, bytes):
            message = "There is no site with this id."
            raise SiteUnknown(message)
        return _read(record)

    async def all(self) -> list[Site]:
        """All sites, oldest first."""
        records = mapping(await self._execute("HGETALL", SITES))
        sites = [_read(record.encode()) for record in records.values()]
        return sorted(sites, key=lambda site: (site.created_at, site.id))

    async def delete(self, site_id: str) -> None:
        """Forget a site. Idempotent."""
        await self._execute("HDEL", SITES, site_id)


def _read(record: bytes) -> Site:
    told = orjson.loads(record)
    old_keys = tuple(OldKey(**each) for each in told.get("old_keys", ()))
    return Site(**{**told, "pool_ids": tuple(told["pool_ids"]), "old_keys": old_keys})
