"""The checker finds what was planted, and nothing that may have been right."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from tests.chaos.checker import violations
from tests.chaos.history import (
    ASSIGN,
    ATTRIBUTION,
    CLOSE,
    HEARTBEAT,
    History,
    Line,
    Operation,
    Rules,
    Settled,
    Shown,
    Struck,
    Told,
    Who,
)
from tests.chaos.timeline import ASSIGNED, ENDED

SHOP = "+16023133897"
NUMBER, OTHER, SHARED = "+16025550100", "+16025550101", "+18005550100"
RULES = Rules(
    pool="pool_a", numbers=(NUMBER, OTHER), destinations=(SHOP,), idle_s=5, delay_s=1,
    overflow=(SHARED,),
)  # fmt: skip
AHEAD_MS = 1_800_000_000_000


def shows(lease: int, *, number: str = NUMBER, reason: str = "new", left_s: int = 5) -> Shown:
    """A leased number."""
    return Shown(
        destination=SHOP, number=number, status="leased", reason=reason, lease_id=f"lse_a_{lease}",
        expires_in_s=left_s,
    )  # fmt: skip


def called(call: str, who: str, begin: float, end: float | None, **more: object) -> Operation:
    """A request; without `end` it was never answered."""
    told: dict[str, Any] = {
        "page": "p", "status": None if end is None else 204 if call == CLOSE else 200,
    }  # fmt: skip
    told |= more
    return Operation(call=call, begin=begin, end=end, pool="pool_a", visitor=who, **told)


def assign(
    who: str, begin: float, end: float, lease: int, *, page: str = "p", number: str = NUMBER,
    reason: str = "new", left_s: int = 5,
) -> Operation:  # fmt: skip
    """A page view that leased the number."""
    shown = shows(lease, number=number, reason=reason, left_s=left_s)
    return called(ASSIGN, who, begin, end, page=page, shown=(shown,))


def renewed(who: str, begin: float, end: float, lease: int, *, page: str = "p") -> Operation:
    """A page view of somebody who had the number."""
    return assign(who, begin, end, lease, reason="renewed", page=page)


def beat(who: str, begin: float, end: float, **more: object) -> Operation:
    """A heartbeat that was taken."""
    told: dict[str, object] = {"expires_in_s": 5}
    return called(HEARTBEAT, who, begin, end, **(told | more))


def close(who: str, begin: float, end: float | None, **more: object) -> Operation:
    """A beacon."""
    return called(CLOSE, who, begin, end, **more)


def who(
    begin: float, end: float, *, at_s: float, asked: bool = False, visitor: str | None = None,
    lease: int = 0, basis: str = "live", route_to: str = SHOP,
) -> Operation:  # fmt: skip
    """An attribution for an instant."""
    at_ms = AHEAD_MS + round(at_s * 1000)
    lease_id = None if visitor is None else f"lse_a_{lease}"
    found = Who(at_ms=at_ms, basis=basis, route_to=route_to, visitor=visitor, lease_id=lease_id)
    return Operation(
        call=ATTRIBUTION, begin=begin, end=end, pool="pool_a", number=NUMBER, status=200,
        at_ms=at_ms if asked else None, who=found,
    )  # fmt: skip


def events(who: str, lease: int, begin_s: float, end_s: float, **more: object) -> list[Told]:
    """Begin and end of a lease."""
    common: dict[str, Any] = {
        "came": end_s + 1, "pool": "pool_a", "number": NUMBER, "visitor": who,
        "destination": SHOP, "lease_id": f"lse_a_{lease}", "reason": "new",
    }  # fmt: skip
    common |= more
    begin_ms = AHEAD_MS + round(begin_s * 1000)
    return [
        Told(id=f"evt_{lease}_0", type=ASSIGNED, at_ms=begin_ms, **common),
        Told(
            id=f"evt_{lease}_1", type=ENDED, at_ms=AHEAD_MS + round(end_s * 1000),
            started_ms=begin_ms, **common,
        ),
    ]  # fmt: skip


def fault(
    begin: float, end: float, *, forgets_s: float = 0.0, moves_clock: bool = False
) -> Struck:  # fmt: skip
    """Something was broken, and well again at once."""
    return Struck(
        name="fault", begin=begin, end=end, served=end, forgets_s=forgets_s,
        moves_clock=moves_clock,
    )  # fmt: skip


def settled(lines: list[Line], *, written: int | None = None) -> list[Line]:
    """The run is over; as many events were written as came, unless told otherwise."""
    count = len({each.id for each in lines if isinstance(each, Told)})
    return [*lines, Settled(at=99, events=count if written is None else written)]


def rules_broken(*lines: Line) -> set[str]:
    """Which rules a run with these records broke."""
    return {each.rule for each in violations(History.of([RULES, *lines]))}


CLOCKS = who(0.04, 0.05, at_s=0.045, visitor="ann", lease=1)
"""An answer so quick that the clocks are known to 10 ms."""
ANN = [assign("ann", 0.02, 0.03, 1), CLOCKS]

WRONG: dict[str, tuple[str, list[Line]]] = {
    "another visitor while the lock certainly lives": (
        "exclusive", [assign("ann", 0, 0.1, 1), assign("bob", 1, 4.9, 2)]
    ),
    "another visitor after a heartbeat": (
        "exclusive", [assign("ann", 0, 0.1, 1), beat("ann", 3, 3.1), assign("bob", 6, 7.9, 2)]
    ),
    "another visitor before the closed-browser delay": (
        "exclusive",
        [assign("ann", 0, 0.1, 1), close("ann", 1, 1.1), assign("bob", 1.5, 1.9, 2)],
    ),
    "a late beacon of an old page ended a newer one": (
        "exclusive",
        [
            assign("ann", 0, 0.1, 1), renewed("ann", 1, 1.1, 1, page="q"), close("ann", 2, 2.1),
            assign("bob", 4, 4.1, 2),
        ],
    ),
    "a page that came back after its visitor's beacon lost its lock": (
        "exclusive",
        [
            assign("ann", 0, 0.1, 1), close("ann", 1, 1.1), renewed("ann", 1.2, 1.3, 1, page="q"),
            assign("bob", 4, 4.1, 2),
        ],
    ),
    "one number twice in Redis' own time": (
        "exclusive", [*events("ann", 1, 1, 5), *events("bob", 2, 4.999, 9)]
    ),
    "another number for who has one": (
        "idempotent", [assign("ann", 0, 0.1, 1), assign("ann", 1, 1.1, 2, number=OTHER)]
    ),
    "another lease of the same number": (
        "idempotent", [assign("ann", 0, 0.1, 1), renewed("ann", 1, 1.1, 2)]
    ),
    "new again, though it is had": (
        "idempotent", [assign("ann", 0, 0.1, 1), assign("ann", 1, 1.1, 1)]
    ),
    "an overflow number for who has one": (
        "idempotent",
        [
            assign("ann", 0, 0.1, 1),
            called(
                ASSIGN, "ann", 1, 1.1,
                shown=(Shown(destination=SHOP, number=SHARED, status="overflow", reason="x"),),
            ),
        ],
    ),
    "gone, though it is had": (
        "idempotent", [assign("ann", 0, 0.1, 1), beat("ann", 1, 1.1, gone=True, expires_in_s=None)]
    ),
    "one id for two visitors": ("one meaning", [assign("ann", 0, 1, 1), assign("bob", 20, 21, 1)]),
    "one id, told of with another number": (
        "one meaning", [assign("ann", 0, 1, 1), *events("ann", 1, 0.5, 5.5, number=OTHER)]
    ),
    "one id, attributed to somebody else": (
        "one meaning", [assign("ann", 0, 1, 1), who(9, 9.1, at_s=9, visitor="bob", lease=1)]
    ),
    "another visitor before the clock jumped": (
        "exclusive",
        [
            assign("ann", 0, 0.1, 1), assign("bob", 1, 1.1, 2), fault(3, 4, moves_clock=True),
        ],
    ),
    "another visitor after the clock was right again": (
        "exclusive",
        [
            fault(0, 1, moves_clock=True), assign("ann", 1.1, 1.2, 1), assign("bob", 2, 2.1, 2),
        ],
    ),
    "two events for one fact, though the clock jumped": (
        "events",
        [
            assign("ann", 0, 1, 1), fault(2, 3, moves_clock=True),
            *(replace(each, id=name) for each in events("ann", 1, 0.5, 5) for name in "ab"),
        ],
    ),
    "a fence went back": ("fences", [assign("ann", 0, 1, 2), assign("bob", 20, 21, 1)]),
    "a fence stood still": ("fences", [assign("ann", 0, 1, 1), assign("ann", 20, 21, 1)]),
    "a fence went back in Redis' own time": (
        "fences", [*events("ann", 2, 1, 2), *events("bob", 1, 3, 4)]
    ),
    "a shorter promise": ("lock rule", [assign("ann", 0, 0.1, 1, left_s=4)]),
    "a longer promise of a heartbeat": ("lock rule", [beat("ann", 0, 1, expires_in_s=6)]),
    "it ended before the idle limit": ("lock rule", [*ANN, *events("ann", 1, 0.025, 4.9)]),
    "it ended before the closed-browser delay": (
        "lock rule", [*ANN, close("ann", 2, 2.1), *events("ann", 1, 0.025, 2.9)]
    ),
    "it ended after the idle limit": ("lock rule", [*ANN, *events("ann", 1, 0.025, 5.2)]),
    "it ended after the closed-browser delay": (
        "lock rule", [*ANN, close("ann", 2, 2.1), *events("ann", 1, 0.025, 3.2)]
    ),
    "a stranger is named": (
        "attribution",
        [assign("ann", 0, 0.1, 1), who(1, 1.1, at_s=1, visitor="bob", lease=2)],
    ),
    "nobody is named": (
        "attribution", [assign("ann", 0, 0.1, 1), who(1, 1.1, at_s=1, basis="none")]
    ),
    "ended, though it lives": (
        "attribution",
        [assign("ann", 0, 0.1, 1), who(1, 1.1, at_s=1, visitor="ann", lease=1, basis="ended")],
    ),
    "closing, though no page closed": (
        "attribution",
        [assign("ann", 0, 0.1, 1), who(1, 1.1, at_s=1, visitor="ann", lease=1, basis="closing")],
    ),
    "the call goes elsewhere": (
        "attribution",
        [
            assign("ann", 0, 0.1, 1),
            who(1, 1.1, at_s=1, visitor="ann", lease=1, route_to=SHARED),
        ],
    ),
    "the past has another visitor": (
        "attribution",
        settled([
            *events("ann", 1, 1, 5), *events("bob", 2, 6, 9),
            assign("ann", 0.9, 1.1, 1), assign("bob", 5.9, 6.1, 2),
            who(10, 10.1, at_s=3, asked=True, visitor="bob", lease=2),
        ]),
    ),
    "the past has the visitor before, at the begin of a lease": (
        "attribution",
        settled([
            *events("ann", 1, 1, 5), *events("bob", 2, 6, 11),
            assign("ann", 0.9, 1.1, 1), assign("bob", 5.9, 6.1, 2),
            who(6.5, 6.501, at_s=6.5, visitor="bob", lease=2),
            who(12, 12.1, at_s=6, asked=True, visitor="ann", lease=1, basis="ended"),
        ]),
    ),
    "live, after it had ended": (
        "attribution",
        settled([
            *events("ann", 1, 1, 5), assign("ann", 0.9, 1.1, 1),
            who(6, 6.1, at_s=6, visitor="ann", lease=1),
        ]),
    ),
    "another instant than was asked for": (
        "attribution",
        [replace(who(9, 9.1, at_s=3, asked=True, basis="none"), at_ms=AHEAD_MS + 2_999)],
    ),
    "nobody was told that it began": (
        "events", settled([assign("ann", 0, 1, 1), events("ann", 1, 0.5, 5)[1]])
    ),
    "nobody was told that it ended": (
        "events", settled([assign("ann", 0, 1, 1), events("ann", 1, 0.5, 5)[0]])
    ),
    "an event was written and never came": (
        "events", settled([assign("ann", 0, 1, 1), *events("ann", 1, 0.5, 5)], written=3)
    ),
    "two events for one fact": (
        "events",
        [assign("ann", 0, 1, 1), *(
            replace(each, id=name) for each in events("ann", 1, 0.5, 5) for name in "ab"
        )],
    ),
    "one event with two contents": (
        "events",
        [assign("ann", 0, 1, 1), *events("ann", 1, 0.5, 5), *events("ann", 1, 0.5, 6)],
    ),
    "a lease nobody asked for": ("events", [assign("ann", 0, 1, 1), *events("ann", 2, 7, 12)]),
    "a lease of a visitor nobody knows": ("events", [*events("bob", 1, 1, 5)]),
    "told of before it was asked for": (
        "events", [assign("ann", 3, 4, 1), *events("ann", 1, 3, 8, came=2)]
    ),
    "it began when it had not been asked for": (
        "events", [*ANN, *events("ann", 1, 0.2, 5.025)]
    ),
    "it ended and never began": ("events", settled([events("ann", 1, 1, 5)[1]])),
    "it ended before it began": ("events", [assign("ann", 0, 9, 1), *events("ann", 1, 5, 1)]),
    "an error of the service": ("answers", [called(ASSIGN, "ann", 0, 1, status=500)]),
    "a refusal nobody expects": ("answers", [called(CLOSE, "ann", 0, 1, status=404)]),
    "not served after a fault": ("answers", [Struck(name="x", begin=1, end=2)]),
    "a number of another pool": ("answers", [assign("ann", 0, 1, 1, number=SHARED)]),
    "a number of nobody": (
        "answers",
        [called(ASSIGN, "ann", 0, 1, shown=(replace(shows(1), lease_id=None),))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_certainly_went_wrong_is_found(name: str) -> None:
    """Each rule, by histories with one thing wrong."""
    rule, lines = WRONG[name]

    assert rule in rules_broken(*lines)


LEFT: list[Line] = [assign("ann", 0, 0.1, 1), close("ann", 1, 1.1)]
RIGHT: dict[str, list[Line]] = {
    "the second answer came after the first promise": [
        assign("ann", 0, 0.1, 1), assign("bob", 1, 5.1, 2),
    ],
    "the second answer came after the delay": [*LEFT, assign("bob", 1.5, 2.1, 2)],
    "a beacon that was never answered may have been served": [
        assign("ann", 0, 0.1, 1), close("ann", 0.5, None), assign("bob", 1, 1.6, 2),
    ],
    "a beacon that was refused may be served later, after a heartbeat": [
        assign("ann", 0, 0.1, 1), close("ann", 0.5, 0.6, status=503), beat("ann", 1, 1.1),
        assign("bob", 2, 2.1, 2),
    ],
    "a copy of a beacon may be served later, under a fault": [
        assign("ann", 0, 0.1, 1), close("ann", 0.5, 0.6), fault(0.4, 0.5 ), fault(0.5, 0.7),
        beat("ann", 1, 1.1), assign("bob", 2, 2.1, 2),
    ],
    "both pages may have closed": [
        assign("ann", 0, 0.1, 1), renewed("ann", 0.2, 0.3, 1, page="q"), close("ann", 1, 1.1),
        close("ann", 1, 1.1, page="q"), assign("bob", 1.5, 2.1, 2),
    ],
    "what may be forgotten was": [
        assign("ann", 0, 0.1, 1), fault(0.5, 0.7, forgets_s=1), assign("bob", 1, 1.1, 1),
    ],
    "all may be forgotten": [
        assign("ann", 0, 0.1, 7), fault(3.5, 3.7, forgets_s=inf), assign("bob", 4, 4.1, 1),
    ],
    "the clock that decides jumped": [
        assign("ann", 0, 0.1, 1), fault(3.5, 3.7, moves_clock=True), assign("bob", 4, 4.1, 2),
        *events("ann", 1, 9, 5), *events("bob", 2, 4, 8),
    ],
    "one lease after the other, to the millisecond": [
        assign("ann", 0.9, 9, 1), assign("bob", 1, 9, 2), *events("ann", 1, 1, 5),
        *events("bob", 2, 5, 10),
    ],
    "two answers to one page that was sent twice": [
        assign("ann", 0, 2, 1), renewed("ann", 0.1, 1, 1),
    ],
    "an idle limit after an answer that was late": [*ANN, *events("ann", 1, 0.025, 5.025)],
    "a request without an answer leased": [
        called(ASSIGN, "ann", 0, None), *events("ann", 1, 7, 12),
    ],
    "a copy of a request leased again, under a fault": [
        assign("ann", 0, 1, 1), fault(0.5, 0.7), *events("ann", 2, 9, 14),
    ],
    "an event that came twice": [
        assign("ann", 0, 1, 1), *events("ann", 1, 0.5, 5), *events("ann", 1, 0.5, 5, came=9),
    ],
    "the store was away": [called(ASSIGN, "ann", 0, 1, status=503), fault(0, 1)],
    "asked in the very millisecond of the next lease": settled([
        assign("ann", 0.9, 1.1, 1), assign("bob", 5.9, 6.1, 2), *events("ann", 1, 1, 5.99),
        *events("bob", 2, 6, 11), who(6, 6.001, at_s=6, visitor="ann", lease=1, basis="ended"),
    ]),
    "asked in the very millisecond in which it ended": settled([
        assign("ann", 0.9, 1.1, 1), *events("ann", 1, 1, 6),
        who(6, 6.001, at_s=6, visitor="ann", lease=1),
    ]),
    "too many have had the number since": settled([
        *(assign("ann", 6 * at, 6 * at + 0.1, at) for at in range(1, 11)),
        *(each for at in range(1, 11) for each in events("ann", at, 6 * at + 0.05, 6 * at + 5.05)),
        who(99, 99.1, at_s=7, asked=True, basis="none"),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_have_been_right_is_let_be(name: str) -> None:
    """What cannot be known for certain is no violation: an alarm is always true."""
    assert rules_broken(*RIGHT[name]) == set()
