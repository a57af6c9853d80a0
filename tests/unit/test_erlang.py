"""Erlang's loss formula against published tables."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dni_allocator.domain.erlang import arriving, blocking, erlang_b, load_for, numbers_for, taken

# "Erlang-B capacity table, 2 % blocking" (cellular planning course of Lucent Technologies, as
# quoted by G. Wagoner): channels and the load they carry.
TWO_PERCENT = {
    1: 0.020, 3: 0.602, 5: 1.657, 7: 2.935, 9: 4.345, 11: 5.842, 13: 7.402, 15: 9.010,
    17: 10.656, 19: 12.333, 21: 14.036, 23: 15.761, 25: 17.505, 27: 19.265, 29: 21.039,
    31: 22.827, 51: 41.189, 75: 63.900, 89: 77.342,
}  # fmt: skip

# Appendix A of "Carrier Grade Voice Over IP", 2nd edition: load by channels and blocking, rounded.
CARRIER_GRADE = {
    (4, 0.01): 0.9, (5, 0.01): 1.4, (6, 0.01): 1.9, (7, 0.001): 1.6, (8, 0.01): 3.1,
    (8, 0.001): 2.1, (9, 0.01): 3.8, (9, 0.05): 5.4, (10, 0.001): 3.1, (10, 0.0001): 2.3,
}  # fmt: skip


@pytest.mark.parametrize(("numbers", "load"), TWO_PERCENT.items())
def test_the_two_percent_table(numbers: int, load: float) -> None:
    """To the last printed digit, in both directions."""
    assert load_for(numbers, 0.02) == pytest.approx(load, abs=0.0011)
    assert numbers_for(load * 0.99, 0.02) == numbers


@pytest.mark.parametrize(("place", "load"), CARRIER_GRADE.items())
def test_the_table_of_several_shares(place: tuple[int, float], load: float) -> None:
    """Rounded to a tenth there."""
    numbers, share = place

    assert round(load_for(numbers, share), 1) == load


def test_the_example_of_the_calculator() -> None:
    """Westbay's manual: 15 lines at 1 in 100 may be offered 8.108 erlangs."""
    assert round(load_for(15, 0.01), 3) == 8.108


@pytest.mark.parametrize(
    ("load", "needed"),
    [(1, (4, 5, 6)), (5, (9, 11, 14)), (10, (15, 18, 21)), (20, (26, 30, 35)),
     (50, (56, 64, 71)), (100, (105, 117, 128)), (500, (489, 527, 555))],
)  # fmt: skip
def test_numbers_for_a_load(load: float, needed: tuple[int, int, int]) -> None:
    """At 5 %, 1 % and 0.1 %."""
    assert tuple(numbers_for(load, share) for share in (0.05, 0.01, 0.001)) == needed


@settings(deadline=None)
@given(load=st.floats(0.01, 300), numbers=st.integers(0, 300))
def test_it_is_a_share_that_falls_with_every_number(load: float, numbers: int) -> None:
    """And the sum of the first so many is the definition: load^N/N! over all that came before."""
    shares = list(islice(blocking(load), numbers + 2))

    assert all(0 <= share <= 1 for share in shares)
    assert shares == sorted(shares, reverse=True)
    assert erlang_b(load, numbers) == pytest.approx(shares[numbers], abs=1e-20)
    assert taken(load, numbers).at_least(numbers) == pytest.approx(shares[numbers], abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(load=st.floats(0.001, 500), share=st.floats(1e-6, 0.9))
def test_the_inverse_is_tight(load: float, share: float) -> None:
    """One number less would turn away more than allowed."""
    numbers = numbers_for(load, share)

    assert erlang_b(load, numbers) <= share
    assert numbers == 0 or erlang_b(load, numbers - 1) > share
    assert load_for(numbers, share) >= load * (1 - 1e-9) or numbers == 0


def test_nothing_overflows() -> None:
    """Neither at a load nobody has nor at none."""
    assert erlang_b(100_000, 100_000) == pytest.approx(0.0025, abs=0.0001)
    assert (erlang_b(0, 0), erlang_b(0, 3), numbers_for(0, 0.01)) == (1, 0, 1)
    assert taken(0, 5).at_least(1) == 0
    assert load_for(0, 0.01) == 0


@settings(deadline=None)
@given(mean=st.floats(0, 2_000))
def test_chances_are_poissons(mean: float) -> None:
    """They sum to one and have the mean."""
    found = arriving(mean)

    assert found.at_least(0) == pytest.approx(1)
    assert sum(
        chance * count for count, chance in enumerate(found.each, start=found.first)
    ) == pytest.approx(mean, rel=1e-9, abs=1e-9)
