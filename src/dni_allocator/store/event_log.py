"""Looking back: events that are still kept, dead letters, attempts, and sending again.

For people and programs that ask, not for the forwarder. Everything is bounded by the caller's
limit. Knows nothing of HTTP or of cursors as others see them.
"""

from collections.abc import Callable, Sequence
from typing import Final

import orjson

from dni_allocator.domain.delivery import DeadLetter, Entry, LoggedAttempt
from dni_allocator.domain.errors import EndpointUnknown
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.parking import packed_copy, unpacked_copy
from dni_allocator.store.replies import text
from dni_allocator.store.scripts import Execute, Value, load
from dni_allocator.store.shards import redis_time

_REPLAY: Final = load("outbox_replay")


class EventLog:
    """What one shard still knows. `clock` as in `store.shards.Shards`."""

    def __init__(
        self, execute: Execute, *, shard: int, clock: Callable[[], str] = redis_time
    ) -> None:
        self.shard: Final = shard
        self._execute = execute
        self._keys = ShardKeys(shard)
        self._clock = clock

    async def entries(self, *, after: str, until: str = "+", limit: int) -> list[Entry]:
        """Up to `limit` entries behind `after`, oldest first. `until`: an id, or ms, inclusive."""
        found = await self._execute("XRANGE", self._keys.events, f"({after}", until, "COUNT", limit)
        return [] if not isinstance(found, list) else [self._entry(row) for row in found]

    async def entry(self, entry_id: str) -> Entry | None:
        """One entry, if it is still kept."""
        found = await self._execute("XRANGE", self._keys.events, entry_id, entry_id)
        return self._entry(found[0]) if isinstance(found, list) and found else None

    async def newest_id(self) -> str:
        """The id of the newest entry that is kept or was trimmed; `0-0` if there was none."""
        found = await self._execute("XREVRANGE", self._keys.events, "+", "-", "COUNT", 1)
        if isinstance(found, list) and found:
            return bytes(found[0][0]).decode()
        return await self.trimmed_to()

    async def trimmed_to(self) -> str:
        """No entry after this id was ever dropped."""
        found = await self._execute("HGET", self._keys.tally, "trimmed")
        return found.decode() if isinstance(found, bytes) else "0-0"

    async def dead_letters(self, endpoint_id: str, *, limit: int = 100) -> list[DeadLetter]:
        """The newest `limit` dead letters, newest first."""
        key = self._keys.dead_letters(endpoint_id)
        found = await self._execute("ZREVRANGE", key, 0, limit - 1, "WITHSCORES")
        since = _scores(found)
        if not since:
            return []
        copies = await self._execute("HMGET", self._keys.parked(endpoint_id), *since)
        letters = []
        for (name, at_ms), copy in zip(since.items(), _listed(copies), strict=True):
            if isinstance(copy, bytes):
                entry, note = unpacked_copy(name, self.shard, copy)
                letters.append(DeadLetter(entry, at_ms, note))
        return letters

    async def parked(self, endpoint_id: str, entry_id: str) -> Entry | None:
        """An event that waits for a retry or is a dead letter: its original may be gone."""
        copy = await self._execute("HGET", self._keys.parked(endpoint_id), entry_id)
        if not isinstance(copy, bytes):
            return None
        return unpacked_copy(entry_id, self.shard, copy)[0]

    async def waiting(self, endpoint_id: str) -> tuple[int, int]:
        """How many events wait for a retry, and how many are dead letters."""
        retries = await self._execute("ZCARD", self._keys.retries(endpoint_id))
        dead = await self._execute("ZCARD", self._keys.dead_letters(endpoint_id))
        return (
            retries if isinstance(retries, int) else 0,
            dead if isinstance(dead, int) else 0,
        )

    async def unread_since(self, endpoint_id: str) -> int | None:
        """When the oldest event happened that the endpoint is not done with, ms; None: none waits.

        Events in a retry do not count: the endpoint has gone on behind them.
        """
        position = await self._execute("HGET", self._keys.cursors, endpoint_id)
        if not isinstance(position, bytes):
            return None
        after = position.decode().removeprefix("~")
        found = await self._execute("XRANGE", self._keys.events, f"({after}", "+", "COUNT", 1)
        if not isinstance(found, list) or not found:
            return None
        return int(bytes(found[0][0]).partition(b"-")[0])

    async def attempts(
        self, endpoint_id: str, *, failed_only: bool = False, limit: int = 100
    ) -> list[LoggedAttempt]:
        """The newest `limit` attempts to deliver to an endpoint, newest first."""
        keys = [self._keys.failures(endpoint_id)]
        if not failed_only:
            keys.append(self._keys.attempts(endpoint_id))
        found: list[LoggedAttempt] = []
        for key in keys:
            rows = await self._execute("XREVRANGE", key, "+", "-", "COUNT", limit)
            found += [LoggedAttempt(**orjson.loads(_fields(row[1])["a"])) for row in _pairs(rows)]
        return sorted(found, key=lambda one: one.at_ms, reverse=True)[:limit]

    async def replay(self, endpoint_id: str, entries: Sequence[Entry]) -> int:
        """Let these be sent to the endpoint again, from the first attempt on; how many.

        Dead letters among them are no dead letters any more. Keep to some hundreds in a call: one
        script takes them all. Idempotent until one is delivered.

        Raises:
            EndpointUnknown: It has no position here.
        """
        rows: list[Value] = []
        for entry in entries:
            fresh = Entry(entry.id, entry.shard, entry.fields)
            rows += [entry.id, packed_copy(fresh, note="replayed")]
        if not rows:
            return 0
        reply = await _REPLAY.run(
            self._execute,
            {
                "cursors": self._keys.cursors,
                "retries": self._keys.retries(endpoint_id),
                "dead_letters": self._keys.dead_letters(endpoint_id),
                "parked": self._keys.parked(endpoint_id),
                "given_now": self._clock(),
                "endpoint": endpoint_id,
            },
            rows,
        )
        if reply[0] == b"GONE":
            raise EndpointUnknown("The webhook endpoint has no position here.")
        return int(reply[1])

    def _entry(self, row: Sequence[object]) -> Entry:
        name = row[0]
        assert isinstance(name, bytes)  # noqa: S101 -- the form of a stream's reply
        return Entry(name.decode(), self.shard, _fields(row[1]))


def _pairs(rows: object) -> list[Sequence[object]]:
    return [row for row in _listed(rows) if isinstance(row, (list, tuple))]


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _scores(found: object) -> dict[str, int]:
    """Members with their scores: pairs as redis-py makes them of either protocol, or flat."""
    parts: list[object] = []
    for one in _listed(found):
        parts += one if isinstance(one, (list, tuple)) else [one]
    return {
        text(name): int(float(str(text(score) if isinstance(score, bytes) else score)))
        for name, score in zip(parts[::2], parts[1::2], strict=True)
    }


def _fields(raw: object) -> dict[str, str]:
    if isinstance(raw, dict):  # as redis-py gives it under RESP3
        pairs = [part for pair in raw.items() for part in pair]
    else:
        pairs = list(raw) if isinstance(raw, list) else []
    found = [bytes(part).decode(errors="replace") for part in pairs]
    return dict(zip(found[::2], found[1::2], strict=True))
