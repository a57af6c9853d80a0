"""The scripts that erase one visitor, typed; each does a bounded part of the work."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from dni_allocator.domain.pool import LONGEST_WINDOW_S, Pool
from dni_allocator.store.keys import ShardKeys, shard_of
from dni_allocator.store.policies import packed_policy
from dni_allocator.store.replies import mapping
from dni_allocator.store.scripts import Reply, load
from dni_allocator.store.shards import Shards

_VISITOR = load("visitor_erase")
_HISTORY = load("history_erase")
_OUTBOX = load("outbox_erase")
_PARKED = load("parked_erase")
_BEGIN = load("erasure_begin")
_END = load("erasure_end")

_AT_ONCE = 500
"""Holders, copies, histories or entries that one script looks at."""

_GIVEN_UP_MS = 30 * 86_400_000

Scan = Callable[[str], AsyncIterator[str]]
"""All keys of a pattern; some perhaps twice."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What some part of an erasure did. `left`: copies that somebody has yet to take."""

    leases: int = 0
    holders: int = 0
    copies: int = 0
    left: int = 0

    def __add__(self, other: "Erased") -> "Erased":
        """The sum of two parts."""
        return Erased(
            self.leases + other.leases,
            self.holders + other.holders,
            self.copies + other.copies,
            self.left + other.left,
        )


class ErasureStore:
    """Raises `StoreUnavailable` throughout. Every call is idempotent."""

    def __init__(self, shards: Shards, *, scan: Scan) -> None:
        self._shards = shards
        self._scan = scan

    async def begin(self, visitor_id: str) -> None:
        """Note that this visitor is being erased."""
        await _BEGIN.run(
            self._shards.execute,
            {
                "erasing": self._home(visitor_id).erasing,
                "given_now": self._shards.clock(),
                "visitor_id": visitor_id,
                "keep": _GIVEN_UP_MS,
            },
        )

    async def end(self, visitor_id: str) -> None:
        """All is erased: forget the note, and write the event."""
        home = self._home(visitor_id)
        await _END.run(
            self._shards.execute,
            {
                "erasing": home.erasing,
                "events": home.events,
                "given_now": self._shards.clock(),
                "visitor_id": visitor_id,
            },
        )

    async def unfinished(self, *, before_ms: int) -> list[str]:
        """Visitors whose erasure began before this instant and has not ended."""
        found = []
        for shard in self._shards.all():
            noted = mapping(await self._shards.execute("HGETALL", shard.erasing))
            found += [visitor for visitor, since in noted.items() if int(since) < before_ms]
        return found

    async def from_pool(self, pool_id: str, visitor_id: str, *, pool: Pool | None) -> Erased:
        """Erase a visitor from what a pool holds; `pool` None: it is half deleted."""
        at = self._shards.pool(pool_id)
        done, cursor = Erased(), "0"
        while True:
            reply = await _VISITOR.run(
                self._shards.execute,
                {
                    **at.for_ending(),
                    "visitor": at.visitors + visitor_id,
                    "limit": f"{at.limits}v:{visitor_id}",
                    "given_now": self._shards.clock(),
                    "pool_id": pool_id,
                    "visitor_id": visitor_id,
                    "window": LONGEST_WINDOW_S * 1000 if pool is None else pool.window_ms,
                    "policy": "" if pool is None else packed_policy(pool.settings),
                    "cursor": cursor,
                    "count": _AT_ONCE,
                },
            )
            if reply[0] == b"GONE":
                return done
            done += Erased(leases=int(reply[2]), holders=int(reply[3]))
            if reply[0] == b"DONE":
                return done
            cursor = reply[1].decode()

    async def from_histories(self, visitor_id: str) -> Erased:
        """Erase a visitor from the histories of all numbers, of detached ones too.

        Looks through all keys once: histories outlive their numbers, and nothing lists them.
        """
        done = Erased()
        for shard in self._shards.all():
            waiting: dict[str, set[str]] = {}
            # The braces of the hash tag mean nothing in a pattern.
            async for name in self._scan(f"{shard.tag}:*:past:*"):
                prefix, mark, number = name.rpartition(":past:")
                prefix += mark
                some = waiting.setdefault(prefix, set())
                some.add(number)
                if len(some) == _AT_ONCE:
                    done += await self._from_some(prefix, waiting.pop(prefix), visitor_id)
            for prefix, some in waiting.items():
                done += await self._from_some(prefix, some, visitor_id)
        return done

    async def _from_some(self, prefix: str, numbers: Iterable[str], visitor_id: str) -> Erased:
        reply = await _HISTORY.run(
            self._shards.execute, {"past": prefix, "visitor_id": visitor_id}, list(numbers)
        )
        return Erased(holders=int(reply[1]))

    async def from_outboxes(self, visitor_id: str, endpoint_ids: Sequence[str]) -> Erased:
        """Erase events that all have taken, and dead letters; count the others."""
        done = Erased()
        for shard in self._shards.all():
            start = "-"
            while start:
                reply = await _OUTBOX.run(
                    self._shards.execute,
                    {
                        "events": shard.events,
                        "cursors": shard.cursors,
                        "visitor_id": visitor_id,
                        "start": start,
                        "count": _AT_ONCE,
                    },
                )
                done += _copies(reply)
                start = reply[1].decode()
            for endpoint_id in endpoint_ids:
                done += await self._from_parked(shard, endpoint_id, visitor_id)
        return done

    async def _from_parked(self, shard: ShardKeys, endpoint_id: str, visitor_id: str) -> Erased:
        done, cursor = Erased(), "0"
        while True:
            reply = await _PARKED.run(
                self._shards.execute,
                {
                    "dead_letters": shard.dead_letters(endpoint_id),
                    "parked": shard.parked(endpoint_id),
                    "visitor_id": visitor_id,
                    "cursor": cursor,
                    "count": _AT_ONCE,
                },
            )
            done += _copies(reply)
            if reply[0] == b"DONE":
                return done
            cursor = reply[1].decode()

    def _home(self, visitor_id: str) -> ShardKeys:
        return ShardKeys(shard_of(visitor_id, shards=self._shards.count))


def _copies(reply: Reply) -> Erased:
    return Erased(copies=int(reply[2]), left=int(reply[3]))
