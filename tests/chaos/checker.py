"""Whether a recorded run kept the promises: what certainly went wrong, and never a false alarm.

Pure: history in, violations out. Each rule is one function; `timeline` has those that rest on
events. What cannot be known for certain is not counted: see `holds`.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from tests.chaos.history import (
    ASSIGN,
    ATTRIBUTION,
    CLOSE,
    HEARTBEAT,
    History,
    Line,
    Operation,
    Shown,
)
from tests.chaos.holds import Holds, Lease, covers
from tests.chaos.timeline import OF_EVENTS
from tests.chaos.violation import BEGUN, RENEWED, Rule, Violation, fence, may_be_forgotten


def answers(history: History, _: Holds) -> Iterator[Violation]:
    """Only success or 503, and well again by itself after each fault.

    A 503 is never wrong by itself: on a machine that is busy enough the store is slow without any
    fault. The report counts those that no fault explains.
    """
    good = {ASSIGN: 200, HEARTBEAT: 200, CLOSE: 204, ATTRIBUTION: 200}
    for each in history.operations:
        if each.status not in {None, good[each.call], 503}:
            yield Violation("answers", f"{each.call} answered {each.status}", (each,))
    for fault in history.faults:
        if fault.served is None:
            yield Violation("answers", f"not served again after: {fault.name}", (fault,))


def shapes(history: History, _: Holds) -> Iterator[Violation]:
    """A page is shown its pool's numbers for the destinations it asked for, or what it had."""
    for each in history.operations:
        rules = history.rules[each.pool]
        for shown in each.shown:
            allowed = {
                "leased": rules.numbers, "overflow": rules.overflow,
                "original": (shown.destination,),
            }[shown.status]  # fmt: skip
            if shown.number not in allowed or shown.destination not in rules.destinations:
                yield Violation("answers", f"shows {shown.number} as {shown.status}", (each,))
            if (shown.status == "leased") != (shown.lease_id is not None):
                yield Violation("answers", "a lease without an id, or an id without one", (each,))


def exclusive(_: History, holds: Holds) -> Iterator[Violation]:
    """At no instant do two leases of one number live."""
    for number, leases in holds.by_number().items():
        spans = sorted(
            ((begin, end, lease) for lease in leases for begin, end in lease.locked),
            key=lambda each: each[:2],
        )
        last: tuple[float, Lease] | None = None
        for begin, end, lease in spans:
            if last is not None and begin < last[0] and lease is not last[1]:
                yield Violation(
                    "exclusive",
                    f"{number}: {last[1].id} of {last[1].visitor} certainly lived until "
                    f"{last[0]:.3f}, {lease.id} of {lease.visitor} did at {begin:.3f}",
                )
            if last is None or end > last[0]:
                last = (end, lease)


def idempotent(history: History, holds: Holds) -> Iterator[Violation]:
    """Who certainly holds a lease is answered with that one, and hears that it lives."""
    for each in history.operations:
        if each.end is None or not each.good or not each.visitor:
            continue
        for lease in holds.of[each.pool, each.visitor]:
            if not lease.lives(each.begin, each.end):
                continue
            if each.gone:
                yield Violation("idempotent", f"gone, and {lease.id} certainly lives", (each,))
            for shown in each.shown:
                same = (shown.number, shown.lease_id) == (lease.number, lease.id)
                if shown.destination == lease.destination and not (
                    same and shown.reason == RENEWED
                ):
                    what = f"{lease.id} certainly lives, answered {shown.lease_id} {shown.reason}"
                    yield Violation("idempotent", what, (each,))


def one_meaning(history: History, _: Holds) -> Iterator[Violation]:
    """A lease id stands for one number, visitor and destination, for ever."""
    known: dict[str, tuple[tuple[str, str, str], Line]] = {}

    def note(
        lease_id: str | None, meaning: tuple[str, str, str], line: Line
    ) -> Iterator[Violation]:
        if lease_id is None:
            return
        before, its_line = known.setdefault(lease_id, (meaning, line))
        if before != meaning and not may_be_forgotten(history, its_line):
            yield Violation("one meaning", f"{lease_id}: {before}, {meaning}", (its_line, line))

    for each in history.operations:
        for shown in each.shown:
            yield from note(shown.lease_id, (shown.number, each.visitor, shown.destination), each)
        if each.who is not None and each.who.visitor is not None:
            meaning = (each.number, each.who.visitor, each.who.route_to)
            yield from note(each.who.lease_id, meaning, each)
    for event in history.events:
        meaning = (event.number, event.visitor, event.destination)
        yield from note(event.lease_id, meaning, event)


def fences(history: History, _: Holds) -> Iterator[Violation]:
    """Of two leases of a pool the later one has the greater fence; each is begun once."""
    began: dict[str, list[tuple[Operation, Shown]]] = defaultdict(list)
    for each in history.operations:
        for shown in each.shown:
            if shown.lease_id is not None and shown.reason in BEGUN and each.end is not None:
                began[each.pool].append((each, shown))
    for told in began.values():
        once: dict[str, Operation] = {}
        by_return = sorted(told, key=lambda pair: pair[0].end or 0.0)
        highest, holder, at = 0, None, 0
        for each, shown in sorted(told, key=lambda pair: pair[0].begin):
            while at < len(by_return) and (by_return[at][0].end or 0.0) < each.begin:
                earlier, its_shown = by_return[at]
                if fence(its_shown.lease_id) > highest:
                    highest, holder = fence(its_shown.lease_id), earlier
                at += 1
            assert shown.lease_id is not None
            forgotten = holder is not None and may_be_forgotten(history, holder)
            if fence(shown.lease_id) <= highest and holder is not None and not forgotten:
                yield Violation("fences", f"{shown.lease_id} after {highest}", (holder, each))
            before = once.setdefault(shown.lease_id, each)
            if before is not each and not may_be_forgotten(history, before):
                yield Violation("fences", f"{shown.lease_id} begun twice", (before, each))


def lock_rule(history: History, _: Holds) -> Iterator[Violation]:
    """A sign of life promises the idle limit, whatever was before."""
    for each in history.operations:
        rules = history.rules[each.pool]
        promised = [shown.expires_in_s for shown in each.shown if shown.lease_id is not None]
        if each.call == HEARTBEAT and each.good and not each.gone:
            promised.append(each.expires_in_s)
        if any(seconds != rules.idle_s for seconds in promised):
            yield Violation("lock rule", f"promised {promised}, not {rules.idle_s} s", (each,))


def attributed(history: History, holds: Holds) -> Iterator[Violation]:
    """Who certainly held a number while it was asked after is the answer, and on what it rests."""
    by_number = holds.by_number()
    for each in history.operations:
        who = each.who
        if who is None or each.end is None:
            continue
        if each.at_ms is not None:
            if who.at_ms != each.at_ms:
                yield Violation("attribution", "for another instant than was asked for", (each,))
            continue
        for lease in by_number.get(each.number, ()):
            if not lease.lives(each.begin, each.end):
                continue
            fits = {"live"} if covers(lease.open, each.begin, each.end) else {"live", "closing"}
            if (who.visitor, who.lease_id) != (lease.visitor, lease.id):
                what = f"{lease.id} of {lease.visitor} lived, answered {who.visitor}"
                yield Violation("attribution", what, (each,))
            elif who.basis not in fits or who.route_to != lease.destination:
                what = f"{who.basis} to {who.route_to}, not {fits} to {lease.destination}"
                yield Violation("attribution", what, (each,))


OF_ANSWERS: Final[tuple[Rule, ...]] = (
    answers, shapes, exclusive, idempotent, one_meaning, fences, lock_rule, attributed,
)  # fmt: skip


def violations(history: History) -> list[Violation]:
    """Everything that certainly went wrong."""
    holds = Holds(history)
    return [found for rule in (*OF_ANSWERS, *OF_EVENTS) for found in rule(history, holds)]
