"""The data as records that know no shards, and back into keys: what `export` and `import` move.

A key of a pool is copied under the pool's id and its own name, so it can be put on another shard.
What every shard can make anew is not copied: lists of pools, deadlines, the outbox with all that
belongs to its delivery, locks.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.keys import (
    AUDIT,
    FORWARDERS,
    META,
    MIGRATING,
    PREFIX,
    ShardKeys,
    session,
    shard_of,
)
from dni_allocator.store.pools import QUARANTINE
from dni_allocator.store.replies import count, instant, mapping, scored, text, texts
from dni_allocator.store.scripts import Execute, Value, load
from dni_allocator.store.shards import Shards

_LIST_PUT: Final = load("list_put")
_AT_ONCE: Final = 500
"""Fields of one record, and so of one line."""

STRINGS: Final = "strings"
"""A record of many small global keys: name, value, when it ends or nothing."""

Scan = Callable[[str], AsyncIterator[str]]


class Home(StrEnum):
    """Where a key belongs."""

    POOL = "pool"
    """`dni:{s<n>}:<pool>:<name>`."""
    HISTORY = "history"
    """`dni:{s<n>}:history:<pool>:<name>`."""
    MEMBERS = "members"
    """A list of a shard, of pools, or of what has its pool in its id: calls, orders."""
    GLOBAL = "global"
    NOWHERE = "nowhere"
    """Made anew, or of one system only: not copied."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """A key without its shard."""

    home: Home
    pool_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A key, or a part of a large one. `values`: pairs, of a set or list texts.

    `expires_ms`: when it ends, since 1970; None: never.
    """

    place: Place
    kind: str
    values: Sequence[Sequence[str]]
    expires_ms: int | None = None


_POOL_KEY: Final = re.compile(r"dni:\{s\d+\}:(?P<pool>pool_[^:]+):(?P<name>.+)")
_HISTORY_KEY: Final = re.compile(r"dni:\{s\d+\}:history:(?P<pool>pool_[^:]+):(?P<name>.+)")
_SHARD_KEY: Final = re.compile(r"dni:\{s\d+\}:(?P<name>.+)")
_MADE_ANEW: Final = re.compile(
    r"events|pools|due|due:server|cursors|tally|erasing|fwd:.*|history-position|history-lock"
)
_MEMBERS: Final = re.compile(r"calls|scaled|(?:purchases|releases|decisions)(?::log|:open)?")
_SET_ASIDE: Final = {QUARANTINE, "held"}
"""States of numbers that lie on the shelf of those set aside (`lua/lib/records.lua`)."""

_OF_ONE_SYSTEM: Final = frozenset({META, AUDIT, FORWARDERS, MIGRATING, "dni:buyer"})
_NAMES_NOBODY: Final = re.compile(
    r"conf|numbers|shelves|free:.*|places|orders|resting|notes|stats|drained"
)
"""Keys of a pool that name neither a visitor nor a caller."""


def place_of(key: str) -> Place:
    """Where a key belongs."""
    if found := _HISTORY_KEY.fullmatch(key):
        return Place(Home.HISTORY, found["pool"], found["name"])
    if found := _POOL_KEY.fullmatch(key):
        return Place(Home.POOL, found["pool"], found["name"])
    if found := _SHARD_KEY.fullmatch(key):
        if _MEMBERS.fullmatch(found["name"]):
            return Place(Home.MEMBERS, name=found["name"])
        known = _MADE_ANEW.fullmatch(found["name"])
        return Place(Home.NOWHERE if known else Home.UNKNOWN, name=found["name"])
    if key in _OF_ONE_SYSTEM or key.startswith(session("")):
        return Place(Home.NOWHERE, name=key)
    return Place(Home.GLOBAL, name=key.removeprefix(f"{PREFIX}:"))


def names_somebody(place: Place) -> bool:
    """Whether what is kept there names a visitor or a caller."""
    if place.home is Home.POOL:
        return _NAMES_NOBODY.fullmatch(place.name) is None
    return place.name == "calls" or place.name.startswith("call:")


class Copying:
    """Raises `StoreUnavailable` throughout.

    `quick` carries many small commands at once: there is a key for each number.
    """

    def __init__(self, shards: Shards, *, quick: Execute, scan: Scan) -> None:
        self._shards = shards
        self._quick = quick
        self._scan = scan

    async def now_ms(self) -> int:
        """The clock of Redis, by which keys end."""
        return instant(await self._run("TIME"))

    async def is_empty(self) -> bool:
        """Whether there is no pool, number, site or endpoint; what a first start makes is none."""
        async for key in self._scan(f"{PREFIX}:*"):
            place = place_of(key)
            if place.home is not Home.NOWHERE and place.name != "admin-keys":
                return False
        return True

    async def keys(self) -> AsyncIterator[list[str]]:
        """Every key once, in no order, some at a time."""
        seen: set[str] = set()
        some: list[str] = []
        async for key in self._scan(f"{PREFIX}:*"):
            if key not in seen:
                seen.add(key)
                some.append(key)
            if len(some) == _AT_ONCE:
                yield some
                some = []
        yield some

    async def read(self, keys: Sequence[tuple[str, Place]]) -> AsyncIterator[Record]:
        """Some keys as records; nothing of one that ended meanwhile. Small ones share a record."""
        kinds = await asyncio.gather(*(self._quick("TYPE", key) for key, _ in keys))
        lefts = await asyncio.gather(*(self._quick("PTTL", key) for key, _ in keys))
        now_ms = await self.now_ms()
        plain: list[tuple[str, Place, int | None]] = []
        for (key, place), told, left in zip(keys, kinds, lefts, strict=True):
            kind = told.decode() if isinstance(told, bytes) else str(told)
            expires_ms = None if count(left) < 0 else now_ms + count(left)
            if kind == "string":
                plain.append((key, place, expires_ms))
                continue
            async for values in self._parts(key, kind):
                yield Record(place=place, kind=kind, values=values, expires_ms=expires_ms)
        for record in await self._strings(plain):
            yield record

    async def _strings(self, keys: Sequence[tuple[str, Place, int | None]]) -> list[Record]:
        values = await asyncio.gather(*(self._quick("GET", key) for key, _, _ in keys))
        records, shared = [], []
        for (_, place, expires_ms), value in zip(keys, values, strict=True):
            if value is None:
                continue
            if place.home is Home.GLOBAL:
                shared.append([place.name, text(value), str(expires_ms or "")])
            else:
                records.append(
                    Record(
                        place=place, kind="string", values=[[text(value)]], expires_ms=expires_ms
                    )
                )
        if shared:
            records.append(Record(place=Place(Home.GLOBAL), kind=STRINGS, values=shared))
        return records

    async def write(self, record: Record) -> None:
        """Put a record where it belongs on these shards. Idempotent, but for parts of lists."""
        if record.expires_ms is not None and record.expires_ms <= await self.now_ms():
            return
        if record.kind == STRINGS:
            await self._write_strings(record)
            return
        if record.place.home is not Home.MEMBERS:
            await self._write(self._key(record.place), record)
            return
        by_shard: dict[str, list[Sequence[str]]] = {}
        for row in record.values:
            # `call_<pool>_<token>`, orders alike, and `pool_<pool>`.
            shard = shard_of(f"pool_{row[0].split('_')[1]}", shards=self._shards.count)
            key = f"{ShardKeys(shard).tag}:{record.place.name}"
            by_shard.setdefault(key, []).append(row)
        for key, rows in by_shard.items():
            await self._write(key, replace(record, values=rows))

    async def _write_strings(self, record: Record) -> None:
        now_ms = await self.now_ms()
        works = []
        for name, value, expires in record.values:
            if not expires:
                works.append(self._quick("SET", f"{PREFIX}:{name}", value))
            elif int(expires) > now_ms:
                works.append(self._quick("SET", f"{PREFIX}:{name}", value, "PXAT", expires))
        await asyncio.gather(*works)

    async def _write(self, key: str, record: Record) -> None:
        flat: list[Value] = [part for row in record.values for part in row]
        match record.kind:
            case "string":
                await self._run("SET", key, *flat)
            case "hash":
                await self._run("HSET", key, *flat)
            case "set":
                await self._run("SADD", key, *flat)
            case "zset":
                pairs = [(row[1], row[0]) for row in record.values]
                await self._run("ZADD", key, *(part for pair in pairs for part in pair))
            case "list":
                await _LIST_PUT.run(self._shards.execute, {"list": key}, flat)
            case _:
                return
        if record.expires_ms is not None:
            await self._run("PEXPIREAT", key, record.expires_ms)

    async def adopt_pool(self, pool_id: str) -> None:
        """List a pool on its shard, and let the sweeper look at it: its deadlines are not known."""
        shard = ShardKeys(shard_of(pool_id, shards=self._shards.count))
        await self._run("SADD", shard.pools, pool_id)
        await self._run("ZADD", shard.due, 0, pool_id)

    async def free_leased(self, pool_id: str, *, at_ms: int) -> int:
        """Put numbers that lie nowhere on their shelves; how many. After a copy without leases."""
        at = self._shards.pool(pool_id)
        placed, cursor = 0, "0"
        while True:
            reply = await self._run("HSCAN", at.numbers, cursor, "COUNT", _AT_ONCE)
            if not isinstance(reply, (list, tuple)):
                raise _strange()
            by_shelf: dict[str, list[Value]] = {}
            for number, packed in mapping(reply[1]).items():
                shelf, state, rest = packed.split("\t", 2)
                if state == "draining":
                    await self._run("HSET", at.numbers, number, f"{shelf}\t\t{rest}")
                lies_on = QUARANTINE if state in _SET_ASIDE else shelf
                by_shelf.setdefault(lies_on, []).extend((at_ms, number))
            for shelf, rows in by_shelf.items():
                placed += count(await self._run("ZADD", at.free + shelf, "NX", *rows))
            cursor = str(count(reply[0]))
            if cursor == "0":
                return placed

    async def caller_key(self) -> str | None:
        """The key of the callers' hashes, where the store keeps it."""
        value = await self._run("HGET", META, "caller_key")
        return None if value is None else text(value)

    async def adopt_caller_key(self, key: str) -> None:
        """Recognise the callers of the export."""
        await self._run("HSET", META, "caller_key", key)

    async def has_admin_key(self) -> bool:
        """Whether this system has an admin key of its own."""
        return await self._run("HEXISTS", f"{PREFIX}:admin-keys", "admin") == 1

    async def _parts(self, key: str, kind: str) -> AsyncIterator[Sequence[Sequence[str]]]:
        match kind:
            case "list":
                values = texts(await self._run("LRANGE", key, 0, -1))
                if values:
                    yield [[value] for value in values]
            case "hash" | "zset" | "set":
                async for part in self._scanned(key, kind):
                    if part:
                        yield part

    async def _scanned(self, key: str, kind: str) -> AsyncIterator[Sequence[Sequence[str]]]:
        command = {"hash": "HSCAN", "zset": "ZSCAN", "set": "SSCAN"}[kind]
        cursor = "0"
        while True:
            reply = await self._run(command, key, cursor, "COUNT", _AT_ONCE)
            if not isinstance(reply, (list, tuple)):
                raise _strange()
            cursor = str(count(reply[0]))
            rows: list[Sequence[str]]
            if kind == "hash":
                rows = [list(pair) for pair in mapping(reply[1]).items()]
            elif kind == "zset":
                rows = [[name, _score(score)] for name, score in scored(reply[1])]
            else:
                rows = [[member] for member in texts(reply[1])]
            for start in range(0, len(rows), _AT_ONCE):
                yield rows[start : start + _AT_ONCE]
            if cursor == "0":
                return

    def _key(self, place: Place) -> str:
        if place.home is Home.GLOBAL:
            return f"{PREFIX}:{place.name}"
        tag = ShardKeys(shard_of(place.pool_id, shards=self._shards.count)).tag
        middle = "history:" if place.home is Home.HISTORY else ""
        return f"{tag}:{middle}{place.pool_id}:{place.name}"

    async def _run(self, *command: Value) -> object:
        return await self._shards.execute(*command)


def _score(score: float) -> str:
    return str(int(score)) if score.is_integer() else repr(score)


def _strange() -> StoreUnavailable:
    return StoreUnavailable("The store answered a scan with something else.")
