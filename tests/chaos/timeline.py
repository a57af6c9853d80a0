"""What the events say, in the one clock that decides: that of Redis.

Every lease has an event at its begin and one at its end, with the exact instants. So once all
events have come, who had which number when is known to the millisecond, and answers that came
meanwhile are compared with it. Where the clock jumped, its instants prove nothing of an order.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from operator import attrgetter
from typing import Final

from tests.chaos.history import ASSIGN, CLOSE, HEARTBEAT, History, Operation, Told
from tests.chaos.holds import Holds
from tests.chaos.violation import BEGUN, Rule, Violation, fence, may_be_forgotten

ASSIGNED: Final = "number.assigned"
ENDED: Final = "lease.ended"
KEPT: Final = 8
"""Earlier holders of a number that are remembered."""
SLACK_MS: Final = 5.0
"""Between two clocks of one machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """One visitor's time with one number, as the events told it."""

    lease_id: str
    number: str
    visitor: str
    destination: str
    from_ms: int
    until_ms: float
    """`inf`: its end was not told."""
    begin: Told
    end: Told | None


def tenures(history: History) -> list[Tenure]:
    """One for each lease whose begin was told."""
    ends = {each.lease_id: each for each in history.events if each.type == ENDED}
    begins = {each.lease_id: each for each in history.events if each.type == ASSIGNED}
    return [
        Tenure(
            lease_id=lease_id, number=told.number, visitor=told.visitor,
            destination=told.destination, from_ms=told.at_ms,
            until_ms=ends[lease_id].at_ms if lease_id in ends else inf,
            begin=told, end=ends.get(lease_id),
        )
        for lease_id, told in begins.items()
    ]  # fmt: skip


def clock_moved(history: History) -> bool:
    """Whether the clock of Redis jumped in the run."""
    return any(fault.moves_clock for fault in history.faults)


def offset_ms(history: History) -> tuple[float, float] | None:
    """Between which bounds the clock of Redis is ahead of the one of the record, in ms.

    Each attribution tells an instant between its request and its return. None: they contradict
    each other, so the clock was set meanwhile; or there was none.
    """
    low, high = -inf, inf
    for each in history.operations:
        if each.who is not None and each.at_ms is None and each.end is not None:
            low = max(low, each.who.at_ms - each.end * 1000)
            high = min(high, each.who.at_ms + 1 - each.begin * 1000)
    known = low <= high and low > -inf and not clock_moved(history)
    return (low - SLACK_MS, high + SLACK_MS) if known else None


def delivered(history: History, _: Holds) -> Iterator[Violation]:
    """Every lease is told of when it begins and when it ends; nothing that was written stays."""
    if history.settled is None:
        return
    if len({event.id for event in history.events}) < history.settled.events:
        yield Violation("events", "some were written and never came", (history.settled,))
    came = {(event.type, event.lease_id) for event in history.events}
    for each in history.operations:
        for shown in each.shown:
            if shown.lease_id is None or may_be_forgotten(history, each):
                continue
            for kind in (ASSIGNED, ENDED):
                if (kind, shown.lease_id) not in came:
                    yield Violation("events", f"no {kind} of {shown.lease_id}", (each,))


def told_once(history: History, _: Holds) -> Iterator[Violation]:
    """However often it is delivered: one event for each fact, and the same one each time."""
    ids: dict[tuple[str, str], Told] = {}
    bodies: dict[str, Told] = {}
    for event in history.events:
        if event.type not in {ASSIGNED, ENDED} or may_be_forgotten(history, event):
            continue
        first = ids.setdefault((event.type, event.lease_id), event)
        if first.id != event.id:
            yield Violation("events", f"{event.type} of {event.lease_id} twice", (first, event))
        same = bodies.setdefault(event.id, event)
        if _content(same) != _content(event):
            yield Violation("events", f"{event.id} with two contents", (same, event))


def _content(event: Told) -> tuple[object, ...]:
    return (event.type, event.lease_id, event.number, event.visitor, event.at_ms, event.reason)


def happened(history: History, holds: Holds) -> Iterator[Violation]:
    """Nothing is told of that never was: somebody had asked for that lease."""
    asked: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    answered: set[str] = set()
    for each in history.operations:
        if each.call == ASSIGN:
            asked[each.pool, each.visitor].append(each)
            answered |= {shown.lease_id for shown in each.shown if shown.lease_id is not None}
    for event in history.events:
        if event.type != ASSIGNED:
            continue
        requests = asked[event.pool, event.visitor]
        open_ends = any(holds.settled_by(each) == inf for each in requests)
        if event.lease_id not in answered and not open_ends:
            yield Violation("events", f"nobody asked for {event.lease_id}", (event,))
        if all(each.begin > event.came for each in requests):
            yield Violation("events", f"{event.lease_id} was told of too early", (event,))


def ends_began(history: History, _: Holds) -> Iterator[Violation]:
    """What ends had begun, at the instant that its end tells, and not after it."""
    begun = {event.lease_id: event for event in history.events if event.type == ASSIGNED}
    for event in history.events:
        if event.type != ENDED or may_be_forgotten(history, event):
            continue
        begin = begun.get(event.lease_id)
        if begin is None:
            if history.settled is not None:
                yield Violation("events", f"{event.lease_id} ended, and never began", (event,))
        elif event.started_ms != begin.at_ms or (
            event.at_ms < begin.at_ms and not clock_moved(history)
        ):
            yield Violation("events", f"{event.lease_id} ended before it began", (begin, event))


def exclusive(history: History, _: Holds) -> Iterator[Violation]:
    """By the clock of Redis: a lease of a number begins when the one before has ended."""
    if clock_moved(history):
        return
    by_number: dict[str, list[Tenure]] = defaultdict(list)
    by_pool: dict[str, list[Tenure]] = defaultdict(list)
    for each in tenures(history):
        by_number[each.number].append(each)
        by_pool[each.begin.pool].append(each)
    for group in by_number.values():
        ordered = sorted(group, key=lambda each: fence(each.lease_id))
        for before, after in pairwise(ordered):
            overlaps = before.until_ms > after.from_ms and before.end is not None
            if overlaps and not may_be_forgotten(history, before.begin):
                what = f"{before.lease_id} ended after {after.lease_id} had begun"
                yield Violation("exclusive", what, (before.begin, before.end, after.begin))  # type: ignore[arg-type]  # not None
    for group in by_pool.values():
        ordered = sorted(group, key=lambda each: fence(each.lease_id))
        for before, after in pairwise(ordered):
            if before.from_ms > after.from_ms and not may_be_forgotten(history, before.begin):
                what = f"{before.lease_id} began after {after.lease_id}"
                yield Violation("fences", what, (before.begin, after.begin))


def lock_rule(history: History, holds: Holds) -> Iterator[Violation]:
    """A lease ends no sooner and no later than its visitor's signs of life and beacons allow."""
    bounds = offset_ms(history)
    if bounds is None:
        return
    low, high = bounds
    by_visitor: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for each in history.operations:
        by_visitor[each.pool, each.visitor].append(each)
    for tenure in tenures(history):
        if tenure.end is None:
            continue
        lease = holds.leases.get(tenure.lease_id)
        if lease is not None and tenure.until_ms < lease.last * 1000 + low:
            what = f"{tenure.lease_id} ended at {tenure.until_ms}, while it certainly lived"
            yield Violation("lock rule", what, (tenure.end,))
        latest = _latest(history, holds, by_visitor[tenure.begin.pool, tenure.visitor])
        if tenure.until_ms > latest * 1000 + high:
            what = f"{tenure.lease_id} ended at {tenure.until_ms}, which is too late"
            yield Violation("lock rule", what, (tenure.end,))


def _latest(history: History, holds: Holds, operations: Sequence[Operation]) -> float:
    """When the last lease of a visitor in a pool has certainly ended; `inf`: not known."""
    rules = history.rules[operations[0].pool] if operations else None
    if rules is None:
        return inf
    signs = [each for each in operations if each.call in {ASSIGN, HEARTBEAT}]
    last_sign = max((holds.settled_by(each) for each in signs), default=inf)
    closed: dict[str, float] = {}
    for each in operations:
        # Only a beacon that went out after all signs of its page certainly closed it.
        if each.call == CLOSE and holds.settled_by(each) < inf and each.begin > last_sign:
            assert each.end is not None
            closed[each.page] = min(closed.get(each.page, inf), each.end)
    if {each.page for each in signs} <= closed.keys():
        return min(last_sign + rules.idle_s, max(closed.values()) + rules.delay_s)
    return last_sign + rules.idle_s


def assigned_when_answered(history: History, _: Holds) -> Iterator[Violation]:
    """A new lease begins between the request and its answer."""
    bounds = offset_ms(history)
    if bounds is None:
        return
    low, high = bounds
    begins = {each.lease_id: each for each in tenures(history)}
    for each in history.operations:
        for shown in each.shown:
            tenure = begins.get(shown.lease_id or "")
            if tenure is None or shown.reason not in BEGUN or each.end is None:
                continue
            if not each.begin * 1000 + low - 1 <= tenure.from_ms <= each.end * 1000 + high:
                what = f"{tenure.lease_id} began outside of the request"
                yield Violation("events", what, (each, tenure.begin))


def attributed(history: History, _: Holds) -> Iterator[Violation]:
    """Whoever had the number at the instant is the answer, whenever it is asked for."""
    if history.settled is None or clock_moved(history):
        return
    by_number: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in sorted(tenures(history), key=attrgetter("from_ms")):
        by_number[tenure.number].append(tenure)
    starts = {name: [each.from_ms for each in group] for name, group in by_number.items()}
    bounds = offset_ms(history)
    for each in history.operations:
        if each.who is None or each.end is None or may_be_forgotten(history, each):
            continue
        group = by_number.get(each.number, [])
        if not all(tenure.end is not None for tenure in group):
            continue
        earliest, latest = -inf, inf
        if bounds is not None:
            earliest, latest = each.begin * 1000 + bounds[0], each.end * 1000 + bounds[1]
        within = earliest <= each.who.at_ms + 1
        yield from _judge(each, group, starts.get(each.number, []), asked_ms=latest, within=within)


def _judge(
    asked: Operation,
    group: Sequence[Tenure],
    starts: Sequence[int],
    *,
    asked_ms: float,
    within: bool,
) -> Iterator[Violation]:
    """`within`: perhaps it was asked in that very millisecond, before what else happened in it."""
    who = asked.who
    assert who is not None
    at = bisect_right(starts, who.at_ms)
    if bisect_right(starts, asked_ms) - at > KEPT:
        return
    possible = [group[at - 1]] if at else []
    if within and at and starts[at - 1] == who.at_ms:
        possible += [group[at - 2]] if at > 1 else []
        nobody = at == 1
    else:
        nobody = at == 0
    if nobody and who.visitor is None:
        return
    for tenure in possible:
        basis = {"live", "closing"} if who.at_ms < tenure.until_ms else {"ended"}
        if within and who.at_ms == tenure.until_ms:
            # A beacon that leaves no delay ended it.
            basis |= {"live", "closing"}
        told: Mapping[str, object] = {
            "visitor": who.visitor, "lease_id": who.lease_id, "route_to": who.route_to,
        }  # fmt: skip
        if who.basis in basis and told == {
            "visitor": tenure.visitor, "lease_id": tenure.lease_id, "route_to": tenure.destination,
        }:  # fmt: skip
            return
    had = ", ".join(f"{each.lease_id} of {each.visitor}" for each in possible) or "nobody"
    what = f"at {who.at_ms} it was {had}; answered {who.lease_id} of {who.visitor} ({who.basis})"
    yield Violation("attribution", what, (asked, *(each.begin for each in possible)))


OF_EVENTS: Final[tuple[Rule, ...]] = (
    delivered, told_once, happened, ends_began, exclusive, lock_rule, assigned_when_answered,
    attributed,
)  # fmt: skip
