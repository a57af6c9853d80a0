"""Calls in Redis: records, the lists they stand in, and what is remembered of callers.

A call lives on the shard of its pool, so its record, its events and the hold of its number are one
step. Everything here ends by itself: records with their retention, memories with theirs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dni_allocator.domain.attribution import Holder, Memory
from dni_allocator.domain.call import Call, pool_of_call
from dni_allocator.store import keys
from dni_allocator.store.call_documents import dump_call, load_call, pack_memory, unpack_memory
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.replies import mapping, scored, text
from dni_allocator.store.scripts import Value, load
from dni_allocator.store.shards import Shards

_READ: Final = load("call_read")
_START: Final = load("call_start")
_EDIT: Final = load("call_edit")

Position = tuple[int, str]
"""A place in a list of calls: when it rang, and its id. Newest first."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call as it was read: what to compare with when it is edited, and when that was, ms."""

    call: Call
    document: str
    now_ms: int


class Unsteady:
    """Somebody else was quicker: read again, then repeat."""


class PoolGone:
    """The pool of the number was deleted meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A caller as they are remembered: by a keyed hash, whether they called before, for whom."""

    digest: str
    known: bool
    memories: tuple[Memory, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """How long a number is held, and why, as JSON text. `until_ms` 0: it is not held."""

    fence: str
    until_ms: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """What would make the number of a call one that leaked. `key` tells what callers count for."""

    key: str
    reason: str
    enough: int


class CallStore:
    """One round trip a call of a method unless said otherwise. Raises `StoreUnavailable`.

    `retention_ms`: how long a call is kept after it rang; `memory_ms`: how long a caller is
    remembered after their last call; `bulk`: the way for long lists, default the same.
    """

    def __init__(
        self,
        shards: Shards,
        *,
        retention_ms: int,
        memory_ms: int,
        bulk: Shards | None = None,
    ) -> None:
        self._shards = shards
        self._bulk = bulk or shards
        self.retention_ms: Final = retention_ms
        self.memory_ms: Final = memory_ms

    async def read(self, pool_id: str, call_id: str) -> Recorded | None:
        """A call, while it is kept."""
        reply = await _READ.run(
            self._shards.execute,
            {
                "call": self._shards.pool(pool_id).call + call_id,
                "given_now": self._shards.clock(),
            },
        )
        if reply[0] != b"OK":
            return None
        document = reply[2].decode()
        return Recorded(load_call(document), document, int(reply[1]))

    async def start(
        self,
        call: Call,
        *,
        event: Mapping[str, str],
        caller: Caller | None,
        holder: Holder | None,
        overwrites: bool,
        hold: Hold,
        suspicion: Suspicion | None,
    ) -> Call | Unsteady | PoolGone:
        """Record a call, with its event; the call as it is recorded, which may be an earlier one.

        `holder` is whom the caller is remembered for, `overwrites` whether that replaces what is
        remembered of an earlier call to this number. `caller` None: withheld, or not remembered.
        """
        at = self._shards.pool(call.pool_id)
        document = dump_call(call)
        reply = await _START.run(
            self._shards.execute,
            {
                **self._for_holding(call, hold),
                "call": at.call + call.id,
                "of_pool": at.calls,
                "of_shard": at.shard.calls,
                "caller": at.callers + ("" if caller is None else caller.digest),
                "suspects": at.leaks + ("" if suspicion is None else suspicion.key),
                "alarm": f"{at.leaks}alarm:{call.number}",
                "given_now": self._shards.clock(),
                "call_id": call.id,
                "document": document,
                "started": call.started_ms,
                "retention": self.retention_ms,
                "visitor_id": call.visitor_id,
                "known": "" if caller is None else str(int(caller.known)),
                "memory": pack_memory(call, holder),
                "overwrites": str(int(overwrites)),
                "keep": self.memory_ms,
                # Each call of somebody who withholds their number may be another one's.
                "who": call.id if caller is None else caller.digest,
                "enough": 0 if suspicion is None else suspicion.enough,
                "leak": "" if suspicion is None else suspicion.reason,
            },
            _told([event]),
        )
        match reply[0]:
            case b"STARTED":
                return call
            case b"KNOWN":
                return load_call(reply[1].decode())
            case b"STALE":
                return Unsteady()
            case _:
                return PoolGone()

    async def edit(
        self, before: Recorded, after: Call, *, events: Sequence[Mapping[str, str]], hold: Hold
    ) -> bool | None:
        """Replace a call, with the events of that; False: it was edited meanwhile, None: gone."""
        at = self._shards.pool(after.pool_id)
        reply = await _EDIT.run(
            self._shards.execute,
            {
                **self._for_holding(after, hold),
                "call": at.call + after.id,
                "seen": before.document,
                "document": dump_call(after),
            },
            _told(events),
        )
        return {b"OK": True, b"CONFLICT": False}.get(reply[0])

    async def shared_key(self, made: str) -> str:
        """The key of the callers' hashes that all processes share; `made` if there was none."""
        await self._shards.execute("HSETNX", keys.META, "caller_key", made)
        return text(await self._shards.execute("HGET", keys.META, "caller_key"))

    async def bind(self, provider: str, provider_call_id: str, call: Call) -> None:
        """Let a call be found by the name its provider has for it. Idempotent."""
        key = keys.provider_call(_name_hash(provider, provider_call_id))
        await self._shards.execute("SET", key, call.id, "PX", self.retention_ms)

    async def bound(self, provider: str, provider_call_id: str) -> str | None:
        """The id of the call that a provider knows by this name."""
        key = keys.provider_call(_name_hash(provider, provider_call_id))
        value = await self._shards.execute("GET", key)
        return None if value is None else text(value)

    async def caller(self, pool_id: str, digest: str, *, at_ms: int) -> Caller:
        """What a pool remembers of a caller. `at_ms`: what is older than the memory is left out."""
        key = self._shards.pool(pool_id).callers + digest
        found = mapping(await self._shards.execute("HGETALL", key))
        memories = [unpack_memory(number, packed) for number, packed in found.items()]
        return Caller(
            digest=digest,
            known=bool(found),
            memories=tuple(
                each
                for each in memories
                if each is not None and each.at_ms > at_ms - self.memory_ms
            ),
        )

    async def page(
        self,
        pool_ids: Sequence[str] | None,
        *,
        behind: Position | None,
        since_ms: int | None,
        until_ms: int | None,
        limit: int,
    ) -> list[tuple[Position, Call | None]]:
        """The next calls behind a position, newest first, of some pools or of all.

        At most `limit`, and fewer only at the end; None for one that was forgotten meanwhile.
        Several round trips a shard.
        """
        lists = (
            [self._shards.pool(pool_id).calls for pool_id in pool_ids]
            if pool_ids is not None
            else [shard.calls for shard in self._shards.all()]
        )
        found: list[Position] = []
        for key in lists:
            found += await self._positions(
                key, behind=behind, since_ms=since_ms, until_ms=until_ms, limit=limit
            )
        chosen = sorted(found, reverse=True)[:limit]
        calls = await self._calls([call_id for _, call_id in chosen])
        return [(each, calls.get(each[1])) for each in chosen]

    async def _positions(
        self,
        key: str,
        *,
        behind: Position | None,
        since_ms: int | None,
        until_ms: int | None,
        limit: int,
    ) -> list[Position]:
        newest: Value = "+inf" if until_ms is None else until_ms
        if behind is not None:
            newest = behind[0] if until_ms is None else min(behind[0], until_ms)
        oldest: Value = "-inf" if since_ms is None else since_ms
        found: list[Position] = []
        offset = 0
        while len(found) < limit:
            some = scored(
                await self._bulk.execute(
                    "ZREVRANGEBYSCORE", key, newest, oldest, "WITHSCORES", "LIMIT", offset, limit
                )
            )
            # Calls of the very ms of the position may come before it.
            found += [
                (int(at_ms), call_id)
                for call_id, at_ms in some
                if behind is None or (int(at_ms), call_id) < behind
            ]
            offset += limit
            if len(some) < limit:
                break
        return found[:limit]

    async def _calls(self, call_ids: Sequence[str]) -> dict[str, Call]:
        """The calls that are kept yet, by id. One round trip a shard."""
        by_shard: dict[ShardKeys, list[tuple[str, str]]] = {}
        for call_id in call_ids:
            at = self._shards.pool(pool_of_call(call_id) or "")
            by_shard.setdefault(at.shard, []).append((call_id, at.call + call_id))
        found = {}
        for pairs in by_shard.values():
            values = await self._bulk.execute("MGET", *(key for _, key in pairs))
            documents = values if isinstance(values, list) else []
            for (call_id, _), document in zip(pairs, documents, strict=True):
                if document is not None:
                    found[call_id] = load_call(text(document))
        return found

    def _for_holding(self, call: Call, hold: Hold) -> dict[str, Value]:
        at = self._shards.pool(call.pool_id)
        return {
            "conf": at.conf,
            "leased": at.leased,
            "holders": at.holders,
            "numbers": at.numbers,
            "resting": at.resting,
            "notes": at.notes,
            "due": at.shard.due,
            "events": at.shard.events,
            "free": at.free,
            "pool_id": call.pool_id,
            "number": call.number,
            "fence": hold.fence,
            "hold_until": hold.until_ms,
            "note": hold.note,
        }


def _told(events: Sequence[Mapping[str, str]]) -> list[Value]:
    values: list[Value] = []
    for event in events:
        flat = [part for pair in event.items() for part in pair]
        values += [len(flat), *flat]
    return values


def _name_hash(provider: str, provider_call_id: str) -> str:
    return hashlib.sha256(f"{provider}\0{provider_call_id}".encode()).hexdigest()[:32]
