"""Simulations against theory, and against figures somebody else simulated."""

import random
from pathlib import Path

import pytest

from dni_allocator.domain.erlang import erlang_b
from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.pool import Selection
from dni_allocator.domain.rehearsal import Rules
from dni_allocator.domain.sizing import Traffic, mean_hold_s, reused_within
from dni_allocator.services.simulated_traffic import (
    HOUR_MS,
    OFFICE,
    Crowd,
    Lengths,
    read_record,
    visits,
)
from dni_allocator.services.simulation import (
    Plan,
    Result,
    estimate,
    gap_shares,
    simulate,
    student_t,
)

OLDEST = Rules(idle=300_000, delay=30_000, window=259_200_000)
RANDOM = Rules(idle=300_000, delay=30_000, window=259_200_000, random=True)
EXAMPLE = Crowd(per_hour=100, on_site_s=300)


def run(
    *pools: tuple[int, Rules], crowd: Crowd = EXAMPLE, hours: float = 24, runs: int = 20
) -> list[Result]:
    """A simulation with a fixed seed."""
    return simulate(Plan(crowd=crowd, pools=pools, hours=hours, runs=runs, seed=1))


@pytest.mark.parametrize("lengths", Lengths)
def test_the_published_example_turns_away_what_erlang_says(lengths: Lengths) -> None:
    """12.8 % with 11 numbers, however the lengths of visits are spread."""
    crowd = Crowd(per_hour=100, on_site_s=300, lengths=lengths)

    (found,) = run((11, OLDEST), crowd=crowd)

    assert found.turned_away.half_width < 0.01
    assert found.turned_away.holds(erlang_b(100 / 3600 * 330, 11)), found.turned_away
    carried = 100 / 3600 * 330 * (1 - erlang_b(100 / 3600 * 330, 11))
    assert found.busy.holds(carried), found.busy


def test_lost_beacons_load_a_pool_as_theory_says() -> None:
    """One in five, with an idle limit of half an hour: the load is 19, not 9."""
    rules = Rules(idle=1_800_000, delay=30_000, window=259_200_000)
    # Long enough that the last sign of life, at most a minute before the end, makes little of it.
    crowd = Crowd(per_hour=100, on_site_s=300, lost_beacons=0.2)
    hold_s = mean_hold_s(on_site_s=300, delay_s=30, idle_s=1800, lost_beacons=0.2)

    (found,) = run((19, rules), crowd=crowd, hours=48)

    theory = erlang_b(100 / 3600 * hold_s, 19)
    assert found.turned_away.mean == pytest.approx(theory, abs=found.turned_away.half_width + 0.01)


def test_reuse_least_recent_first_and_at_random() -> None:
    """40 numbers: used again within ten minutes in 0.6 % of cases, and in 41.7 % at random."""
    oldest, at_random = run((40, OLDEST), (40, RANDOM))

    first, second = oldest.reused[600], at_random.reused[600]
    assert first is not None
    assert second is not None
    assert first.half_width < 0.006
    assert first.mean == pytest.approx(0.006, abs=first.half_width + 0.0005)
    assert second.mean == pytest.approx(0.417, abs=second.half_width + 0.0005)
    assert second.mean / first.mean > 20


@pytest.mark.parametrize(("numbers", "seconds"), [(17, 300), (20, 300), (20, 600), (30, 900)])
def test_the_reuse_gap_is_what_the_formula_says(numbers: int, seconds: int) -> None:
    """Least recently released first: the formula is exact, also where some are turned away."""
    (found,) = run((numbers, OLDEST))

    theory = reused_within(
        Traffic(per_hour=100, hold_s=330), numbers, seconds,
        selection=Selection.LEAST_RECENTLY_RELEASED,
    )  # fmt: skip
    share = found.reused[seconds]
    assert share is not None
    # One seed in twenty lies outside of an interval of 95 %, one in 300 outside of one half wider.
    assert abs(share.mean - theory) <= 1.5 * share.half_width


def test_fewer_calls_go_astray_with_more_numbers_and_the_oldest_first() -> None:
    """What the choice of the next number is for."""
    few, many, at_random = run((12, OLDEST), (40, OLDEST), (40, RANDOM))

    assert few.wrong is not None
    assert many.wrong is not None
    assert at_random.wrong is not None
    assert few.wrong.mean > 10 * many.wrong.mean
    assert at_random.wrong.mean > 3 * many.wrong.mean
    assert few.shared is not None
    assert few.shared.mean == pytest.approx(few.turned_away.mean, abs=few.shared.half_width)


def test_a_burst_hides_in_the_mean() -> None:
    """As many visits in all, and a pool that was large enough is not."""
    level = Crowd(per_hour=100, on_site_s=300)
    # Two bursts a day, of 20 minutes and ten times as many: a quarter more, so fewer otherwise.
    bursts = Crowd(per_hour=80, on_site_s=300, bursts_per_day=2, burst_factor=10, burst_s=1200)

    (calm,) = run((20, OLDEST), crowd=level)
    (burst,) = run((20, OLDEST), crowd=bursts)

    assert burst.turned_away.mean > 20 * calm.turned_away.mean


def test_returning_visitors_get_their_number_back() -> None:
    """So they add little to reuse by others, and nothing to arrivals that were not asked for."""
    crowd = Crowd(per_hour=50, on_site_s=60, returning=0.5, away_s=60)

    (found,) = run((200, OLDEST), crowd=crowd, hours=12)

    # Every visit is followed by half a one: twice as many views.
    views = 50 * 12 * 20
    assert found.views == pytest.approx(2 * views, rel=0.05)
    assert sum(found.gaps.values()) < 0.9 * found.views


def test_the_same_seed_gives_the_same_figures() -> None:
    """And another one others."""
    plan = Plan(crowd=EXAMPLE, pools=[(11, RANDOM)], hours=4, runs=5, seed=3)

    assert simulate(plan) == simulate(plan)
    other = Plan(crowd=EXAMPLE, pools=[(11, RANDOM)], hours=4, runs=5, seed=4)
    assert simulate(plan)[0].turned_away != simulate(other)[0].turned_away


def test_days_have_hours() -> None:
    """A profile moves visits about, and keeps their number."""
    crowd = Crowd(per_hour=200, on_site_s=10, profile=OFFICE)

    chance = random.Random(1)  # noqa: S311 -- no secret

    starts = [each.starts for each in visits(crowd, until=72 * HOUR_MS, chance=chance)]

    by_hour = [sum(at // HOUR_MS % 24 == hour for at in starts) for hour in range(24)]
    assert len(starts) == pytest.approx(200 * 72 * sum(OFFICE) / 24, rel=0.05)
    assert by_hour[3] < by_hour[10] / 10


def test_recorded_arrivals_are_run_as_recorded(tmp_path: Path) -> None:
    """Three at once on two numbers: one is turned away, in every run."""
    path = tmp_path / "arrivals.csv"
    path.write_text(
        "when,seconds\n2026-11-24T09:00:00Z,100\n2026-11-24T09:00:10+00:00\n"
        "2026-11-24T09:00:20Z,100\n2026-11-24T12:00:00Z,5\n"
    )

    record = read_record(path)
    plan = Plan(crowd=EXAMPLE, pools=[(2, OLDEST)], runs=5, record=record)
    (found,) = simulate(plan)

    assert record == [(0, 100_000), (10_000, None), (20_000, 100_000), (10_800_000, 5_000)]
    assert (found.turned_away.mean, found.turned_away.half_width) == (0.25, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "none"), ("when\n", "none"), ("1\nlater\n", "Line 2"), ("1,x\n", "Line 1"),
     ("nan\n1\n", "none"), ("1\n1e999\n", "Line 2"), ("-5\n", "Line 1")],
)  # fmt: skip
def test_a_bad_record_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """With the line; nothing of what stands there."""
    path = tmp_path / "arrivals.csv"
    path.write_text(text)

    if text.startswith("nan"):  # read as a line of names, since it holds no figure
        assert read_record(path) == [(0, None)]
        return
    with pytest.raises(InvalidRequest, match=told):
        read_record(path)


def test_a_plan_for_ever_is_refused() -> None:
    """Before it starts."""
    with pytest.raises(InvalidRequest, match="visits"):
        simulate(Plan(crowd=EXAMPLE, pools=[(11, OLDEST)], hours=10_000, runs=100))
    with pytest.raises(InvalidRequest, match="runs"):
        simulate(Plan(crowd=EXAMPLE, pools=[(11, OLDEST)], runs=4))


def test_nobody_comes() -> None:
    """No figures are made up."""
    (found,) = run((3, OLDEST), crowd=Crowd(per_hour=0, on_site_s=300), runs=5)

    assert (found.views, found.wrong, found.shared) == (0, None, None)
    assert gap_shares(found) == []


@pytest.mark.parametrize(("freedom", "point"), [(4, 2.776), (9, 2.262), (19, 2.093), (99, 1.984)])
def test_intervals_are_students(freedom: int, point: float) -> None:
    """Published points of the t distribution (97.5 %)."""
    assert student_t(freedom) == pytest.approx(point, abs=0.001)


def test_an_estimate_is_a_mean_of_runs() -> None:
    """Runs in which nothing of the kind came up do not count; of one there is no interval."""
    found = estimate([(1, 10), (3, 10), (0, 0), (2, 10), (2, 10), (2, 10)])

    assert found is not None
    assert found.mean == pytest.approx(0.2)
    assert found.half_width == pytest.approx(2.776 * 0.0316, rel=0.01)
    single = estimate([(1, 2)])
    assert single is not None
    assert single.holds(123)
    assert estimate([(0, 0)]) is None
