"""Whose number was this? The answer for a dialed number at an instant."""

import asyncio
from dataclasses import dataclass

import orjson

from dni_allocator.domain.attribution import Basis, Candidate, Holder, rank, rank_shared, recall
from dni_allocator.domain.errors import InvalidRequest, NumberUnknown, PoolUnknown
from dni_allocator.domain.number import caller_number
from dni_allocator.domain.pool import Pool
from dni_allocator.domain.recognition import recognise
from dni_allocator.domain.traffic_source import Source, TrafficSource
from dni_allocator.services.callers import Callers
from dni_allocator.store.calls import Caller
from dni_allocator.store.directory import Directory, Role
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.traffic_sources import TrafficSourceStore

CLOCK_TOLERANCE_MS = 60_000
"""How far ahead of Redis a caller's clock may be before `at` is called a mistake."""

NUMBER_UNKNOWN = "No pool has this number, or had it within its attribution window."


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The ranked answer. `candidates` best first; empty when nobody is known."""

    number: str
    at_ms: int
    pool: Pool
    basis: Basis
    confidence: float
    candidates: tuple[Candidate, ...]
    route_to: str
    """Where the call belongs: the destination of the best candidate, else the pool's default."""
    now_ms: int
    """When the answer was given; `at_ms` lies at or before it."""
    caller_number: str | None
    """Who called, E.164, if that was told."""
    caller: Caller | None
    """What is remembered of them."""
    sources: tuple[Source, ...] = ()
    """Where the visit of each candidate came from, in their order."""
    linked: tuple[TrafficSource, ...] = ()
    """The operator's sources that the pool links."""


class AttributionService:
    """Reads only; two round trips and one script, one more for a caller, and one for sources."""

    def __init__(
        self,
        *,
        directory: Directory,
        pools: PoolStore,
        leases: LeaseStore,
        callers: Callers,
        sources: TrafficSourceStore,
    ) -> None:
        self._directory = directory
        self._pools = pools
        self._leases = leases
        self._callers = callers
        self._sources = sources

    async def attribute(
        self,
        number: str,
        *,
        at_ms: int | None = None,
        caller: str | None = None,
        at_field: str = "at",
    ) -> Attribution:
        """Rank who had `number` (E.164) at `at_ms`, default now.

        `caller` as people write numbers in the country of the pool; who called before is ranked by
        that, too. Raises `NumberUnknown` when no pool has the number or lately had it,
        `InvalidNumber` for a caller that is none, `InvalidRequest` for an instant in the future or
        before 1970 (as `at_field`), `StoreUnavailable`.
        """
        entry = await self._directory.find(number)
        if entry is None:
            raise NumberUnknown(NUMBER_UNKNOWN)
        try:
            record, pool = await asyncio.gather(
                self._leases.number_record(entry.pool_id, number), self._pools.read(entry.pool_id)
            )
        except PoolUnknown as error:
            message = "The pool of this number was deleted."
            raise NumberUnknown(message) from error
        if record is None:
            raise NumberUnknown(NUMBER_UNKNOWN)
        if at_ms is not None and not 0 <= at_ms <= record.now_ms + CLOCK_TOLERANCE_MS:
            detail = "Lies in the future." if at_ms > 0 else "Lies before 1970."
            raise InvalidRequest.at(at_field, detail)
        instant = record.now_ms if at_ms is None else min(at_ms, record.now_ms)
        shared = entry.role is Role.OVERFLOW or all(holder.shared for holder in record.holders)
        ranking = rank_shared if shared else rank
        candidates = ranking(record.holders, at_ms=instant, window_ms=pool.window_ms)
        who = None if caller is None else caller_number(caller, country=pool.settings.country)
        known, linked = await asyncio.gather(
            self._callers.known(pool.id, who, at_ms=instant),
            self._sources.some(pool.settings.traffic_sources),
        )
        if known is not None:
            candidates = recall(candidates, known.memories, number=number, at_ms=instant)
        return Attribution(
            number=number,
            at_ms=instant,
            pool=pool,
            basis=_basis(candidates, shared=entry.role is Role.OVERFLOW),
            confidence=candidates[0].confidence if candidates else 0.0,
            candidates=candidates,
            route_to=(
                candidates[0].holder.destination if candidates else pool.settings.destinations[0]
            ),
            now_ms=record.now_ms,
            caller_number=who,
            caller=known,
            sources=tuple(_source(each.holder, linked) for each in candidates),
            linked=linked if candidates else (),
        )


def _source(holder: Holder, linked: tuple[TrafficSource, ...]) -> Source:
    told = orjson.loads(holder.data) if holder.data else {}
    return recognise(told.get("fields") or {}, told.get("url"), told.get("referrer"), linked)


def _basis(candidates: tuple[Candidate, ...], *, shared: bool) -> Basis:
    if candidates:
        return candidates[0].basis
    return Basis.OVERFLOW if shared else Basis.NONE
