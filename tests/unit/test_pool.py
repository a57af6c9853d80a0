"""The rules of a pool: origins, heartbeats, overflow; and the name of a lease."""

from collections import Counter
from dataclasses import replace

import pytest

from dni_allocator.domain.lease import lease_id
from dni_allocator.domain.pool import Occupancy, Pool, PoolSettings, normalise_origin

POOL = Pool(
    id="pool_a",
    key="pk_a",
    revision=1,
    created_at="2027-01-15T08:00:00Z",
    settings=PoolSettings(name="a", country="US", destinations=("+16023133897",)),
)


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("*", "*"), ("https://shop.example", "https://shop.example"),
        ("https://shop.example/", "https://shop.example"),
        ("HTTPS://Shop.Example", "https://shop.example"),
        (" https://shop.example ", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("https://*.shop.example", "https://*.shop.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1", "http://127.0.0.1"), ("http://[::1]:80", "http://[::1]"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("shop.example", None), ("", None), ("null", None), ("https://", None),
        ("ftp://shop.example", None), ("https://shop.example/path", None),
        ("https://shop.example?q", None), ("https://shop.example#f", None),
        ("https://me@shop.example", None), ("https://shop.example:port", None),
        ("https://shop.example:99999", None), ("https://*", None), ("https://a.*.example", None),
        ("https://*shop.example", None), ("https://*.*.example", None), ("https://[::1", None),
    ],
)  # fmt: skip
def test_origins_are_written_as_browsers_send_them(typed: str, origin: str | None) -> None:
    """What an operator types is compared as text later, so it is brought into form first."""
    assert normalise_origin(typed) == origin


@pytest.mark.parametrize(
    ("allowed", "origin", "matches"),
    [
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example", "https://shop.example.evil.example", False),
        ("https://shop.example", "http://shop.example", False),
        ("https://*.shop.example", "https://a.shop.example", True),
        ("https://*.shop.example", "https://.shop.example", False),
        ("https://*.shop.example", "https://shop.example", False),
        ("https://*.shop.example", "http://a.shop.example", False),
        ("https://*.shop.example", "https://a.shop.example:8443", False),
        ("https://*.shop.example:8443", "https://a.shop.example:8443", True),
        ("*", "null", True),
    ],
)  # fmt: skip
def test_which_pages_may_use_the_key(allowed: str, origin: str, *, matches: bool) -> None:
    """An entry stands for itself, for all hosts below, or for everything."""
    pool = replace(POOL, settings=replace(POOL.settings, allowed_origins=(allowed,)))

    assert pool.allows_origin(origin) is matches


@pytest.mark.parametrize(
    ("idle_s", "heartbeat_s"),
    [(5, 2), (6, 2), (9, 3), (30, 10), (180, 60), (300, 60), (86_400, 60)],
)
def test_two_lost_heartbeats_cost_nothing(idle_s: int, heartbeat_s: int) -> None:
    """A third of the idle limit, between two seconds and a minute."""
    pool = replace(POOL, settings=replace(POOL.settings, idle_limit_s=idle_s))

    assert pool.heartbeat_within(pool.idle_ms) == heartbeat_s


def test_overflow_numbers_are_spread_and_stay() -> None:
    """Each visitor always sees the same of them; all of them are used."""
    numbers = ("+18005550100", "+18005550101", "+18005550102")
    pool = replace(POOL, settings=replace(POOL.settings, overflow_numbers=numbers))
    shown = Counter(pool.overflow_for(f"visitor-{at}") for at in range(300))

    assert set(shown) == set(numbers)
    assert pool.overflow_for("ann") == pool.overflow_for("ann")
    assert POOL.overflow_for("ann") == ""


def test_a_window_of_nothing_is_a_millisecond() -> None:
    """Redis knows no lifetime of nothing."""
    pool = replace(POOL, settings=replace(POOL.settings, attribution_window_s=0))

    assert pool.window_ms == 1


def test_free_is_what_is_not_leased() -> None:
    """Occupancy adds up."""
    assert Occupancy(attached=5, leased=2, totals={}).free == 3


def test_the_name_of_a_lease() -> None:
    """The pool's id and the fence, so it is unique over all pools."""
    assert lease_id("pool_7hx", "12") == "lse_7hx_12"
