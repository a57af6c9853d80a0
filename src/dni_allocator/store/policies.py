"""A pool's further rules, in the form the scripts read them (`lua/lib/policy.lua`)."""

from dni_allocator.domain.matching import Match, MatchFallback
from dni_allocator.domain.pool import PoolSettings, RefusedSee

_MINUTE_MS = 60_000


def packed_policy(settings: PoolSettings, *, if_none: bool = False) -> str:
    """The rules as numbers separated by tabs, or "" for a pool that uses none of them.

    Durations in ms, shares from 0 to 1, zero for what is off. Most pools use none, and then the
    scripts parse nothing. `if_none`: say so at length, for the script that explains.
    """
    matches = settings.match is not Match.NONE
    address_interval, address_burst = _rate(settings.address_rate)
    visitor_interval, visitor_burst = _rate(settings.visitor_rate)
    values: tuple[float, ...] = (
        settings.min_hold_s * 1000,
        (settings.max_lease_age_s or 0) * 1000,
        (settings.provisional_s or 0) * 1000,
        settings.pressure_threshold or 0,
        0 if settings.pressure_threshold is None else settings.pressure_idle_limit_s * 1000,
        settings.reserve_share,
        address_interval,
        address_burst,
        visitor_interval,
        visitor_burst,
        settings.address_leases or 0,
        int(matches),
        int(matches and settings.match_fallback is MatchFallback.ORIGINAL),
        int(settings.refused_see is RefusedSee.OVERFLOW),
    )
    if not any(values) and not if_none:
        return ""
    return "\t".join(map(str, values))


def _rate(per_minute: int | None) -> tuple[int, int]:
    """A rate as ms between two, and how many may come at once."""
    if per_minute is None:
        return 0, 0
    return max(1, _MINUTE_MS // per_minute), per_minute
