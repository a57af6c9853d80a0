"""Records of traffic sources in Redis."""

from collections.abc import Sequence

from dni_allocator.domain.errors import EditConflict, TrafficSourceUnknown
from dni_allocator.domain.traffic_source import TrafficSource
from dni_allocator.store.keys import TRAFFIC_SOURCES
from dni_allocator.store.records import Edited, edit_record
from dni_allocator.store.replies import mapping
from dni_allocator.store.scripts import Execute


class TrafficSourceStore:
    """One round trip a call. Raises `StoreUnavailable`."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def create(self, source: TrafficSource) -> None:
        """Store a new source. Safe to repeat."""
        await self._execute("HSET", TRAFFIC_SOURCES, source.id, source.to_json())

    async def replace(self, seen: TrafficSource, wanted: TrafficSource) -> None:
        """Write an edited source over the one the editor has read. Safe to repeat.

        Raises `EditConflict`, `TrafficSourceUnknown`.
        """
        edited = await edit_record(
            self._execute, TRAFFIC_SOURCES, seen=seen, wanted=wanted, read=TrafficSource.from_json
        )
        if edited is Edited.GONE:
            raise TrafficSourceUnknown("The traffic source was deleted meanwhile.")
        if edited is Edited.CONFLICT:
            raise EditConflict("The traffic source was edited meanwhile.")

    async def read(self, source_id: str) -> TrafficSource:
        """Read one source. Raises `TrafficSourceUnknown`."""
        for found in await self.some((source_id,)):
            return found
        message = "There is no traffic source with this id."
        raise TrafficSourceUnknown(message)

    async def some(self, source_ids: Sequence[str]) -> tuple[TrafficSource, ...]:
        """Those of them that there are, in this order; no round trip for none."""
        if not source_ids:
            return ()
        records = await self._execute("HMGET", TRAFFIC_SOURCES, *source_ids)
        found = records if isinstance(records, list) else []
        return tuple(TrafficSource.from_json(each) for each in found if isinstance(each, bytes))

    async def all(self) -> list[TrafficSource]:
        """All sources, oldest first."""
        records = mapping(await self._execute("HGETALL", TRAFFIC_SOURCES))
        sources = [TrafficSource.from_json(record) for record in records.values()]
        return sorted(sources, key=lambda source: (source.created_at, source.id))

    async def delete(self, source_id: str) -> None:
        """Forget a source. Idempotent."""
        await self._execute("HDEL", TRAFFIC_SOURCES, source_id)
