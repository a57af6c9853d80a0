"""The outbox as one endpoint sees it on one shard: position, retries, dead letters, lock.

Everything is fenced by the token of the forwarder's lock: one that lost its lock can neither read
on nor move a position. Knows nothing of HTTP, schedules or what became of a delivery and why.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import orjson

from dni_allocator.domain.delivery import Batch, Entry, Heard, LoggedAttempt, OutboxSize, Settlement
from dni_allocator.domain.webhook import Health
from dni_allocator.store.keys import FORWARDERS, ShardKeys
from dni_allocator.store.parking import packed_copy, unpacked_copy
from dni_allocator.store.replies import mapping
from dni_allocator.store.scripts import Execute, Reply, Value, load
from dni_allocator.store.shards import redis_time

_LOCK: Final = load("outbox_lock")
_UNLOCK: Final = load("outbox_unlock")
_PRESENT: Final = load("outbox_present")
_READ: Final = load("outbox_read")
_SETTLE: Final = load("outbox_settle")
_TRIM: Final = load("outbox_trim")
_FORGET: Final = load("outbox_forget")
_LOG: Final = load("outbox_log")
_CAP: Final = load("outbox_cap")

MOST_DUE: Final = 64
"""Retries given by one read."""


class Outbox:
    """The outbox of one shard. `clock` as in `store.shards.Shards`: tests drive the time by it.

    `execute` must be a pooled connection's: `waiting_for_news` blocks the one it uses.
    """

    def __init__(
        self, execute: Execute, *, shard: int, clock: Callable[[], str] = redis_time
    ) -> None:
        self.shard: Final = shard
        self._execute = execute
        self._keys = ShardKeys(shard)
        self._clock = clock

    async def lock(self, endpoint_id: str, *, token: str, ttl_ms: int) -> bool:
        """Take or renew the right to serve an endpoint here; False: somebody else has it."""
        reply = await _LOCK.run(
            self._execute,
            {"lock": self._keys.forwarder_lock(endpoint_id), "token": token, "ttl": ttl_ms},
        )
        return reply[0] == b"MINE"

    async def unlock(self, endpoint_id: str, *, token: str) -> None:
        """Give it back. Does nothing if it is not ours."""
        await _UNLOCK.run(
            self._execute,
            {"lock": self._keys.forwarder_lock(endpoint_id), "token": token},
        )

    async def read(
        self,
        endpoint_id: str,
        *,
        token: str,
        after: str = "",
        limit: int = 100,
        most_due: int = MOST_DUE,
        busy: Iterable[str] = (),
    ) -> Batch | None:
        """Due retries, and up to `limit` new entries behind `after` (empty: the position).

        `busy` are retries the caller already has. None: lost the lock, or the endpoint is gone.
        """
        reply = await _READ.run(
            self._execute,
            {
                "lock": self._keys.forwarder_lock(endpoint_id),
                "events": self._keys.events,
                "cursors": self._keys.cursors,
                "retries": self._keys.retries(endpoint_id),
                "parked": self._keys.parked(endpoint_id),
                "given_now": self._clock(),
                "token": token,
                "endpoint": endpoint_id,
                "after": after,
                "limit": limit,
                "most_due": most_due,
            },
            list(busy),
        )
        return self._batch(reply) if reply[0] == b"OK" else None

    def _batch(self, reply: Reply) -> Batch:
        retries = int(reply[2])
        at = 3 + 2 * retries
        due = tuple(
            unpacked_copy(reply[i].decode(), self.shard, reply[i + 1])[0] for i in range(3, at, 2)
        )
        new = []
        while at < len(reply):
            first, end = at + 2, at + 2 + int(reply[at + 1])
            texts = [text.decode(errors="replace") for text in reply[first:end]]
            fields = dict(zip(texts[::2], texts[1::2], strict=True))
            new.append(Entry(reply[at].decode(), self.shard, fields))
            at = end
        return Batch(due, tuple(new), int(reply[1]) if reply[1] else None)

    async def settle(
        self,
        endpoint_id: str,
        *,
        token: str,
        settlements: Sequence[Settlement] = (),
        position: str = "",
        heard: Heard = "",
    ) -> bool:
        """Write down what became of entries, and move the position on, in one step.

        `heard`: whether the endpoint took something since the last time, or only failed to;
        empty: nothing was sent. `position`: all entries up to this one are settled (empty: no
        change); it never moves back. False: lost the lock or the endpoint is gone, and nothing was
        written.
        """
        rows: list[Value] = []
        for settlement in settlements:
            copy = b""
            if settlement.outcome != "taken":
                copy = packed_copy(settlement.entry, note=settlement.note)
            rows += [settlement.entry.id, settlement.outcome, settlement.delay_ms, copy]
        reply = await _SETTLE.run(
            self._execute,
            {
                "lock": self._keys.forwarder_lock(endpoint_id),
                "cursors": self._keys.cursors,
                "retries": self._keys.retries(endpoint_id),
                "dead_letters": self._keys.dead_letters(endpoint_id),
                "parked": self._keys.parked(endpoint_id),
                "health": self._keys.health(endpoint_id),
                "given_now": self._clock(),
                "token": token,
                "endpoint": endpoint_id,
                "position": position,
                "heard": heard,
            },
            rows,
        )
        return reply[0] == b"OK"

    async def trim(self, *, keep: int, keep_for_ms: int, limit: int = 10_000) -> int:
        """Drop what every active endpoint has and nobody may want replayed; how many were dropped.

        Kept for replay: the newest `keep` entries (give or take a stream node, 100 entries), as
        long as they are not older than `keep_for_ms`. At most about `limit` are dropped.
        """
        reply = await _TRIM.run(
            self._execute,
            {
                "events": self._keys.events,
                "cursors": self._keys.cursors,
                "tally": self._keys.tally,
                "given_now": self._clock(),
                "keep": keep,
                "keep_for": keep_for_ms,
                "limit": limit,
            },
        )
        return int(reply[1])

    async def forget_dead_letters(
        self, endpoint_id: str, *, keep_for_ms: int, limit: int = 1000
    ) -> int:
        """Forget up to `limit` dead letters older than `keep_for_ms`; how many.

        Parked events overdue for as long go too: their endpoint was disabled all the time.
        """
        reply = await _FORGET.run(
            self._execute,
            {
                "dead_letters": self._keys.dead_letters(endpoint_id),
                "parked": self._keys.parked(endpoint_id),
                "retries": self._keys.retries(endpoint_id),
                "given_now": self._clock(),
                "keep_for": keep_for_ms,
                "limit": limit,
            },
        )
        return int(reply[1])

    async def log(
        self, endpoint_id: str, attempts: Sequence[LoggedAttempt], *, keep: int, keep_for_ms: int
    ) -> None:
        """Note attempts: those that were taken and those that failed in a log each.

        About `keep` of each are kept, until `keep_for_ms` after the last one.
        """
        taken = [one for one in attempts if one.verdict == "taken"]
        failed = [one for one in attempts if one.verdict != "taken"]
        for key, some in (
            (self._keys.attempts(endpoint_id), taken),
            (self._keys.failures(endpoint_id), failed),
        ):
            if some:
                await _LOG.run(
                    self._execute,
                    {"log": key, "keep": keep, "keep_for": keep_for_ms},
                    [orjson.dumps(one) for one in some[-keep:]],
                )

    async def health(self, endpoint_id: str) -> Health:
        """How the endpoint has fared on this shard."""
        found = mapping(await self._execute("HGETALL", self._keys.health(endpoint_id)))
        taken, since, failed = (
            int(float(found[name])) if name in found else None
            for name in ("taken", "since", "failed")
        )
        return Health(taken_at=taken, failing_since=since, failed_at=failed)

    async def size(self) -> OutboxSize:
        """How much is held. The bytes are the server's estimate from samples; O(endpoints)."""
        bytes_held = await self._execute("MEMORY", "USAGE", self._keys.events)
        entries = await self._execute("XLEN", self._keys.events)
        lost = await self._execute("HGET", self._keys.tally, "lost")
        found = mapping(await self._execute("HGETALL", self._keys.cursors))
        active = [one for one in found.values() if not one.startswith("~")]
        waiting = [
            await self._execute("ZCARD", self._keys.retries(endpoint_id)) for endpoint_id in found
        ]
        oldest = None
        if active:
            slowest = min(active, key=lambda one: tuple(map(int, one.split("-"))))
            first = await self._execute("XRANGE", self._keys.events, f"({slowest}", "+", "COUNT", 1)
            if isinstance(first, list) and first:
                oldest = int(bytes(first[0][0]).partition(b"-")[0])
        return OutboxSize(
            entries=entries if isinstance(entries, int) else 0,
            pending=sum(each for each in waiting if isinstance(each, int)),
            bytes=bytes_held if isinstance(bytes_held, int) else 0,
            lost=int(lost) if isinstance(lost, bytes) else 0,
            oldest_unread_ms=oldest,
        )

    async def cap(self, *, keep: int, limit: int = 1000) -> tuple[int, int]:
        """Drop the oldest entries, read or not, until `keep` are left or `limit` are gone.

        How many were dropped, and how many of them an active endpoint had not read: those are
        lost to it, and counted for good (`OutboxSize.lost`).
        """
        reply = await _CAP.run(
            self._execute,
            {
                "events": self._keys.events,
                "cursors": self._keys.cursors,
                "tally": self._keys.tally,
                "keep": keep,
                "limit": limit,
            },
        )
        return int(reply[1]), int(reply[2])

    async def waiting_for_news(self, *, after: str, block_ms: int) -> str:
        """Block until there is an entry behind `after`; the newest entry id then, else `after`.

        Takes a connection for up to `block_ms`, which must be below the connection's time limit.
        """
        found = await self._execute(
            "XREAD", "BLOCK", block_ms, "COUNT", 1, "STREAMS", self._keys.events, after
        )
        if not found:
            return after
        newest = await self._execute("XREVRANGE", self._keys.events, "+", "-", "COUNT", 1)
        if not isinstance(newest, list) or not newest:
            return after
        return bytes(newest[0][0]).decode()


class Presence:
    """Which forwarder processes are alive: they share the work evenly."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def announce(self, token: str, *, ttl_ms: int) -> int:
        """Say that we live, for `ttl_ms`; how many do, ourselves included."""
        return await self._run(token, ttl_ms)

    async def leave(self, token: str) -> None:
        """Say that we stop, so that the others take over at once."""
        await self._run(token, 0)

    async def _run(self, token: str, ttl_ms: int) -> int:
        reply = await _PRESENT.run(
            self._execute,
            {"forwarders": FORWARDERS, "given_now": "", "token": token, "ttl": ttl_ms},
        )
        return int(reply[1])
