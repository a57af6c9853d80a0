"""The scripts that erase one visitor, typed; each does a bounded part of the work."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from dni_allocator.domain.call import pool_of_call, without_visitor
from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.pool import LONGEST_WINDOW_S, Pool
from dni_allocator.store.calls import CallStore, Hold
from dni_allocator.store.keys import ShardKeys, shard_of
from dni_allocator.store.policies import packed_policy
from dni_allocator.store.replies import count, mapping, scored, text
from dni_allocator.store.scripts import Reply, Script, load
from dni_allocator.store.shards import Shards

_VISITOR = load("visitor_erase")
_HISTORY = load("history_erase")
_CALLERS = load("caller_erase")
_PREFIX_OF = {"history_erase": "past", "caller_erase": "callers"}
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

        Looks through all keys: histories outlive their numbers, and nothing lists them.
        """
        return await self._by_prefix("past", _HISTORY, visitor_id)

    async def from_callers(self, visitor_id: str) -> Erased:
        """Erase a visitor from what is remembered of callers. Looks through all keys."""
        return await self._by_prefix("caller", _CALLERS, visitor_id)

    async def from_calls(self, visitor_id: str) -> Erased:
        """Erase a visitor, and who called for them, from calls. Looks at each call that is kept."""
        done = 0
        calls = CallStore(self._shards, retention_ms=0, memory_ms=0)
        for shard in self._shards.all():
            cursor = "0"
            while True:
                reply = await self._shards.execute("ZSCAN", shard.calls, cursor, "COUNT", _AT_ONCE)
                if not isinstance(reply, (list, tuple)):
                    message = "The store answered a scan with something else."
                    raise StoreUnavailable(message)
                for call_id in await self._naming(
                    [each for each, _ in scored(reply[1])], visitor_id
                ):
                    done += await self._from_call(calls, call_id, visitor_id)
                cursor = str(count(reply[0]))
                if cursor == "0":
                    break
        return Erased(holders=done)

    async def _naming(self, call_ids: Sequence[str], visitor_id: str) -> list[str]:
        """Those of some calls of one shard whose text has this id anywhere."""
        if not call_ids:
            return []
        names = [self._shards.pool(pool_of_call(each) or "").call + each for each in call_ids]
        reply = await self._shards.execute("MGET", *names)
        documents = reply if isinstance(reply, list) else []
        return [
            call_id
            for call_id, document in zip(call_ids, documents, strict=True)
            if document is not None and visitor_id in text(document)
        ]

    async def _from_call(self, calls: CallStore, call_id: str, visitor_id: str) -> int:
        pool_id = pool_of_call(call_id)
        while pool_id is not None:
            recorded = await calls.read(pool_id, call_id)
            if recorded is None:
                return 0
            blank = without_visitor(recorded.call, visitor_id)
            if blank is recorded.call:
                return 0
            hold = Hold(fence="", until_ms=0, note="")
            if await calls.edit(recorded, blank, events=(), hold=hold):
                return 1
        return 0

    async def _by_prefix(self, kind: str, script: Script, visitor_id: str) -> Erased:
        """Run a script over all keys `…:<kind>:<name>`, some names of one pool at a time."""
        done = 0
        for shard in self._shards.all():
            waiting: dict[str, set[str]] = {}

            async def some(prefix: str, names: Iterable[str]) -> int:
                prefixes = {_PREFIX_OF[script.name]: prefix, "visitor_id": visitor_id}
                reply = await script.run(self._shards.execute, prefixes, list(names))
                return int(reply[1])

            async for name in self._scan(f"{shard.tag}:*:{kind}:*"):
                prefix, mark, rest = name.rpartition(f":{kind}:")
                names = waiting.setdefault(prefix + mark, set())
                names.add(rest)
                if len(names) == _AT_ONCE:
                    done += await some(prefix + mark, waiting.pop(prefix + mark))
            for prefix, names in waiting.items():
                done += await some(prefix, names)
        return Erased(holders=done)

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
