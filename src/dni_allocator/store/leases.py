"""Leases in Redis: assign, heartbeat, close, sweep, and what is known of one number."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from dni_allocator.domain.attribution import Holder
from dni_allocator.domain.errors import ScriptContractError
from dni_allocator.domain.lease import (
    Alive,
    Answer,
    Closing,
    Gone,
    Leased,
    Original,
    Overflow,
    PageRequest,
    Reason,
    lease_id,
)
from dni_allocator.domain.number import Formats, formats, parse_number
from dni_allocator.domain.pool import Pool, RefusedSee
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.policies import packed_policy
from dni_allocator.store.scripts import Bound, Reply, Value, load
from dni_allocator.store.shards import Shards

_ASSIGN = load("assign")
_HEARTBEAT = load("heartbeat")
_CLOSE = load("close")
_SWEEP = load("sweep")
_DUE_POOLS = load("due_pools")
_DRAINED_FORGET = load("drained_forget")
_ATTRIBUTION = load("attribution")

_GIVEN = ("visitor", "given_now", "visitor_id", "page_id")
"""What the tag's calls tell with each call; the rest follows from the pool."""

_REASONS = {reason.value.encode(): reason for reason in Reason}

MOST_POOLS_KEPT = 20_000
"""Pools whose calls are kept ready, about 3 kB each (tracemalloc)."""

MOST_FORMATS_KEPT = 10_000
"""Numbers whose formats are kept ready, about 0.8 kB each: 800 instructions instead of 10,000."""

SWEEP_LIMIT = 200
"""Leases one sweep ends at most: 1.3 ms of the embedded server, which pages wait behind."""


class Stale:
    """The pool was edited, or deleted, since the caller read it: read again, then repeat."""


@dataclass(frozen=True, slots=True)
class Unordered:
    """The order of the pool's shelves is not known for these destinations: put it, then repeat."""

    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep of a pool did."""

    ended: int
    forgotten: int
    drained: tuple[str, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class NumberRecord:
    """Everything known of one number at `now_ms`. Holders: the present or last one first."""

    now_ms: int
    state: str
    """`free`, `leased`, `shared` (an overflow number) or `detached`."""
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class _TagCalls:
    """The three scripts the tag's calls run, with everything filled in that the pool decides."""

    pool: Pool
    visitors: str
    lease_prefix: str
    assign: Bound
    heartbeat: Bound
    close: Bound


class LeaseStore:
    """The scripts around leases, typed. One round trip a call unless said otherwise."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._calls: dict[str, _TagCalls] = {}

    async def assign(self, pool: Pool, request: PageRequest) -> list[Answer] | Stale | Unordered:
        """Give every destination of the page its number, in one atomic step.

        Answers are in the order of `request.destinations`. Idempotent: the same visitor and
        destination get the same live lease again. Raises `StoreUnavailable`.
        """
        calls = self._calls_of(pool)
        shards = self._shards
        visitor_id, page_id, destinations, previous, data, refusal, entitled, address = request
        rows: list[str] = []
        for destination in destinations:
            rows += (destination, (previous.get(destination) if previous else None) or "")
        reply = await calls.assign.run(
            shards.execute,
            (
                calls.visitors + visitor_id,
                shards.clock(),
                visitor_id,
                page_id,
                _overflow(pool, request) if pool.settings.overflow_numbers else "",
                data,
                _caller(request) if refusal or entitled or address else "",
            ),
            rows,
            send_packed=shards.send_packed,
        )
        if reply[0] != b"OK":
            if reply[0] == b"UNORDERED":
                return Unordered(tuple(destination.decode() for destination in reply[1:]))
            return Stale()
        now_ms = int(reply[1])
        answers = []
        at = 2
        for destination in destinations:
            answers.append(_answer(calls, reply[at : at + 7], destination, now_ms))
            at += 7
        return answers

    async def heartbeat(self, pool: Pool, *, visitor_id: str, page_id: str) -> Alive | Gone | Stale:
        """Give every live lease of the visitor a new deadline. Idempotent."""
        calls = self._calls_of(pool)
        reply = await calls.heartbeat.run(
            self._shards.execute,
            (calls.visitors + visitor_id, self._shards.clock(), visitor_id, page_id),
            send_packed=self._shards.send_packed,
        )
        match reply[0]:
            case b"OK":
                return Alive(expires_in_ms=int(reply[2]) - int(reply[1]))
            case b"NONE":
                return Gone()
            case _:
                return Stale()

    async def close(self, pool: Pool, *, visitor_id: str, page_id: str) -> Closing | Stale:
        """Close a page; the last one shortens the lock. Idempotent; never lengthens."""
        calls = self._calls_of(pool)
        reply = await calls.close.run(
            self._shards.execute,
            (calls.visitors + visitor_id, self._shards.clock(), visitor_id, page_id),
            send_packed=self._shards.send_packed,
        )
        match reply[0]:
            case b"CLOSED":
                return Closing.LAST_PAGE
            case b"OPEN":
                return Closing.OTHERS_OPEN
            case b"NONE":
                return Closing.NOTHING
            case _:
                return Stale()

    def _calls_of(self, pool: Pool) -> _TagCalls:
        """The scripts for this very revision of the pool; made once, then a look-up."""
        known = self._calls.get(pool.id)
        if known is not None and known.pool is pool:
            return known
        if len(self._calls) >= MOST_POOLS_KEPT:
            self._calls.clear()
        made = self._calls[pool.id] = self._make_calls(pool)
        return made

    def _make_calls(self, pool: Pool) -> _TagCalls:
        at = self._shards.pool(pool.id)
        policy = packed_policy(pool.settings)
        every: dict[str, Value] = {
            "conf": at.conf,
            "leased": at.leased,
            "holders": at.holders,
            "rev": str(pool.revision),
            "idle": str(pool.idle_ms),
            "policy": policy,
        }
        return _TagCalls(
            pool=pool,
            visitors=at.visitors,
            lease_prefix=lease_id(pool.id, ""),
            assign=_ASSIGN.bind(
                every
                | {
                    "numbers": at.numbers,
                    "shelves": at.shelves,
                    "stats": at.stats,
                    "events": at.shard.events,
                    "due": at.shard.due,
                    "drained": at.drained,
                    "pool": at.prefix,
                    "pool_id": pool.id,
                    "window": str(pool.window_ms),
                    "selection": pool.settings.selection.value,
                },
                given=(*_GIVEN, "overflow", "data", "browser"),
            ),
            heartbeat=_HEARTBEAT.bind(
                every | {"due": at.shard.due, "pool_id": pool.id, "window": str(pool.window_ms)},
                given=_GIVEN,
            ),
            close=_CLOSE.bind(
                every
                | {"due": at.shard.due, "pool_id": pool.id, "delay": str(pool.closed_delay_ms)},
                given=_GIVEN,
            ),
        )

    async def due_pools(self, shard: ShardKeys, *, limit: int = 100) -> list[str]:
        """The pools of a shard that have something to sweep now."""
        reply = await _DUE_POOLS.run(
            self._shards.execute,
            {"due": shard.due, "given_now": self._shards.clock(), "limit": limit},
        )
        return [pool_id.decode() for pool_id in reply[2:]]

    async def sweep(
        self, pool_id: str, *, window_ms: int, policy: str = "", limit: int = SWEEP_LIMIT
    ) -> Swept:
        """End what is over, forget whom the window has passed. Idempotent, bounded by `limit`.

        `policy` of `store.policies`, "" for a pool that is not known any more.
        """
        at = self._shards.pool(pool_id)
        reply = await _SWEEP.run(
            self._shards.execute,
            {
                **at.for_ending(),
                "resting": at.resting,
                "notes": at.notes,
                "given_now": self._shards.clock(),
                "pool_id": pool_id,
                "window": window_ms,
                "policy": policy,
                "limit": limit,
            },
        )
        if reply[0] == b"GONE":
            return Swept(ended=0, forgotten=0, drained=(), more=False)
        return Swept(
            ended=int(reply[1]),
            forgotten=int(reply[2]),
            drained=tuple(number.decode() for number in reply[3:]),
            more=reply[0] == b"MORE",
        )

    async def forget_drained(self, pool_id: str, numbers: Sequence[str]) -> None:
        """The directory has heard of these drained numbers. Idempotent."""
        at = self._shards.pool(pool_id)
        await _DRAINED_FORGET.run(self._shards.execute, {"drained": at.drained}, numbers)

    async def number_record(self, pool_id: str, number: str) -> NumberRecord | None:
        """All holders of a number that are still known; None when the pool is gone."""
        at = self._shards.pool(pool_id)
        reply = await _ATTRIBUTION.run(
            self._shards.execute,
            {
                "conf": at.conf,
                "numbers": at.numbers,
                "leased": at.leased,
                "holders": at.holders,
                "free": at.free,
                "history": at.past + number,
                "visitors": at.visitors,
                "given_now": self._shards.clock(),
                "number": number,
            },
        )
        if reply[0] == b"GONE":
            return None
        now, state, deadline, released_at, closed_at, holder, *past = [
            value.decode() for value in reply[1:]
        ]
        holders = []
        if holder:
            end = deadline or released_at
            alive = state == "leased" and float(end) > int(now)
            holders.append(
                _holder(
                    holder,
                    until_ms=None if alive else int(float(end)),
                    closed_ms=int(closed_at) if alive and closed_at else None,
                )
            )
        for entry in past:
            ended_at, _, packed = entry.partition("\t")
            holders.append(
                _holder(packed, until_ms=int(float(ended_at)) if ended_at else None, closed_ms=None)
            )
        return NumberRecord(now_ms=int(now), state=state, holders=tuple(holders))


def _caller(request: PageRequest) -> str:
    """What is to be said of who calls, as the script reads it."""
    return f"{request.refusal}\t{'1' if request.entitled else ''}\t{request.address}"


def _overflow(pool: Pool, request: PageRequest) -> str:
    """The shared number of this page, "" where it is to see the original instead."""
    if request.refusal and pool.settings.refused_see is RefusedSee.ORIGINAL:
        return ""
    return pool.overflow_for(request.visitor_id)


def _answer(calls: _TagCalls, row: Reply, destination: str, now_ms: int) -> Answer:
    status, reason, number, fence, deadline, national, international = row
    if status == b"leased":
        # As `Leased(...)`, for half of its cost: nearly every page view comes through here.
        return tuple.__new__(
            Leased,
            (
                destination,
                _formats(number, national, international),
                _REASONS[reason],
                calls.lease_prefix + fence.decode(),
                int(deadline) - now_ms,
            ),
        )
    if status == b"overflow":
        shared = parse_number(number.decode(), country=calls.pool.settings.country)
        return Overflow(
            destination,
            formats(shared.e164, national=shared.national, international=shared.international),
            _REASONS[reason],
            int(deadline) - now_ms if deadline else None,
        )
    if status == b"none":
        retry_in_ms = int(deadline) - now_ms if deadline else None
        return Original(destination, _REASONS[reason], retry_in_ms)
    message = f"assign: unknown status {status!r}"
    raise ScriptContractError(message)


@lru_cache(maxsize=MOST_FORMATS_KEPT)
def _formats(number: bytes, national: bytes, international: bytes) -> Formats:
    """The formats of a leased number. A visitor's next page view asks for the same again."""
    return formats(
        number.decode(), national=national.decode(), international=international.decode()
    )


def _holder(packed: str, *, until_ms: int | None, closed_ms: int | None) -> Holder:
    visitor_id, destination, from_ms, fence, data = packed.split("\t", 4)
    return Holder(
        visitor_id=visitor_id,
        destination=destination,
        from_ms=int(from_ms),
        until_ms=until_ms,
        closed_ms=closed_ms,
        fence=fence,
        data=data,
    )
