"""Sizes: the published example, what it costs, and the reuse gap."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dni_allocator.domain.pool import Selection
from dni_allocator.domain.sizing import (
    Goals,
    Traffic,
    curve,
    mean_gap_s,
    mean_hold_s,
    numbers_for_gap,
    outcome_of,
    published_size,
    reused_within,
    size,
)

EXAMPLE = Traffic(per_hour=100, hold_s=300 + 30)
OLDEST = Selection.LEAST_RECENTLY_RELEASED
RANDOM = Selection.RANDOM


def test_the_published_example() -> None:
    """Dialics: 100 impressions an hour, 300 s on the site and 30 s of lock need 11 numbers."""
    assert published_size(100, 300 + 30) == 11


def test_the_published_example_turns_every_eighth_visitor_away() -> None:
    """12.8 %; for one in a hundred it takes 17 numbers, for one in a thousand 20."""
    found = size(EXAMPLE, Goals(turned_away=0.01), numbers=11)

    assert found.present is not None
    assert found.present.turned_away == pytest.approx(0.128, abs=0.0005)
    assert (found.published, found.erlang, found.recommended.numbers) == (11, 17, 17)
    assert size(EXAMPLE, Goals(turned_away=0.001)).erlang == 20


@pytest.mark.parametrize(
    ("load", "share"),
    [(1, 0.20), (2, 0.21), (5, 0.19), (10, 0.16), (20, 0.11), (50, 0.054), (100, 0.028),
     (200, 0.011), (500, 0.0015)],
)  # fmt: skip
def test_a_tenth_more_is_wrong_by_size(load: float, share: float) -> None:
    """The published buffer is far too small for small pools, and only right at about 200."""
    traffic = Traffic(per_hour=load * 3600, hold_s=1)
    numbers = published_size(traffic.per_hour, traffic.hold_s)

    found = outcome_of(traffic, Goals(), numbers, selection=OLDEST)

    assert found.turned_away == pytest.approx(share, rel=0.05)


def test_no_number_is_added_by_a_rounding_error() -> None:
    """3,600 an hour for 10 s are 11 numbers, not 12, though 10 × 1.1 is a little more than 11."""
    assert published_size(3600, 10) == 11


@pytest.mark.parametrize(
    ("lost", "idle_s", "load", "needed"),
    [(0.2, 1800, 19.0, 29), (0.3, 900, 16.4, 26), (0.2, 300, 10.7, 19), (0, 1800, 9.17, 17)],
)
def test_lost_beacons_lock_numbers(lost: float, idle_s: float, load: float, needed: int) -> None:
    """A long idle limit is paid for by each visitor whose beacon is lost."""
    hold_s = mean_hold_s(on_site_s=300, delay_s=30, idle_s=idle_s, lost_beacons=lost)
    traffic = Traffic(per_hour=100, hold_s=hold_s)

    assert traffic.load == pytest.approx(load, rel=0.005)
    assert size(traffic, Goals()).erlang == needed


def test_a_busy_minute_comes_on_top() -> None:
    """Ten more than usual in one minute are ten more numbers wanted at its end."""
    traffic = Traffic(per_hour=120, hold_s=300, peak_minute=12)
    calm = Traffic(per_hour=120, hold_s=300, peak_minute=1)
    short = Traffic(per_hour=120, hold_s=30, peak_minute=12)

    found = size(traffic, Goals(), numbers=18)

    assert traffic.peak_load == traffic.load + 10
    assert calm.peak_load == calm.load
    assert short.peak_load == short.load + 5
    assert found.peak is not None
    assert found.peak > found.erlang
    assert found.recommended.numbers == found.peak
    assert found.present is not None
    assert found.present.peak_turned_away is not None
    assert found.present.peak_turned_away > found.present.turned_away


# Shares of 200,000 simulated leases whose number was taken within 1, 5, 10 and 15 minutes of its
# release: 100 visits an hour of 330 s.
SIMULATED = {
    (20, OLDEST): (0.006, 0.30, 0.90, 0.997), (20, RANDOM): (0.15, 0.54, 0.78, 0.90),
    (30, OLDEST): (0, 0.004, 0.23, 0.78), (30, RANDOM): (0.08, 0.33, 0.55, 0.70),
    (40, OLDEST): (0, 0, 0.006, 0.18), (40, RANDOM): (0.05, 0.24, 0.417, 0.55),
    (60, OLDEST): (0, 0, 0, 0), (60, RANDOM): (0.03, 0.15, 0.28, 0.39),
}  # fmt: skip


@pytest.mark.parametrize(("pool", "shares"), SIMULATED.items())
def test_reuse_is_what_was_simulated(
    pool: tuple[int, Selection], shares: tuple[float, ...]
) -> None:
    """Least recently released first makes reuse rare until it makes it certain."""
    numbers, selection = pool

    found = [reused_within(EXAMPLE, numbers, 60 * at, selection=selection) for at in (1, 5, 10, 15)]

    assert found == pytest.approx(list(shares), abs=0.009)


def test_the_mean_gap_does_not_depend_on_who_is_next() -> None:
    """(N − A) ÷ λ where nobody is turned away: 390 s with 20 numbers, 1,110 s with 40."""
    assert mean_gap_s(EXAMPLE, 20) == pytest.approx(390, rel=0.01)
    assert mean_gap_s(EXAMPLE, 40) == pytest.approx(1110, rel=0.01)
    assert mean_gap_s(Traffic(per_hour=0, hold_s=330), 5) is None
    assert mean_gap_s(EXAMPLE, 0) is None


def test_a_wanted_gap_needs_its_own_numbers() -> None:
    """N ≥ A + λ·gap on average; and more for nearly every lease, much more at random."""
    found = size(EXAMPLE, Goals(gap_s=600), numbers=20)
    at_random = size(EXAMPLE, Goals(gap_s=600), numbers=20, selection=RANDOM)

    assert found.gap == at_random.gap == 26  # 9.17 + 16.67
    assert found.gap_sure is not None
    assert at_random.gap_sure is not None
    assert found.gap < found.gap_sure < at_random.gap_sure / 5
    assert found.recommended.numbers == found.gap_sure
    assert found.recommended.reused_early is not None
    assert found.recommended.reused_early <= 0.05
    assert found.present is not None
    assert found.present.reused_early == pytest.approx(0.90, abs=0.005)


@settings(max_examples=40, deadline=None)
@given(
    per_hour=st.floats(1, 2_000), hold_s=st.floats(10, 1_000), gap_s=st.floats(1, 1_800),
    share=st.floats(0.001, 0.5), selection=st.sampled_from(Selection),
)  # fmt: skip
def test_the_size_for_a_gap_is_tight(
    per_hour: float, hold_s: float, gap_s: float, share: float, selection: Selection
) -> None:
    """One number less breaks the promise."""
    traffic = Traffic(per_hour=per_hour, hold_s=hold_s)

    numbers = numbers_for_gap(traffic, gap_s, share=share, selection=selection)

    assert reused_within(traffic, numbers, gap_s, selection=selection) <= share
    one_less = reused_within(traffic, numbers - 1, gap_s, selection=selection)
    assert one_less > share or numbers == 1


def test_one_more_number() -> None:
    """What the twelfth gives: four visitors an hour, and a longer rest."""
    found = size(EXAMPLE, Goals(gap_s=60), numbers=11)

    assert found.present is not None
    assert found.one_more is not None
    gained = found.present.turned_away_per_hour - found.one_more.turned_away_per_hour
    assert gained == pytest.approx(3.89, abs=0.01)
    assert found.one_more.numbers == 12
    assert (found.one_more.gap_s or 0) > (found.present.gap_s or 0)


def test_nobody_needs_no_numbers_but_one() -> None:
    """A pool nobody visits."""
    found = size(Traffic(per_hour=0, hold_s=330, peak_minute=0), Goals(gap_s=600), numbers=0)

    assert (found.published, found.gap, found.gap_sure) == (0, 0, 0)
    assert found.recommended.numbers == 1
    assert found.present is not None
    assert found.present.turned_away_per_hour == 0


def test_a_curve_has_few_points_however_long_it_is() -> None:
    """Each falls below the one before."""
    short, long = curve(EXAMPLE, most=25), curve(EXAMPLE, most=5_000)

    assert [numbers for numbers, _ in short] == list(range(1, 26))
    assert 150 < len(long) <= 200
    assert [share for _, share in short] == sorted((s for _, s in short), reverse=True)


def test_a_closed_browser_never_locks_longer_than_silence_does() -> None:
    """A delay above the idle limit ends with it: the page is silent, whatever the beacon said."""
    assert mean_hold_s(on_site_s=300, delay_s=600, idle_s=120) == 420
