"""Instants inside, dates outside."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.domain.moment import instant, moment, read_instant


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_what_was_shown_comes_back_as_it_was(ms: int) -> None:
    """A client sends `from` and `at` as it read them, to the millisecond."""
    shown = moment(ms).isoformat()

    assert instant(datetime.fromisoformat(shown)) == ms
    assert read_instant(shown) == ms


def test_an_instant_is_the_same_in_every_zone() -> None:
    """What is finer than a millisecond is left out."""
    at = datetime(2026, 11, 26, 1, 2, 3, 29_999, tzinfo=UTC)

    assert instant(at) == 1_795_654_923_029
    assert instant(at.astimezone(timezone(timedelta(hours=-7)))) == 1_795_654_923_029


def test_text_without_a_zone_is_utc_and_what_is_no_date_is_none() -> None:
    """Telephony vendors send either."""
    assert read_instant("2026-11-26T01:02:03.029") == 1_795_654_923_029
    assert read_instant("yesterday") is None
    assert read_instant("") is None
