"""What becomes of a call: hours, unknown callers, spam, fallbacks, whispers."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.domain.routing import (
    LONGEST_WHISPER,
    Announce,
    BusinessHours,
    Circumstances,
    Connect,
    Decline,
    Handling,
    Routing,
    Span,
    Treatment,
    Weekday,
    plan,
    problems_of,
    routing_of,
    whispered,
)

SHOP, SECOND, NIGHT = "+16025550142", "+16025550188", "+16025550199"
KNOWN = Circumstances(route_to=SHOP, known=True, spam=False, is_open=None)
REJECT = Handling(Treatment.REJECT)
SAY = Handling(Treatment.MESSAGE, message="We are closed.")
WORKDAYS = tuple(Weekday)[:5]
HOURS = BusinessHours("America/Phoenix", (Span(WORKDAYS, "09:00", "17:00"),), ("2026-12-25",))


def test_a_call_rings_where_it_belongs() -> None:
    """A pool that says nothing puts every call through."""
    assert plan(Routing(), KNOWN) == Connect((SHOP,))


def test_fallbacks_ring_after_it_and_nobody_twice() -> None:
    """In the order given."""
    routing = Routing(fallback_destinations=(SECOND, SHOP, NIGHT))

    assert plan(routing, KNOWN) == Connect((SHOP, SECOND, NIGHT))


@pytest.mark.parametrize(
    ("handling", "planned"),
    [
        (Handling(), Connect((SHOP, SECOND))),
        (Handling(destination=NIGHT), Connect((NIGHT, SECOND))),
        (SAY, Announce("We are closed.")),
        (REJECT, Decline()),
    ],
)
def test_a_call_nobody_is_known_for(handling: Handling, planned: object) -> None:
    """As any other, elsewhere with the same fallbacks, told something, or turned away."""
    routing = Routing(unknown=handling, fallback_destinations=(SECOND,))

    assert plan(routing, replace(KNOWN, known=False)) == planned
    assert plan(routing, KNOWN) == Connect((SHOP, SECOND))


@pytest.mark.parametrize(
    ("handling", "planned"),
    [
        (Handling(), Connect((SHOP, SECOND))),
        (Handling(destination=NIGHT), Connect((NIGHT,))),
        (SAY, Announce("We are closed.")),
        (REJECT, Decline()),
    ],
)
@pytest.mark.parametrize("kind", ["spam", "after_hours"])
def test_spam_and_calls_out_of_hours(kind: str, handling: Handling, planned: object) -> None:
    """Sent elsewhere they ring there only: the others are asleep, or spared."""
    routing = routing_of({"fallback_destinations": [SECOND]})
    if kind == "spam":
        routing, call = replace(routing, spam=handling), replace(KNOWN, spam=True)
    else:
        routing, call = replace(routing, after_hours=handling), replace(KNOWN, is_open=False)

    assert plan(routing, call) == planned


def test_spam_is_looked_at_before_the_hours_and_these_before_whether_it_is_known() -> None:
    """One rule decides."""
    routing = Routing(spam=REJECT, after_hours=SAY, unknown=Handling(destination=NIGHT))
    call = Circumstances(route_to=SHOP, known=False, spam=True, is_open=False)

    assert plan(routing, call) == Decline()
    assert plan(routing, replace(call, spam=False)) == Announce("We are closed.")
    assert plan(routing, replace(call, spam=False, is_open=True)) == Connect((NIGHT,))


@pytest.mark.parametrize(
    ("local", "open_then"),
    [
        ("2026-11-23T08:59", False),
        ("2026-11-23T09:00", True),
        ("2026-11-23T16:59", True),
        ("2026-11-23T17:00", False),
        ("2026-11-22T12:00", False),  # a Sunday
        ("2026-12-25T12:00", False),  # a holiday, though a Friday
        ("2026-12-24T12:00", True),
    ],
)
def test_business_hours_begin_and_end_on_the_minute(local: str, *, open_then: bool) -> None:
    """The end is not included."""
    assert HOURS.are_open(datetime.fromisoformat(local)) is open_then


@pytest.mark.parametrize(
    ("local", "open_then"),
    [
        ("2026-11-27T21:59", False),
        ("2026-11-27T22:00", True),
        ("2026-11-28T01:59", True),  # Saturday's first hours belong to Friday's night
        ("2026-11-28T02:00", False),
        ("2026-11-28T22:30", False),
    ],
)
def test_hours_may_run_past_midnight(local: str, *, open_then: bool) -> None:
    """A night is named by the day it begins on."""
    night = BusinessHours("UTC", (Span((Weekday.FRIDAY,), "22:00", "02:00"),))

    assert night.are_open(datetime.fromisoformat(local)) is open_then


def test_a_whole_day_ends_at_24_00() -> None:
    """So that around the clock can be said."""
    always = BusinessHours("UTC", (Span(tuple(Weekday), "00:00", "24:00"),))

    assert always.are_open(datetime.fromisoformat("2026-11-28T23:59"))
    assert always.are_open(datetime.fromisoformat("2026-11-29T00:00"))


def test_hours_follow_the_clock_on_the_wall_through_daylight_saving() -> None:
    """Nine in New York is 13:00 UTC in October and 14:00 in November."""
    hours = replace(HOURS, time_zone="America/New_York")
    zone = ZoneInfo(hours.time_zone)

    at = [datetime.fromisoformat(f"2026-{day}:30+00:00") for day in
          ("10-30T12", "10-30T13", "11-02T13", "11-02T14")]  # fmt: skip

    assert [hours.are_open(each.astimezone(zone)) for each in at] == [False, True, False, True]


def test_a_whisper_is_filled_in() -> None:
    """What is not known leaves no trace."""
    said = whispered("Call for {pool}, {campaign} {utm_source} {gone}", {
        "pool": "Shop", "utm_source": "google  ads", "campaign": "spring",
    })  # fmt: skip

    assert said == "Call for Shop, spring google ads"


def test_nothing_is_said_where_nothing_is_known() -> None:
    """No lonely commas."""
    assert whispered("{utm_source}, {campaign}", {"campaign": "spring"}) == "spring"
    assert whispered("{utm_source}, {campaign}", {}) == ""


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text(max_size=3000)))
def test_whatever_a_page_told_a_whisper_stays_short(told: dict[str, str]) -> None:
    """Also when it told the name of another place: nothing is filled in twice."""
    assert len(whispered("{a} and {b} " * 20, told)) <= LONGEST_WHISPER


def test_a_value_is_not_a_template() -> None:
    """A page cannot have another field said."""
    assert whispered("{a}", {"a": "{b}", "b": "secret"}) == "{b}"


@pytest.mark.parametrize(
    ("routing", "field"),
    [
        (Routing(business_hours=HOURS), "after_hours"),
        (Routing(spam=Handling(Treatment.MESSAGE)), "spam.message"),
        (Routing(spam=Handling(Treatment.REJECT, message="No.")), "spam.message"),
        (Routing(unknown=Handling(Treatment.REJECT, destination=SHOP)), "unknown.destination"),
        (Routing(whisper="{no such}"), "whisper"),
        (
            Routing(
                business_hours=BusinessHours("UTC", (Span(WORKDAYS, "09:00", "09:00"),)),
                after_hours=SAY,
            ),
            "business_hours.weekly.0",
        ),
    ],
)
def test_what_contradicts_itself_is_named(routing: Routing, field: str) -> None:
    """With the setting it is about."""
    assert [name for name, _ in problems_of(routing)] == [field]


def test_what_is_in_order_has_no_problem() -> None:
    """The settings of the handbook."""
    routing = Routing(
        business_hours=HOURS, after_hours=SAY, spam=REJECT, whisper="{utm_source}, {campaign}"
    )

    assert list(problems_of(routing)) == []
    assert routing_of({}) == Routing()
