"""Numbers that pages show and no pool leases for: perhaps somebody forgot to allow them.

They are answered with the original, never leased: a page cannot make a pool route calls to a number
of its choice. The operator sees them as suggestions.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.pool import Pool
from dni_allocator.store.suggestions import SuggestionStore

_AGAIN_S = 3600
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A destination to allow, perhaps. Times in ms."""

    destination: str
    last_seen_ms: int


class Suggestions:
    """Note them on the hot path, list them for operators."""

    def __init__(self, store: SuggestionStore) -> None:
        self._store = store
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def note(self, pool: Pool, wanted: Sequence[str]) -> None:
        """Remember what is not on the pool's list. At most once an hour for each in this process.

        Never fails: a page is not made to wait, or go without, for a hint to somebody else.
        """
        now = monotonic()
        fresh = []
        for destination in wanted:
            if destination in pool.settings.destinations:
                continue
            noted = self._noted.get((pool.id, destination))
            if noted is None or now - noted > _AGAIN_S:
                self._noted[pool.id, destination] = now
                fresh.append(destination)
        while len(self._noted) > _MOST_REMEMBERED:
            self._noted.popitem(last=False)
        if fresh:
            try:
                await self._store.note(pool.id, fresh)
            except StoreUnavailable:
                return

    async def of(self, pool: Pool) -> tuple[Suggestion, ...]:
        """What pages have shown lately, the latest first, without what was allowed since."""
        return tuple(
            Suggestion(destination, seen_ms)
            for destination, seen_ms in await self._store.latest(pool.id)
            if destination not in pool.settings.destinations
        )
