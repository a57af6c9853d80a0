"""When an event is sent again, and what an answer means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.webhook import (
    RETRY_DELAYS_S,
    Endpoint,
    Verdict,
    retry_after_s,
    retry_delay_s,
    verdict,
)

ENDPOINT = Endpoint(id="whe_a", url="https://example.com/", secret="whsec_x", created_ms=5)


def test_the_schedule_of_the_specification() -> None:
    """Ten attempts over 75 h 35 m 5 s: a weekend's outage loses nothing."""
    waits = [retry_delay_s(attempts, random=0.5) for attempts in range(11)]

    assert waits == [0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400, None]
    assert sum(RETRY_DELAYS_S) == 75 * 3600 + 35 * 60 + 5


@given(attempts=st.integers(0, 9), random=st.floats(0, 1, exclude_max=True))
def test_waits_are_spread_by_a_fifth(attempts: int, random: float) -> None:
    """What failed together does not come back together."""
    wait = retry_delay_s(attempts, random=random)

    assert wait is not None
    assert 0.8 * RETRY_DELAYS_S[attempts] <= wait <= 1.2 * RETRY_DELAYS_S[attempts]


def test_the_longer_of_schedule_and_retry_after_is_waited() -> None:
    """A receiver can ask for more time, up to a day, and never for less."""
    assert retry_delay_s(1, random=0.5, retry_after_s=60) == 60
    assert retry_delay_s(2, random=0.5, retry_after_s=60) == 300
    assert retry_delay_s(1, random=0.5, retry_after_s=10**9) == 86_400
    assert retry_delay_s(10, random=0.5, retry_after_s=60) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("9" * 30, 86_400),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200),
        ("Thu, 01 Jan 1970 00:10:00 GMT", 0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 86_400),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    """Both forms of RFC 9110; what cannot be read was not asked."""
    assert retry_after_s({"retry-after": value}, now_s=1000) == seconds


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, Verdict.TAKEN), (204, Verdict.TAKEN), (299, Verdict.TAKEN),
        (101, Verdict.FAILED), (301, Verdict.FAILED), (308, Verdict.FAILED),
        (400, Verdict.FAILED), (401, Verdict.FAILED), (403, Verdict.FAILED),
        (404, Verdict.FAILED), (405, Verdict.FAILED), (408, Verdict.FAILED),
        (410, Verdict.GONE),
        (413, Verdict.REFUSED), (414, Verdict.REFUSED), (422, Verdict.REFUSED),
        (431, Verdict.REFUSED),
        (429, Verdict.OVERLOADED), (502, Verdict.OVERLOADED), (503, Verdict.OVERLOADED),
        (504, Verdict.OVERLOADED),
        (500, Verdict.FAILED), (501, Verdict.FAILED), (599, Verdict.FAILED),
        (None, Verdict.FAILED),
    ],
)  # fmt: skip
def test_what_an_answer_means(status: int | None, meaning: Verdict) -> None:
    """The documented table: what a person can mend is retried, what never changes is not."""
    assert verdict(status) is meaning


def test_an_endpoint_survives_storage() -> None:
    """What is read back is what was written, also by a version that knows more."""
    stored = ENDPOINT.to_json()

    assert Endpoint.from_json(stored) == ENDPOINT
    assert Endpoint.from_json(stored.replace('"id"', '"later":1,"id"')) == ENDPOINT


@pytest.mark.parametrize("stored", ["", "[]", "{}", "null", '{"id": "whe_a"}'])
def test_a_damaged_record_is_named_as_such(stored: str) -> None:
    """Rather than failing somewhere behind."""
    with pytest.raises(InvalidRequest):
        Endpoint.from_json(stored)


def test_an_endpoint_without_types_wants_all() -> None:
    """Types of later versions too."""
    picky = Endpoint(
        id="whe_b", url="https://example.com/", secret="s", created_ms=5, event_types=("a.b",)
    )

    assert ENDPOINT.wants("call.started")
    assert picky.wants("a.b")
    assert not picky.wants("a.c")
