"""How many numbers a pool needs, from typed figures or from what happened in it.

Typed figures win over measured ones, so that a question may change one and keep the others. The
formulas are in `domain.sizing`; this module knows where figures come from, and says so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dni_allocator.domain.erlang import MOST_LOAD
from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.history import HOUR_MS, Bucket, Resolution, joined
from dni_allocator.domain.pool import PoolSettings, Selection
from dni_allocator.domain.sizing import Goals, Sizing, Traffic, curve, mean_hold_s, size
from dni_allocator.services.history import History
from dni_allocator.services.pools import Pools

_DAY_HOURS: Final = 24
_WIDEST: Final = 5
"""The curve reaches the recommended size unless that is so many times what Erlang asks for."""


class Basis(StrEnum):
    """Where a figure comes from. `assumed`: nobody said, and nothing was measured."""

    TYPED = "typed"
    MEASURED = "measured"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody wants to know. None: take what was measured, or is usual.

    Arrivals are visitors who want a number, in the busiest hour and its busiest minute. The hold is
    given as such, or follows from the time on the site and the pool's two locks.
    """

    per_hour: float | None = None
    peak_minute: float | None = None
    hold_s: float | None = None
    on_site_s: float | None = None
    delay_s: float | None = None
    idle_s: float | None = None
    lost_beacons: float | None = None
    numbers: int | None = None
    selection: Selection | None = None
    goals: Goals = field(default_factory=Goals)
    price: float | None = None
    """Of one number a month, in any currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What happened in a pool lately. None: nothing of the kind did.

    `per_hour` is the busiest hour of `hours` with visitors, refused ones included.
    """

    hours: int = 0
    per_hour: float | None = None
    peak_minute: float | None = None
    hold_s: float | None = None
    lost_beacons: float | None = None
    numbers: int | None = None


NOTHING_MEASURED: Final = Measured()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The sizes, and what they rest on. `basis` is by the field of `domain.sizing.Traffic`."""

    sizing: Sizing
    selection: Selection
    basis: Mapping[str, Basis]
    lost_beacons: float | None
    hours: int | None
    """Hours with visitors that were looked at; None: nothing was measured."""
    price: float | None
    curve: Sequence[tuple[int, float]]
    """Size and share turned away."""


class SizingService:
    """Sizes of pools. Raises `StoreUnavailable` where it asks for a pool."""

    def __init__(self, *, pools: Pools, history: History) -> None:
        self._pools = pools
        self._history = history

    async def of_pool(self, pool_id: str, asked: Asked, *, days: int = 7) -> Answer:
        """Size a pool from its last `days`, with whatever was typed in the place of that.

        Raises `PoolUnknown`, and as `answer`.
        """
        pool = await self._pools.read(pool_id)
        measured = await self.measured(pool_id, days=days)
        return await asyncio.to_thread(answer, asked, settings=pool.settings, measured=measured)

    async def typed(self, asked: Asked) -> Answer:
        """Size from typed figures alone. Raises as `answer`."""
        return await asyncio.to_thread(answer, asked)

    async def measured(self, pool_id: str, *, days: int = 7) -> Measured:
        """What happened in a pool in its last `days`. Raises `PoolUnknown`."""
        occupancy = await self._pools.occupancy(pool_id)
        hours = await self._history.of(pool_id, Resolution.HOUR)
        start_ms = hours.end_ms - days * _DAY_HOURS * HOUR_MS
        hours = await self._history.of(pool_id, Resolution.HOUR, start_ms=start_ms)
        minutes = await self._history.of(pool_id, Resolution.MINUTE)
        return summed(
            hours.buckets,
            last_hour=joined(minutes.buckets),
            numbers=occupancy.attached - occupancy.resting,
        )


def summed(hours: Sequence[Bucket], *, last_hour: Bucket, numbers: int) -> Measured:
    """What hours tell, and the last 60 minutes, which may lie across two of them."""
    used = [bucket for bucket in hours if bucket.offered]
    together = joined([*hours])
    busiest = max((bucket.offered for bucket in [*used, last_hour]), default=0)
    return Measured(
        hours=len(used),
        per_hour=float(busiest) if busiest else None,
        peak_minute=float(together.busiest_minute) if busiest else None,
        hold_s=together.mean_hold_s,
        lost_beacons=together.lost_beacons,
        numbers=numbers,
    )


def answer(
    asked: Asked, *, settings: PoolSettings | None = None, measured: Measured | None = None
) -> Answer:
    """Put figures together and size by them. Takes a moment of CPU: for a thread.

    Raises `InvalidRequest` when a figure is missing that nothing was measured of, or when it is
    more than the formulas are made for.
    """
    seen = measured or NOTHING_MEASURED
    basis: dict[str, Basis] = {}
    idle_s = None if settings is None else float(settings.idle_limit_s)
    quiet = None if measured is None else 0.0
    per_hour = _first(basis, "per_hour", asked.per_hour, seen.per_hour, quiet)
    if per_hour is None:
        raise InvalidRequest.at("arrivals_per_hour", "Needed where there is no pool to measure.")
    typed_hold_s = _typed_hold(asked, settings, seen)
    hold_s = _first(basis, "hold_s", typed_hold_s, seen.hold_s, idle_s)
    if hold_s is None:
        raise InvalidRequest("hold_s or time_on_site_s: needed where there is no pool to measure.")
    # A typed hour has no measured minute: it would be one of other traffic.
    peak = seen.peak_minute if asked.per_hour is None else None
    peak_minute = _first(basis, "peak_minute", asked.peak_minute, peak, None)
    numbers = asked.numbers if asked.numbers is not None else seen.numbers
    traffic = Traffic(per_hour=per_hour, hold_s=hold_s, peak_minute=peak_minute)
    # Also of the gap, which may ask for many more numbers than the load.
    wanted = max(traffic.load, traffic.peak_load or 0) + per_hour / 3600 * (asked.goals.gap_s or 0)
    if wanted > MOST_LOAD or (numbers or 0) > 10 * MOST_LOAD:
        raise InvalidRequest(
            f"More than {MOST_LOAD:,.0f} numbers at a time: too much for one pool."
        )
    selection = asked.selection or (
        Selection.LEAST_RECENTLY_RELEASED if settings is None else settings.selection
    )
    found = size(traffic, asked.goals, numbers=numbers, selection=selection)
    lost = asked.lost_beacons
    if lost is None and asked.hold_s is None:
        lost = seen.lost_beacons
    return Answer(
        sizing=found,
        selection=selection,
        basis=basis,
        lost_beacons=lost,
        hours=None if measured is None else measured.hours,
        price=asked.price,
        curve=curve(traffic, most=_reach(found, numbers)),
    )


def _reach(found: Sizing, present: int | None) -> int:
    reach = max(2 * found.erlang, found.published, present or 0)
    if found.recommended.numbers <= _WIDEST * found.erlang:
        reach = max(reach, found.recommended.numbers)
    return reach + 3


def _typed_hold(asked: Asked, settings: PoolSettings | None, measured: Measured) -> float | None:
    """The hold if somebody typed it, or a visit it follows from."""
    if asked.hold_s is not None or asked.on_site_s is None:
        return asked.hold_s
    lost = asked.lost_beacons if asked.lost_beacons is not None else measured.lost_beacons
    usual = settings or PoolSettings(name="", country="US", destinations=())
    return mean_hold_s(
        on_site_s=asked.on_site_s,
        delay_s=usual.closed_browser_delay_s if asked.delay_s is None else asked.delay_s,
        idle_s=usual.idle_limit_s if asked.idle_s is None else asked.idle_s,
        lost_beacons=lost or 0.0,
    )


def _first(
    basis: dict[str, Basis],
    name: str,
    typed: float | None,
    measured: float | None,
    assumed: float | None,
) -> float | None:
    """The first figure there is, and where it comes from."""
    for value, source in (
        (typed, Basis.TYPED), (measured, Basis.MEASURED), (assumed, Basis.ASSUMED)
    ):  # fmt: skip
        if value is not None:
            basis[name] = source
            return value
    return None
