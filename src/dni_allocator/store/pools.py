"""Pools in Redis: their settings, their inventory, their counters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from dni_allocator.domain.errors import EditConflict, PoolInUse, PoolUnknown, StoreUnavailable
from dni_allocator.domain.number import plain_international
from dni_allocator.domain.pool import Occupancy, Pool
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.policies import packed_policy
from dni_allocator.store.pool_documents import dump, load_pool
from dni_allocator.store.replies import count, mapping, text, texts
from dni_allocator.store.scripts import Value, load
from dni_allocator.store.shards import Shards

_CREATE = load("pool_create")
_EDIT = load("pool_edit")
_DELETE = load("pool_delete")
_ATTACH = load("numbers_attach")
_DETACH = load("number_detach")

ATTACH_BATCH = 500
"""Rows of one attach script: five values each, far below Lua's limit of 8,000 on the stack."""

THE_SHELF = "any"
"""The one shelf of a pool that does not match: all its numbers are interchangeable."""


QUARANTINE = "quarantined"
"""The shelf of numbers that are set aside, and the state of those in quarantine."""

HELD = "held"
"""The state of numbers that were called a moment ago (`lua/lib/records.lua`)."""


class Detached(StrEnum):
    """What a detach did."""

    DETACHED = "detached"
    DRAINING = "draining"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class InventoryRow:
    """One number as it is put on a shelf. `facts` is JSON text, "" for none.

    `place` is the text of the shelf's `domain.place.Place`, "" for `THE_SHELF`.

    `shelved_at_ms` is its place in the queue: numbers never leased get a random one far in the
    past, so that the first visitors of two pools do not walk through the same order.
    """

    number: str
    shelf: str
    place: str
    national: str
    international: str
    facts: str
    shelved_at_ms: int


@dataclass(frozen=True, slots=True)
class AttachedNumber:
    """One number of the inventory as it is now."""

    number: str
    shelf: str
    state: str
    """"", `draining`, `quarantined` or `held`; each may still be leased."""
    national: str
    international: str
    facts: str
    deadline_ms: int | None
    """End of the lock as far as it is known now; None: it is free."""


class PoolStore:
    """The records and scripts around pools, typed. Raises `StoreUnavailable` throughout."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def create(self, pool: Pool) -> None:
        """Write a new pool. Idempotent by its id."""
        at = self._shards.pool(pool.id)
        await _CREATE.run(
            self._shards.execute,
            {"conf": at.conf, "pools": at.shard.pools, "pool_id": pool.id, "doc": dump(pool)},
        )

    async def read(self, pool_id: str, *, also_half_deleted: bool = False) -> Pool:
        """Read one pool. Raises `PoolUnknown`; by default also for one being deleted."""
        at = self._shards.pool(pool_id)
        reply = await self._shards.execute("HMGET", at.conf, "rev", "doc", "unshelved")
        rev, doc, unshelved = reply if isinstance(reply, list) else (None, None, None)
        if rev is None and also_half_deleted:
            rev = b"0"
        if rev is None or doc is None:
            message = "There is no pool with this id."
            raise PoolUnknown(message)
        pool = load_pool(text(doc), revision=int(text(rev)))
        return pool if unshelved is None else replace(pool, unshelved=True)

    async def edit(self, pool: Pool, *, unshelves: bool = False) -> Pool:
        """Replace the settings of the revision that `pool` carries; return the new revision.

        `unshelves`: its numbers belong on other shelves from now on. The pool says so
        (`Pool.unshelved`) until somebody has put all of them there. Raises `EditConflict` when
        another edit came first, `PoolUnknown`. Safe to repeat.
        """
        at = self._shards.pool(pool.id)
        reply = await _EDIT.run(
            self._shards.execute,
            {
                "conf": at.conf,
                "orders": at.orders,
                "due": at.shard.due,
                "pool_id": pool.id,
                "rev": pool.revision,
                "doc": dump(pool),
                "unshelves": int(unshelves),
            },
        )
        match reply[0]:
            case b"OK":
                return replace(pool, revision=int(reply[1]), unshelved=pool.unshelved or unshelves)
            case b"CONFLICT":
                message = "The pool was edited meanwhile; read it again."
                raise EditConflict(message)
            case _:
                message = "There is no pool with this id."
                raise PoolUnknown(message)

    async def ids(self, shard: ShardKeys) -> list[str]:
        """The pools of one shard, in no order."""
        return texts(await self._shards.execute("SMEMBERS", shard.pools))

    def shards(self) -> list[ShardKeys]:
        """Every shard."""
        return self._shards.all()

    async def occupancy(self, pool_id: str) -> Occupancy:
        """What the pool holds now. Four reads, each exact, not one instant."""
        at = self._shards.pool(pool_id)
        attached = count(await self._shards.execute("HLEN", at.numbers))
        leased = count(await self._shards.execute("ZCARD", at.leased))
        resting = count(await self._shards.execute("ZCARD", at.free + QUARANTINE))
        totals = mapping(await self._shards.execute("HGETALL", at.stats))
        leases = await self._shards.execute("HGET", at.conf, "fence")
        given = 0 if leases is None else count(leases)
        return Occupancy(
            attached=attached,
            leased=leased,
            resting=resting,
            totals={
                # Every lease ever given got a fence; those that were not returned were new.
                **({"new": given - int(totals.get("returned", 0))} if given else {}),
                **{name: int(value) for name, value in totals.items()},
            },
        )

    async def attach(self, pool: Pool, inventory: Sequence[InventoryRow]) -> list[str]:
        """Put numbers on their shelves; per row `attached` or `already`. Idempotent.

        The directory must hold them for this pool already. Raises `PoolUnknown`, and
        `EditConflict` when the pool was edited since: the shelves may be others now.
        """
        at = self._shards.pool(pool.id)
        outcomes: list[str] = []
        for start in range(0, len(inventory), ATTACH_BATCH):
            values: list[Value] = []
            for row in inventory[start : start + ATTACH_BATCH]:
                international = row.international
                if international == plain_international(row.number):
                    international = ""
                packed = f"{row.national}\t{international}\t{row.facts}"
                values += [row.number, row.shelf, row.place, packed, row.shelved_at_ms]
            reply = await _ATTACH.run(
                self._shards.execute,
                {
                    "conf": at.conf,
                    "numbers": at.numbers,
                    "shelves": at.shelves,
                    "places": at.places,
                    "orders": at.orders,
                    "drained": at.drained,
                    "free": at.free,
                    "rev": pool.revision,
                },
                values,
            )
            if reply[0] == b"GONE":
                message = "There is no pool with this id."
                raise PoolUnknown(message)
            if reply[0] == b"STALE":
                message = "The pool was edited meanwhile; attach again."
                raise EditConflict(message)
            outcomes += [outcome.decode() for outcome in reply[1:]]
        return outcomes

    async def present(self, pool_id: str, numbers: Sequence[str]) -> set[str]:
        """Which of these numbers the pool has. One round trip per 1,000."""
        at = self._shards.pool(pool_id)
        found: set[str] = set()
        for start in range(0, len(numbers), 1000):
            part = numbers[start : start + 1000]
            reply = await self._shards.execute("HMGET", at.numbers, *part)
            values = reply if isinstance(reply, list) else []
            found |= {
                number for number, value in zip(part, values, strict=True) if value is not None
            }
        return found

    async def detach(
        self, pool_id: str, number: str, *, window_ms: int, force: bool, policy: str = ""
    ) -> Detached:
        """Take a number out; a leased one when its lease ends, or now if forced. Idempotent."""
        at = self._shards.pool(pool_id)
        reply = await _DETACH.run(
            self._shards.execute,
            {
                **at.for_ending(),
                "given_now": self._shards.clock(),
                "pool_id": pool_id,
                "resting": at.resting,
                "notes": at.notes,
                "number": number,
                "window": window_ms,
                "force": int(force),
                "policy": policy,
            },
        )
        if reply[0] == b"GONE":
            message = "There is no pool with this id."
            raise PoolUnknown(message)
        return Detached(reply[0].decode().lower())

    async def number(self, pool_id: str, number: str) -> AttachedNumber | None:
        """One number as it is now; None: the pool does not have it. Two reads, not one instant."""
        at = self._shards.pool(pool_id)
        packed = await self._shards.execute("HGET", at.numbers, number)
        if not isinstance(packed, bytes):
            return None
        deadline = await self._shards.execute("ZSCORE", at.leased, number)
        return _attached(number, packed.decode(), None if deadline is None else count(deadline))

    async def inventory(
        self, pool_id: str, *, cursor: str, limit: int
    ) -> tuple[list[AttachedNumber], str]:
        """Part of the inventory after `cursor` ("0" to begin), and the next cursor ("0": end).

        By HSCAN: every number present throughout is seen, some perhaps twice; `limit` is a hint.
        """
        at = self._shards.pool(pool_id)
        reply = await self._shards.execute("HSCAN", at.numbers, cursor, "COUNT", limit)
        if not isinstance(reply, (list, tuple)):
            message = "The store answered a scan with something else."
            raise StoreUnavailable(message)
        following, found = str(count(reply[0])), mapping(reply[1])
        if not found:
            return [], following
        deadlines = await self._shards.execute("ZMSCORE", at.leased, *found)
        scores = deadlines if isinstance(deadlines, list) else []
        result = [
            _attached(number, packed, None if deadline is None else count(deadline))
            for (number, packed), deadline in zip(found.items(), scores, strict=True)
        ]
        return result, following

    async def delete_some(
        self, pool: Pool, *, force: bool, told: Sequence[str] = (), limit: int = 500
    ) -> tuple[list[str], bool]:
        """Delete a part of the pool: numbers dropped, and whether there is more to do.

        Numbers that were dropped come again until they are `told`: the directory has heard of them.
        Raises `PoolInUse` with the number of live leases unless forced. Safe to repeat.
        """
        at = self._shards.pool(pool.id)
        reply = await _DELETE.run(
            self._shards.execute,
            {
                **at.for_ending(),
                "pools": at.shard.pools,
                "resting": at.resting,
                "notes": at.notes,
                "places": at.places,
                "orders": at.orders,
                "suggested": at.suggested,
                "upkeep": at.upkeep,
                "policy": packed_policy(pool.settings),
                "given_now": self._shards.clock(),
                "pool_id": pool.id,
                "window": pool.window_ms,
                "force": int(force),
                "limit": limit,
            },
            list(told),
        )
        if reply[0] == b"IN_USE":
            live = int(reply[1])
            message = f"{live} visitors hold numbers of this pool; delete with force to cut them."
            raise PoolInUse(message, extra={"live_leases": live})
        if reply[0] == b"GONE":
            return [], False
        return [number.decode() for number in reply[1:]], reply[0] == b"MORE"


def _attached(number: str, packed: str, deadline_ms: int | None) -> AttachedNumber:
    shelf, state, national, international, facts = packed.split("\t", 4)
    return AttachedNumber(
        number=number,
        shelf=shelf,
        state=state,
        national=national,
        international=international or plain_international(number),
        facts=facts,
        deadline_ms=deadline_ms,
    )
