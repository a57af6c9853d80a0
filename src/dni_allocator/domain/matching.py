"""Which shelves of a pool are tried for a destination: type for type, area for area.

The rule with its reasons: docs/matching.md. Pure and deterministic: the order depends on nothing
but the destination, the set of shelves and the pool's policy, so it is computed once and cached.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Final

from dni_allocator.domain.number import NumberType
from dni_allocator.domain.place import NANP, Place

_EARTH_KM: Final = 6371.0088
"""Mean radius of the earth (IUGG)."""


class Match(StrEnum):
    """How closely a number has to fit the destination it stands for."""

    NONE = "none"
    """Every number of the pool will do."""
    TYPE = "type"
    """Toll-free for toll-free, local for local, of the same calling code; the area is ignored."""
    AREA = "area"
    """The type, and as near as possible: area code, rate centre, nearest rate centre, region."""


class MatchFallback(StrEnum):
    """What a destination gets when no shelf fits, or all that fit are empty."""

    OVERFLOW = "overflow"
    ORIGINAL = "original"
    ANY = "any"
    """Any other free number of the pool."""


class Tier(StrEnum):
    """Why a shelf fits, best first. Stable: answers name it."""

    SAME_PREFIX = "same_prefix"
    """Toll-free of the same 8XX; any other special number of the same prefix."""
    SAME_TYPE = "same_type"
    AREA_CODE = "area_code"
    """The same area code; outside the NANP also: neither belongs to an area (mobile numbers)."""
    RATE_CENTRE = "rate_centre"
    """The same rate centre under another area code (an overlay)."""
    NEAREST = "nearest"
    """Another rate centre of the same state, by distance."""
    REGION = "region"
    """The same state or region, at an unknown distance."""
    COUNTRY = "country"
    ANY = "any"
    """The policy of the pool takes what there is."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Shelves that fit equally well: of all their numbers the least recently released one wins."""

    tier: Tier
    shelves: tuple[str, ...]
    """Names, sorted; at least one."""
    distance_km: float | None = None
    """Great circle from the destination, to 0.1 km; of the tier `NEAREST` only."""


def shelf_order(
    destination: Place, shelves: Mapping[str, Place], *, match: Match, fallback: MatchFallback
) -> tuple[Rank, ...]:
    """The shelves to try for a destination, best rank first; each shelf is in one rank at most.

    A shelf in no rank is never given. `fallback` matters only as `ANY` or not: the caller shows
    the overflow number or the original when every rank is empty. Cost grows with n log n.
    """
    if match is Match.NONE:
        return _ranks([(Tier.ANY, shelves, None)])
    fitting = {
        name: place
        for name, place in shelves.items()
        if place.type is destination.type and place.calling_code == destination.calling_code
    }
    order = _ranks(_tiers(destination, fitting, match))
    if fallback is not MatchFallback.ANY:
        return order
    ranked = {name for rank in order for name in rank.shelves}
    return order + _ranks([(Tier.ANY, shelves.keys() - ranked, None)])


def as_text(order: tuple[Rank, ...]) -> str:
    """The order as the scripts read it: ranks joined by ",", shelves of one rank by "|"."""
    return ",".join("|".join(rank.shelves) for rank in order)


def great_circle_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The distance of two positions (latitude and longitude in degrees) on a sphere: haversine."""
    phi, lam = map(radians, one)
    other_phi, other_lam = map(radians, other)
    half_chord = (
        sin((phi - other_phi) / 2) ** 2
        + cos(phi) * cos(other_phi) * sin((lam - other_lam) / 2) ** 2
    )
    # Rounding may take antipodes a hair beyond one.
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(half_chord)))


_Draft = tuple[Tier, Iterable[str], float | None]
"""A rank before shelves of better ranks are taken out."""


def _tiers(destination: Place, shelves: Mapping[str, Place], match: Match) -> list[_Draft]:
    """Best first; a shelf may be in several, the first one counts."""

    def where(fits: Callable[[Place], bool]) -> list[str]:
        return [name for name, place in shelves.items() if fits(place)]

    same_code = where(lambda place: place.area_code == destination.area_code)
    in_country = where(lambda place: place.country == destination.country)
    in_region = [
        name
        for name in in_country
        if destination.region and shelves[name].region == destination.region
    ]
    if destination.type is NumberType.OTHER:
        # Premium, shared cost, personal: who pays what depends on the prefix, so nothing else fits.
        return [(Tier.SAME_PREFIX, set(same_code).intersection(in_country), None)]
    if match is Match.TYPE:
        return [(Tier.SAME_TYPE, shelves, None)]
    if destination.type is NumberType.TOLL_FREE:
        return [(Tier.SAME_PREFIX, same_code, None), (Tier.SAME_TYPE, shelves, None)]
    if destination.calling_code != NANP:
        return [
            (Tier.AREA_CODE, set(same_code).intersection(in_country), None),
            (Tier.REGION, in_region, None),
            (Tier.COUNTRY, in_country, None),
        ]
    in_centre = [
        name
        for name in in_region
        if destination.rate_centre and shelves[name].rate_centre == destination.rate_centre
    ]
    others = {name: shelves[name] for name in in_region if name not in {*same_code, *in_centre}}
    return [
        (Tier.AREA_CODE, same_code, None),
        (Tier.RATE_CENTRE, in_centre, None),
        *((Tier.NEAREST, names, km) for km, _, names in _by_distance(destination, others)),
        (Tier.REGION, in_region, None),
    ]


def _by_distance(
    destination: Place, shelves: Mapping[str, Place]
) -> list[tuple[float, str, list[str]]]:
    """The rate centres whose distance is known, nearest first; ties by name.

    Shelves of one centre stay together, at the distance of its nearest position. A shelf without a
    centre is one by itself.
    """
    here = destination.position
    if here is None:
        return []
    centres: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, place in shelves.items():
        centres[place.rate_centre, "" if place.rate_centre else name].append(name)
    found = []
    for (centre, shelf), names in centres.items():
        positions = [position for name in names if (position := shelves[name].position)]
        if positions:
            km = min(great_circle_km(here, position) for position in positions)
            found.append((round(km, 1), centre or shelf, names))
    return sorted(found, key=lambda item: item[:2])


def _ranks(drafts: Iterable[_Draft]) -> tuple[Rank, ...]:
    """Each shelf in the first rank that has it; names sorted; no empty rank."""
    taken: set[str] = set()
    ranks = []
    for tier, shelves, km in drafts:
        names = sorted(set(shelves) - taken)
        taken.update(names)
        if names:
            ranks.append(Rank(tier, tuple(names), km))
    return tuple(ranks)
