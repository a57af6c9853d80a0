"""What certainly was, whatever the network did: who held which number, from when until when.

An answer says that something happened between its request and its return, not when. So a lease
certainly lives from the *return* of an answer that gave or renewed it, and until the *request*
plus what was promised. A page that may have closed since, by a beacon that may have overtaken or
may come late, can have shortened that to the beacon's request plus the closed-browser delay, and
no further (docs/architecture.md, "The lock rule, precisely"). The beacon of one page says nothing
of another one. What may be forgotten (`Struck.forgets_s`) is certain until that moment only.

Pure: it reads a history and knows no clock.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from tests.chaos.history import ASSIGN, CLOSE, HEARTBEAT, History, Operation, Rules, Struck, merged

Span = tuple[float, float]


@dataclass(slots=True)
class Lease:
    """One lease, as its visitor's browser knows it. `open`: no page can have closed meanwhile."""

    id: str
    pool: str
    number: str
    visitor: str
    destination: str
    locked: list[Span] = field(default_factory=list)
    """When it certainly lived."""
    open: list[Span] = field(default_factory=list)
    """When it certainly lived, and a page of it was certainly open."""

    def lives(self, begin: float, end: float) -> bool:
        """Whether it certainly lived all the time between."""
        return covers(self.locked, begin, end)

    @property
    def last(self) -> float:
        """Until when it is certain at all; `-inf`: never."""
        return self.locked[-1][1] if self.locked else -inf


def covers(spans: Sequence[Span], begin: float, end: float) -> bool:
    """Whether one of the spans, in order and apart, covers all of this."""
    at = bisect_right(spans, (begin, inf)) - 1
    return at >= 0 and spans[at][0] <= begin and end < spans[at][1]


class Holds:
    """All leases that an answer told of, by id, and those of a visitor in a pool."""

    def __init__(self, history: History) -> None:
        self.leases: dict[str, Lease] = {}
        self.of: dict[tuple[str, str], list[Lease]] = defaultdict(list)
        self._faults = history.faults
        by_visitor: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        for each in history.operations:
            if each.visitor:
                by_visitor[each.pool, each.visitor].append(each)
        for (pool, visitor), operations in by_visitor.items():
            self._follow(history.rules[pool], visitor, operations)

    def _follow(self, rules: Rules, visitor: str, operations: Iterable[Operation]) -> None:
        """What one visitor's answers say of their leases in one pool."""
        ordered = sorted(operations, key=lambda each: each.begin)
        closes: dict[str, list[Operation]] = defaultdict(list)
        for each in ordered:
            if each.call == CLOSE:
                closes[each.page].append(each)
        mine = self.of[rules.pool, visitor]
        for sign in ordered:
            if sign.end is None or not sign.good or sign.call not in {ASSIGN, HEARTBEAT}:
                continue
            # What certainly lived all the time is renewed by any sign of life of its visitor.
            renewed = {each.id: each for each in mine if each.lives(sign.begin, sign.end)}
            promised = sign.expires_in_s
            for shown in sign.shown:
                if shown.lease_id is not None:
                    renewed[shown.lease_id] = self._known(rules, visitor, sign, shown.lease_id)
                    promised = shown.expires_in_s
            if promised is None or sign.gone:
                continue
            for lease in renewed.values():
                self._note(lease, sign, rules, promised, closes.get(sign.page, ()))

    def _known(self, rules: Rules, visitor: str, sign: Operation, lease_id: str) -> Lease:
        lease = self.leases.get(lease_id)
        if lease is None or (lease.pool, lease.visitor) != (rules.pool, visitor):
            # That one id means two things is found elsewhere: here both are looked at.
            (shown, *_) = (each for each in sign.shown if each.lease_id == lease_id)
            lease = Lease(lease_id, rules.pool, shown.number, visitor, shown.destination)
            self.leases.setdefault(lease_id, lease)
            self.of[rules.pool, visitor].append(lease)
        return lease

    def _note(
        self,
        lease: Lease,
        sign: Operation,
        rules: Rules,
        promised_s: int,
        closes: Iterable[Operation],
    ) -> None:
        assert sign.end is not None
        # Promised in whole seconds, rounded down: never more than what is left.
        until = sign.begin + promised_s
        shut = until
        for close in closes:
            if self.settled_by(close) >= sign.begin:
                begin = max(close.begin, sign.begin)
                shut = min(shut, begin)
                until = min(until, begin + rules.delay_s)
        for fault in self._faults:
            jumped = fault.moves_clock and sign.begin <= fault.end
            if jumped or forgettable(fault, sign.begin, sign.end):
                until, shut = min(until, fault.begin), min(shut, fault.begin)
        lease.locked = list(merged([*lease.locked, (sign.end, until)]))
        lease.open = list(merged([*lease.open, (sign.end, shut)]))

    def settled_by(self, operation: Operation) -> float:
        """From when on a request can change nothing any more: its return, if it was answered well.

        Under a fault a copy of it may lie somewhere and be served later.
        """
        if operation.end is None or not operation.good:
            return inf
        for fault in self._faults:
            if operation.begin <= _over(fault) and fault.begin <= operation.end:
                return inf
        return operation.end

    def by_number(self) -> dict[str, list[Lease]]:
        """The leases of each number."""
        found: dict[str, list[Lease]] = defaultdict(list)
        for leases in self.of.values():
            for lease in leases:
                found[lease.number].append(lease)
        return found


def forgettable(fault: Struck, begin: float, end: float) -> bool:
    """Whether what was answered in this interval may have been forgotten by the fault."""
    return fault.forgets_s > 0 and begin <= fault.end and end >= fault.begin - fault.forgets_s


def disturbed(history: History, begin: float, end: float) -> bool:
    """Whether anything was broken in between, or had just been."""
    return any(begin <= _over(fault) and fault.begin <= end for fault in history.faults)


def _over(fault: Struck) -> float:
    return inf if fault.served is None else max(fault.served, fault.end)
