"""Destinations that pages showed and their pool did not know."""

from collections.abc import Sequence

from dni_allocator.store.replies import scored
from dni_allocator.store.scripts import load
from dni_allocator.store.shards import Shards

_NOTE = load("suggestions_note")

MOST_SUGGESTIONS = 100
"""Anybody with the publishable key can make some; the latest stay."""


class SuggestionStore:
    """Raises `StoreUnavailable`."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def note(self, pool_id: str, destinations: Sequence[str]) -> None:
        """Remember that they were shown now, for 30 days. Idempotent."""
        at = self._shards.pool(pool_id)
        await _NOTE.run(
            self._shards.execute,
            {
                "conf": at.conf,
                "suggested": at.suggested,
                "given_now": self._shards.clock(),
                "most": MOST_SUGGESTIONS,
            },
            destinations,
        )

    async def latest(self, pool_id: str) -> list[tuple[str, int]]:
        """Destination and when it was seen last, ms; the latest first."""
        at = self._shards.pool(pool_id)
        reply = await self._shards.execute("ZREVRANGE", at.suggested, 0, -1, "WITHSCORES")
        return [(name, int(seen)) for name, seen in scored(reply)]
