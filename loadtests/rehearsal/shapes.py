"""How many visitors arrive, over time. Pure functions of the second since the beginning."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True)
class Rates:
    """Visitors a second, as multiples of the base rate of the run."""

    people: float
    robots: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of traffic.

    `at(share)`: what arrives at a point of the run, from 0 (its beginning) to 1. `highest`: a bound
    of people and of robots. `outage`: between these points the service is away, if the rehearsal
    can make it so.
    """

    summary: str
    at: Callable[[float], Rates]
    highest: Rates
    outage: tuple[float, float] | None = None

    def silent(self, share: float) -> bool:
        """Whether the service is supposed to be away at this point."""
        return self.outage is not None and self.outage[0] <= share < self.outage[1]


def arrivals(
    random: Random, *, rate: Callable[[float], float], highest: float, until: float
) -> Iterator[float]:
    """Seconds at which visitors arrive: a Poisson process whose rate varies, up to `until`.

    By thinning (Lewis and Shedler 1979): candidates come at the highest rate, each stays with the
    probability of its instant. `rate` in visitors a second, never above `highest`.
    """
    if highest <= 0:
        return
    at = random.expovariate(highest)
    while at < until:
        if random.random() * highest < rate(at):
            yield at
        at += random.expovariate(highest)


def _flat(_: float) -> Rates:
    return Rates(1.0)


_NIGHT: Final = 0.1


def _daily(share: float) -> Rates:
    # One day: least at the beginning and the end, most in the middle.
    return Rates(_NIGHT + (1 - _NIGHT) * (1 - math.cos(2 * math.pi * share)) / 2)


_SPOT_AT: Final = 0.3
_SPOT_TIMES: Final = 10.0
_SPOT_FADES: Final = 0.08


def _spot(share: float) -> Rates:
    # A TV spot: within seconds ten times as many, then half of it after each 5.5 % of the run.
    if share < _SPOT_AT:
        return Rates(1.0)
    return Rates(1.0 + (_SPOT_TIMES - 1) * math.exp(-(share - _SPOT_AT) / _SPOT_FADES))


_GAP: Final = (0.4, 0.55)
_RETURN: Final = 0.02


def _avalanche(share: float) -> Rates:
    # Nobody gets through for a while; then all who tried come within 2 % of the run.
    if _GAP[0] <= share < _GAP[1]:
        return Rates(0.0)
    if _GAP[1] <= share < _GAP[1] + _RETURN:
        return Rates(1.0 + (_GAP[1] - _GAP[0]) / _RETURN)
    return Rates(1.0)


_RAID: Final = (1 / 3, 2 / 3)
_ROBOTS_TIMES: Final = 10.0


def _robots(share: float) -> Rates:
    return Rates(1.0, _ROBOTS_TIMES if _RAID[0] <= share < _RAID[1] else 0.0)


SHAPES: Final[Mapping[str, Shape]] = {
    "flat": Shape(summary="as many all the time", at=_flat, highest=Rates(1.0)),
    "daily": Shape(summary="a day: a tenth at night, all at noon", at=_daily, highest=Rates(1.0)),
    "tv-spot": Shape(
        summary="ten times as many within a moment, fading",
        at=_spot,
        highest=Rates(_SPOT_TIMES),
    ),
    "avalanche": Shape(
        summary="an outage, then everybody at once",
        at=_avalanche,
        highest=Rates(1.0 + (_GAP[1] - _GAP[0]) / _RETURN),
        outage=_GAP,
    ),
    "robots": Shape(
        summary="robots that hide, ten for each person, in the middle third",
        at=_robots,
        highest=Rates(1.0, _ROBOTS_TIMES),
    ),
}
