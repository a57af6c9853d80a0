"""Numbers that rest: on an operator's word, or because they draw spam calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from dni_allocator.domain.errors import InvalidRequest, NumberUnknown
from dni_allocator.domain.moment import instant_or_none
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.shelves import Quarantined, ShelfStore


@dataclass(frozen=True, slots=True)
class Rest:
    """Why a number is given to nobody, since when and until when (ms; None: until called off)."""

    reason: str
    since_ms: int
    until_ms: int | None


class Quarantine:
    """Raises `PoolUnknown`, `NumberUnknown` for a number of another pool, `StoreUnavailable`."""

    def __init__(self, *, pools: PoolStore, shelves: ShelfStore) -> None:
        self._pools = pools
        self._shelves = shelves

    async def begin(
        self, pool_id: str, number: str, *, reason: str, until: datetime | None
    ) -> Quarantined:
        """Give a number to nobody; a leased one keeps its visitor until the lease ends.

        A second call replaces reason and end. Raises `InvalidRequest` for an end in the past.
        """
        until_ms = instant_or_none(until)
        outcome = await self._shelves.quarantine(pool_id, number, until_ms=until_ms, reason=reason)
        if outcome is Quarantined.PAST:
            raise InvalidRequest.at("until", "Lies in the past.")
        return _present(outcome)

    async def end(self, pool_id: str, number: str) -> Quarantined:
        """Call it off: the number takes its old place in the queue. Idempotent."""
        return _present(await self._shelves.acquit(pool_id, number))

    async def spam_sign(self, pool_id: str, number: str) -> tuple[Quarantined, int]:
        """Count a sign of spam; the pool's settings say how many within an hour are enough."""
        settings = (await self._pools.read(pool_id)).settings
        outcome, signs = await self._shelves.spam_sign(
            pool_id,
            number,
            rest_ms=settings.spam_quarantine_s * 1000,
            # Redis counts exactly up to here: no number of signs is enough.
            enough=settings.spam_signals or 2**53,
        )
        return _present(outcome), signs

    async def of(self, pool_id: str, numbers: Sequence[str]) -> Mapping[str, Rest]:
        """Those of the numbers that are in quarantine. Two round trips, none for no numbers."""
        found = {}
        for number, (note, until_ms) in (await self._shelves.notes(pool_id, numbers)).items():
            told = orjson.loads(note)
            found[number] = Rest(
                reason=told["reason"],
                since_ms=told["since_ms"],
                until_ms=None if until_ms == float("inf") else int(until_ms),
            )
        return found


def _present(outcome: Quarantined) -> Quarantined:
    if outcome is Quarantined.ABSENT:
        message = "The pool does not have this number."
        raise NumberUnknown(message)
    return outcome
