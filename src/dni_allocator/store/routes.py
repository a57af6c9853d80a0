"""Which numbers a pool has, and where the calls of those who had them last belong. Reads only."""

from collections.abc import AsyncIterator
from typing import Final

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.replies import count, mapping
from dni_allocator.store.shards import Shards

_AT_ONCE: Final = 1_000


class RouteStore:
    """Raises `StoreUnavailable` throughout."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def numbers(self, pool_id: str) -> AsyncIterator[list[str]]:
        """The inventory, about 1,000 at a time; some perhaps twice."""
        async for found in self._scan(self._shards.pool(pool_id).numbers):
            yield list(found)

    async def destinations(self, pool_id: str) -> AsyncIterator[dict[str, str]]:
        """Number to destination of the present or last holder, in the same way."""
        async for found in self._scan(self._shards.pool(pool_id).holders):
            yield {number: packed.split("\t", 2)[1] for number, packed in found.items()}

    async def _scan(self, key: str) -> AsyncIterator[dict[str, str]]:
        cursor = "0"
        while True:
            reply = await self._shards.execute("HSCAN", key, cursor, "COUNT", _AT_ONCE)
            if not isinstance(reply, (list, tuple)):
                message = "The store answered a scan with something else."
                raise StoreUnavailable(message)
            cursor = str(count(reply[0]))
            yield dict(mapping(reply[1]))
            if cursor == "0":
                return
