"""A pool's further rules as the scripts read them: `lua/lib/policy.lua` names the same order."""

from dataclasses import replace

import pytest

from dni_allocator.domain.matching import Match, MatchFallback
from dni_allocator.domain.pool import PoolSettings, RefusedSee
from dni_allocator.store.policies import packed_policy

PLAIN = PoolSettings(name="a", country="US", destinations=("+16023133897",))
FIELDS = (
    "hold", "max_age", "provisional", "threshold", "pressed_idle", "reserve", "address_interval",
    "address_burst", "visitor_interval", "visitor_burst", "address_cap", "matching",
    "unmatched_see_original", "limited_see_overflow",
)  # fmt: skip


def _unpacked(**changes: object) -> dict[str, float]:
    """What is not zero of the rules of a pool with these settings, by the names in Lua."""
    # mypy cannot match names of a ** mapping with fields; a wrong one raises at once.
    packed = packed_policy(replace(PLAIN, **changes))  # type: ignore[arg-type]
    values = zip(FIELDS, map(float, packed.split("\t")), strict=True)
    return {name: value for name, value in values if value}


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"idle_limit_s": 5}, {"pressure_idle_limit_s": 30},
        {"match_fallback": MatchFallback.ORIGINAL}, {"overflow_numbers": ("+18005550100",)},
    ],
    ids=str,
)  # fmt: skip
def test_a_pool_without_further_rules_has_an_empty_policy(changes: dict[str, object]) -> None:
    """Settings that mean nothing by themselves do not make one."""
    # As in `_unpacked`.
    assert packed_policy(replace(PLAIN, **changes)) == ""  # type: ignore[arg-type]


def test_the_script_that_explains_is_told_also_that_there_are_none() -> None:
    """It names limits and reserve of every pool; an empty policy would leave them out."""
    packed = packed_policy(PLAIN, if_none=True)

    assert [float(value) for value in packed.split("\t")] == [0] * len(FIELDS)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"min_hold_s": 90}, {"hold": 90_000}),
        ({"max_lease_age_s": 3600}, {"max_age": 3_600_000}),
        ({"provisional_s": 20}, {"provisional": 20_000}),
        ({"pressure_threshold": 0.8}, {"threshold": 0.8, "pressed_idle": 60_000}),
        ({"reserve_share": 0.25}, {"reserve": 0.25}),
        ({"address_rate": 30}, {"address_interval": 2_000, "address_burst": 30}),
        ({"visitor_rate": 7}, {"visitor_interval": 8_571, "visitor_burst": 7}),
        ({"visitor_rate": 100_000}, {"visitor_interval": 1, "visitor_burst": 100_000}),
        ({"address_leases": 4}, {"address_cap": 4}),
        ({"match": Match.TYPE}, {"matching": 1}),
        ({"match": Match.AREA, "match_fallback": MatchFallback.ANY}, {"matching": 1}),
        ({"refused_see": RefusedSee.OVERFLOW}, {"limited_see_overflow": 1}),
        (
            {"match": Match.AREA, "match_fallback": MatchFallback.ORIGINAL},
            {"matching": 1, "unmatched_see_original": 1},
        ),
    ],
    ids=str,
)
def test_each_rule_has_its_place(changes: dict[str, object], expected: dict[str, float]) -> None:
    """Durations in ms, shares as they are, rates as ms between two and how many at once."""
    assert _unpacked(**changes) == expected


def test_a_rate_is_never_stricter_than_it_says() -> None:
    """Rounded down, the ms between two let at least as many through a minute."""
    for per_minute in range(1, 1001):
        unpacked = _unpacked(visitor_rate=per_minute)
        assert 60_000 / unpacked["visitor_interval"] >= per_minute
