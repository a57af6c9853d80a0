"""The shelves of a pool in Redis: which there are, in which order they are tried, quarantine.

Every script here is safe to repeat. Raises `StoreUnavailable`, and `PoolUnknown` for a pool that is
gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson

from dni_allocator.domain.errors import PoolUnknown
from dni_allocator.domain.pool import Pool
from dni_allocator.store.replies import mapping, text
from dni_allocator.store.scripts import Reply, Value, load
from dni_allocator.store.shards import Shards

_READ = load("shelves_read")
_PUT = load("order_put")
_RESHELVE = load("numbers_reshelve")
_QUARANTINE = load("number_quarantine")
_ACQUIT = load("number_acquit")
_SPAM = load("number_spam")

RESHELVE_BATCH = 500


@dataclass(frozen=True, slots=True)
class Shelves:
    """The shelves as they are at one instant. `places`: shelf -> text of its place."""

    revision: int
    shelving: str
    """Changes whenever a shelf is added; an order is put only while it is the same."""
    places: Mapping[str, str]


class Quarantined(StrEnum):
    """What a quarantine, or its end, did."""

    QUARANTINED = "quarantined"
    AT_END = "at_end"
    """The number keeps its visitor until the lease ends."""
    DRAINING = "draining"
    PAST = "past"
    """The end that was wanted is over already."""
    ABSENT = "absent"
    ACQUITTED = "acquitted"
    FREE = "free"
    COUNTED = "counted"


class ShelfStore:
    """One round trip a call unless said otherwise."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def read(self, pool_id: str) -> Shelves:
        """All shelves of a pool. O(shelves)."""
        at = self._shards.pool(pool_id)
        reply = await _READ.run(self._shards.execute, {"conf": at.conf, "places": at.places})
        _known(reply)
        places = [each.decode() for each in reply[3:]]
        return Shelves(
            revision=int(reply[1]),
            shelving=reply[2].decode(),
            places=dict(zip(places[::2], places[1::2], strict=True)),
        )

    async def put_orders(self, pool_id: str, made_from: Shelves, orders: Mapping[str, str]) -> bool:
        """Remember orders, by destination; False when they are out of date already."""
        at = self._shards.pool(pool_id)
        values: list[Value] = [value for pair in orders.items() for value in pair]
        reply = await _PUT.run(
            self._shards.execute,
            {
                "conf": at.conf,
                "orders": at.orders,
                "rev": made_from.revision,
                "shelving": made_from.shelving,
            },
            values,
        )
        return reply[0] == b"OK"

    async def reshelve(
        self, pool: Pool, rows: Sequence[tuple[str, str, str]], *, done: bool
    ) -> bool:
        """Move numbers: rows of number, shelf, place. False: the pool was edited meanwhile.

        `done`: these were the last ones, so the pool is not `unshelved` any more. One round trip
        per 500 rows.
        """
        at = self._shards.pool(pool.id)
        for start in range(0, max(1, len(rows)), RESHELVE_BATCH):
            values: list[Value] = [
                value for row in rows[start : start + RESHELVE_BATCH] for value in row
            ]
            reply = await _RESHELVE.run(
                self._shards.execute,
                {
                    "conf": at.conf,
                    "numbers": at.numbers,
                    "shelves": at.shelves,
                    "places": at.places,
                    "orders": at.orders,
                    "free": at.free,
                    "rev": pool.revision,
                    "done": int(done and start + RESHELVE_BATCH >= len(rows)),
                },
                values,
            )
            if reply[0] != b"OK":
                return False
        return True

    async def quarantine(
        self, pool_id: str, number: str, *, until_ms: int | None, reason: str
    ) -> Quarantined:
        """Give a number to nobody until then; None: until it is acquitted."""
        reply = await _QUARANTINE.run(
            self._shards.execute,
            self._of(pool_id, number)
            | {
                "ends_at": "+inf" if until_ms is None else until_ms,
                "reason": orjson.dumps(reason),
                "given_now": self._shards.clock(),
            },
        )
        return _outcome(reply)

    async def acquit(self, pool_id: str, number: str) -> Quarantined:
        """Call a quarantine off."""
        return _outcome(
            await _ACQUIT.run(
                self._shards.execute,
                self._of(pool_id, number) | {"signs": self._signs(pool_id, number)},
            )
        )

    async def spam_sign(
        self, pool_id: str, number: str, *, rest_ms: int, enough: int
    ) -> tuple[Quarantined, int]:
        """Count one sign of spam; `enough` within the hour, and the number rests so long.

        The outcome, and the signs so far. Counts again when repeated.
        """
        reply = await _SPAM.run(
            self._shards.execute,
            self._of(pool_id, number)
            | {
                "signs": self._signs(pool_id, number),
                "length": rest_ms,
                "enough": enough,
                "given_now": self._shards.clock(),
            },
        )
        return _outcome(reply), int(reply[1]) if len(reply) > 1 else 0

    async def notes(self, pool_id: str, numbers: Sequence[str]) -> dict[str, tuple[str, float]]:
        """Of the numbers in quarantine: note (JSON text) and until, ms, infinite without end."""
        if not numbers:
            return {}
        at = self._shards.pool(pool_id)
        notes = await self._shards.execute("HMGET", at.notes, *numbers)
        untils = await self._shards.execute("ZMSCORE", at.resting, *numbers)
        if not isinstance(notes, list) or not isinstance(untils, list):
            return {}
        return {
            number: (text(note), float(text(until)) if isinstance(until, bytes) else float(until))
            for number, note, until in zip(numbers, notes, untils, strict=True)
            if note is not None and until is not None
        }

    async def counts(self, pool_id: str) -> dict[str, int]:
        """Numbers attached by shelf, free or not."""
        at = self._shards.pool(pool_id)
        found = mapping(await self._shards.execute("HGETALL", at.shelves))
        return {shelf: int(value) for shelf, value in found.items()}

    def _signs(self, pool_id: str, number: str) -> str:
        return f"{self._shards.pool(pool_id).limits}s:{number}"

    def _of(self, pool_id: str, number: str) -> dict[str, Value]:
        at = self._shards.pool(pool_id)
        return {
            "conf": at.conf,
            "leased": at.leased,
            "numbers": at.numbers,
            "resting": at.resting,
            "notes": at.notes,
            "due": at.shard.due,
            "free": at.free,
            "pool_id": pool_id,
            "number": number,
        }


def _known(reply: Reply) -> None:
    if reply[0] in {b"GONE", b"STALE"}:
        message = "There is no pool with this id."
        raise PoolUnknown(message)


def _outcome(reply: Reply) -> Quarantined:
    _known(reply)
    return Quarantined(reply[0].decode().lower())
