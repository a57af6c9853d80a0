"""Whose number was this? The answer for a dialed number at an instant."""

from dataclasses import dataclass

from dni_allocator.domain.attribution import Basis, Candidate, rank, rank_shared
from dni_allocator.domain.errors import InvalidRequest, NumberUnknown, PoolUnknown
from dni_allocator.domain.pool import Pool
from dni_allocator.store.directory import Directory, Role
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.pools import PoolStore

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


class AttributionService:
    """Reads only; two round trips and one script."""

    def __init__(self, *, directory: Directory, pools: PoolStore, leases: LeaseStore) -> None:
        self._directory = directory
        self._pools = pools
        self._leases = leases

    async def attribute(self, number: str, *, at_ms: int | None = None) -> Attribution:
        """Rank who had `number` (E.164) at `at_ms`, default now.

        Raises `NumberUnknown` when no pool has it or lately had it, `InvalidRequest` for an
        instant in the future or before 1970, `StoreUnavailable`.
        """
        entry = await self._directory.find(number)
        record = None
        if entry is not None:
            record = await self._leases.number_record(entry.pool_id, number)
        if entry is None or record is None:
            raise NumberUnknown(NUMBER_UNKNOWN)
        try:
            pool = await self._pools.read(entry.pool_id)
        except PoolUnknown as error:
            message = "The pool of this number was deleted."
            raise NumberUnknown(message) from error
        if at_ms is not None and not 0 <= at_ms <= record.now_ms + CLOCK_TOLERANCE_MS:
            detail = "Lies in the future." if at_ms > 0 else "Lies before 1970."
            message = f"at: {detail}"
            raise InvalidRequest(message, extra={"errors": [{"field": "at", "detail": detail}]})
        instant = record.now_ms if at_ms is None else min(at_ms, record.now_ms)
        shared = entry.role is Role.OVERFLOW or all(holder.shared for holder in record.holders)
        ranking = rank_shared if shared else rank
        candidates = ranking(record.holders, at_ms=instant, window_ms=pool.window_ms)
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
        )


def _basis(candidates: tuple[Candidate, ...], *, shared: bool) -> Basis:
    if candidates:
        return candidates[0].basis
    return Basis.OVERFLOW if shared else Basis.NONE
