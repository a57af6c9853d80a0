"""Ledgers: orders of numbers, releases, decisions to scale; a record each, kept in order of time.

A record is on the shard of its pool, which its id names: `pur_<pool>_<token>`. It is written with
the spending and the event that belong to it in one step, and only over what its writer has read: so
an intent is there before the vendor hears of it, and no step is taken twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from dni_allocator.domain.errors import EditConflict
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.replies import scored, text, texts
from dni_allocator.store.scripts import Value, load
from dni_allocator.store.shards import Shards

_PUT = load("ledger_put")

KEPT = 2_000
"""Closed records a shard keeps of a ledger."""

_MILLIONTHS = 1_000_000
_SLACK = 64


class Record(Protocol):
    """What every record says of itself."""

    @property
    def id(self) -> str:
        """`<prefix>_<pool>_<token>`."""
        ...

    @property
    def pool_id(self) -> str:
        """Its pool."""
        ...

    @property
    def created_ms(self) -> int:
        """When it was made."""
        ...


R = TypeVar("R", bound=Record)

Position = tuple[int, str]
"""A place in a ledger: when a record was made, ms, and its id. Newest first."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[R]):
    """A record with the text it was read from, which the next write compares."""

    record: R
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a step costs: `held` changes the rent a month, the others count in `month`."""

    month: str
    held: Decimal = Decimal(0)
    released: Decimal = Decimal(0)
    upfront: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Codec(Generic[R]):
    """A kind of record: name of its ledger, and its text."""

    name: str
    dump: Callable[[R], str]
    load: Callable[[str], R]


class Ledger(Generic[R]):
    """One kind of record over all shards. Raises `StoreUnavailable` throughout."""

    def __init__(self, shards: Shards, codec: Codec[R]) -> None:
        self._shards = shards
        self._codec = codec

    async def put(
        self,
        record: R,
        *,
        seen: Kept[R] | None,
        look_at_ms: int | None,
        charge: Charge | None = None,
        latest: str = "",
        event: Mapping[str, str] | None = None,
    ) -> Kept[R]:
        """Write a record. `look_at_ms`: when to look at it next, None: it is closed.

        A new one that is there already is returned as it is. Raises `EditConflict` when somebody
        else wrote since `seen`. Safe to repeat.
        """
        at = self._shards.pool(record.pool_id)
        name = self._codec.name
        charge = charge or Charge(month="")
        written = self._codec.dump(record)
        rest: list[Value] = [part for pair in (event or {}).items() for part in pair]
        reply = await _PUT.run(
            self._shards.execute,
            {
                "records": at.shard.ledger(name),
                "log": at.shard.ledger_log(name),
                "open": at.shard.ledger_open(name),
                "events": at.shard.events,
                "conf": at.conf,
                "upkeep": at.upkeep,
                "given_now": self._shards.clock(),
                "id": record.id,
                "seen": "" if seen is None else seen.text,
                "record": written,
                "created": record.created_ms,
                "look_at": "" if look_at_ms is None else look_at_ms,
                "month": charge.month,
                "held": _millionths(charge.held),
                "released": _millionths(charge.released),
                "upfront": _millionths(charge.upfront),
                "latest": latest,
                "keep": KEPT,
            },
            rest,
        )
        match reply[0]:
            case b"OK":
                return Kept(record, written)
            case b"EXISTS":
                found = text(reply[1])
                return Kept(self._codec.load(found), found)
            case _:
                message = "The record was changed meanwhile."
                raise EditConflict(message)

    async def read(self, record_id: str) -> Kept[R] | None:
        """One record, if it is (still) kept."""
        at = self._shards.pool(_pool_of(record_id))
        found = await self._shards.execute("HGET", at.shard.ledger(self._codec.name), record_id)
        if not isinstance(found, bytes):
            return None
        return Kept(self._codec.load(found.decode()), found.decode())

    async def page(
        self, *, before: Position | None, limit: int, pool_id: str | None = None
    ) -> tuple[list[R], Position | None]:
        """The newest records before one, of all pools or of one; and the place of the last of them.

        None in its place: there are no more. Two round trips a shard, more where records of other
        pools lie between.
        """
        shards = self._shards.all() if pool_id is None else [self._shards.pool(pool_id).shard]
        places: list[Position] = []
        for shard in shards:
            places += await self._newest(shard, before=before, limit=limit + 1, pool_id=pool_id)
        places.sort(reverse=True)
        more = len(places) > limit
        del places[limit:]
        records: dict[str, R] = {}
        for shard in shards:
            ids = [each for _, each in places if self._shards.pool(_pool_of(each)).shard == shard]
            records |= {each.record.id: each.record for each in await self._records(shard, ids)}
        found = [records[each] for _, each in places if each in records]
        return found, places[-1] if more else None

    async def open(self, pool_id: str) -> list[Kept[R]]:
        """The records of one pool that are not closed, the next to look at first."""
        shard = self._shards.pool(pool_id).shard
        ids = texts(
            await self._shards.execute("ZRANGE", shard.ledger_open(self._codec.name), 0, -1)
        )
        return await self._records(shard, [each for each in ids if _pool_of(each) == pool_id])

    async def _records(self, shard: ShardKeys, ids: Sequence[str]) -> list[Kept[R]]:
        """Those of some records of a shard that are (still) kept, in this order. One round trip."""
        if not ids:
            return []
        found = await self._shards.execute("HMGET", shard.ledger(self._codec.name), *ids)
        written = [each.decode() for each in _listed(found) if isinstance(each, bytes)]
        return [Kept(self._codec.load(each), each) for each in written]

    async def due(self, now_ms: int, *, limit: int = 100) -> Sequence[str]:
        """Records to look at by now, of all shards, up to `limit` each."""
        due: list[str] = []
        for shard in self._shards.all():
            key = shard.ledger_open(self._codec.name)
            due += texts(
                await self._shards.execute("ZRANGEBYSCORE", key, "-inf", now_ms, "LIMIT", 0, limit)
            )
        return due

    async def _newest(
        self,
        shard: ShardKeys,
        *,
        before: Position | None,
        limit: int,
        pool_id: str | None,
    ) -> list[Position]:
        found: list[Position] = []
        key, offset, chunk = shard.ledger_log(self._codec.name), 0, limit + _SLACK
        newest: int | str = "+inf" if before is None else before[0]
        while len(found) < limit:
            rows = scored(
                await self._shards.execute(
                    "ZREVRANGEBYSCORE", key, newest, "-inf", "WITHSCORES", "LIMIT", offset, chunk
                )
            )
            for record_id, created in rows:
                at = (int(created), record_id)
                ours = pool_id is None or _pool_of(record_id) == pool_id
                if ours and (before is None or at < before):
                    found.append(at)
            offset += chunk
            if len(rows) < chunk:
                break
        return found[:limit]


def record_id(prefix: str, pool_id: str, token: str) -> str:
    """The id of a record of a pool."""
    return f"{prefix}_{pool_id.removeprefix('pool_')}_{token}"


def _pool_of(record_id: str) -> str:
    return "pool_" + record_id.partition("_")[2].rpartition("_")[0]


def _listed(reply: object) -> list[object]:
    return list(reply) if isinstance(reply, list) else []


def _millionths(amount: Decimal) -> int:
    return int((amount * _MILLIONTHS).to_integral_value())
