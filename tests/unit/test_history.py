"""How begins and ends of leases add up, and what a bucket tells."""

import pytest

from dni_allocator.domain.history import (
    Bucket,
    Change,
    Tally,
    gap_bin,
    gap_bin_edges_s,
    joined,
    tally,
)

MINUTE = 60_000


def begin(at_ms: int, *, released_ms: int | None = None, reason: str = "new") -> Change:
    """A lease begins."""
    return Change(ended=False, pool_id="pool_a", at_ms=at_ms, reason=reason, before_ms=released_ms)


def end(at_ms: int, *, began_ms: int, reason: str = "closed") -> Change:
    """A lease ends."""
    return Change(ended=True, pool_id="pool_a", at_ms=at_ms, reason=reason, before_ms=began_ms)


def tallied(changes: list[Change]) -> dict[tuple[str, int], Tally]:
    """Changes by pool and minute."""
    found: dict[tuple[str, int], Tally] = {}
    tally(changes, found)
    return found


def test_changes_count_in_the_minute_they_happened_in() -> None:
    """Not in the minute somebody wrote them down: a sweeper may come late."""
    found = tallied(
        [begin(5 * MINUTE), begin(6 * MINUTE), end(6 * MINUTE - 1, began_ms=5 * MINUTE)]
    )

    assert {key: (each.arrivals, each.closed) for key, each in found.items()} == {
        ("pool_a", 5): (1, 1),
        ("pool_a", 6): (1, 0),
    }


def test_only_numbers_somebody_else_had_have_a_reuse_gap() -> None:
    """One that is new to the pool, or comes back to its visitor, was not used again."""
    at = 10_000_000_000
    found = tallied(
        [
            begin(at, released_ms=at - 90_000),
            begin(at, released_ms=at - 90_000, reason="returned"),
            begin(at, released_ms=123_456),
            begin(at),
        ]
    )

    (minute,) = found.values()
    assert (minute.arrivals, minute.returned) == (4, 1)
    assert minute.gaps == {gap_bin(90_000): 1}


def test_ends_are_told_apart() -> None:
    """Silence means that the beacon was lost, or that the visitor hid the page for long."""
    found = tallied(
        [
            end(MINUTE, began_ms=0),
            end(MINUTE, began_ms=30_000, reason="idle"),
            end(MINUTE, began_ms=MINUTE, reason="detached"),
            end(MINUTE, began_ms=2 * MINUTE, reason="pressure"),
        ]
    )

    (minute,) = found.values()
    assert (minute.closed, minute.idle, minute.otherwise) == (1, 1, 2)
    assert minute.hold_ms == 90_000  # one that ended before it began lasted nothing


@pytest.mark.parametrize("gap_s", [0, 0.5, 1, 1.3, 59, 600, 86_400, 3_000_000])
def test_a_gap_lies_in_its_bin(gap_s: float) -> None:
    """Between the edges, and those are a fifth apart."""
    lower, upper = gap_bin_edges_s(gap_bin(round(gap_s * 1000)))

    assert lower <= gap_s <= upper
    assert lower == 0 or upper / lower < 1.2


def test_a_gap_beyond_all_bins_is_in_the_last() -> None:
    """So a HASH field stays small, whatever happens."""
    assert gap_bin(10**15) == gap_bin(10**12)


def test_quantiles_of_gaps() -> None:
    """Half of them below the median, to a fifth."""
    gaps = {gap_bin(60_000): 10, gap_bin(600_000): 10, gap_bin(3_600_000): 1}
    bucket = Bucket(start_ms=0, gaps=gaps)

    assert bucket.gap_quantile_s(0.1) == pytest.approx(60, rel=0.2)
    assert bucket.gap_quantile_s(0.9) == pytest.approx(600, rel=0.2)
    assert bucket.gap_quantile_s(1.0) == pytest.approx(3600, rel=0.2)
    assert Bucket(start_ms=0).gap_quantile_s(0.5) is None


def test_an_empty_bucket_claims_nothing() -> None:
    """No mean of nothing, and no occupancy nobody looked at."""
    bucket = joined([])

    assert (bucket.mean_hold_s, bucket.leased_mean, bucket.numbers_mean) == (None, None, None)
    assert (bucket.lost_beacons, bucket.offered) == (None, 0)


def test_buckets_join() -> None:
    """Sums are added, peaks compared."""
    first = Bucket(
        start_ms=MINUTE, arrivals=3, closed=2, hold_ms=600_000, overflow=1, samples=2,
        leased_sum=10, numbers_sum=20, leased_peak=6, busiest_minute=2, gaps={4: 1},
    )  # fmt: skip
    second = Bucket(
        start_ms=2 * MINUTE, arrivals=1, idle=2, hold_ms=60_000, turned_away=2, samples=2,
        leased_sum=2, numbers_sum=20, leased_peak=4, busiest_minute=3, gaps={4: 1, 9: 2},
    )  # fmt: skip

    both = joined([second, first])

    assert both.start_ms == MINUTE
    assert both.offered == 7
    assert both.mean_hold_s == 165
    assert both.lost_beacons == 0.5
    assert (both.leased_mean, both.numbers_mean) == (3, 10)
    assert (both.leased_peak, both.busiest_minute) == (6, 3)
    assert both.gaps == {4: 2, 9: 2}
