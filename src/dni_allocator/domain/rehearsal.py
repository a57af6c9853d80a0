"""A pool without Redis: the rules of the lock and of who gets which number, for simulations.

The same rules as `assign.lua`, `heartbeat.lua` and `close.lua` for one destination, without the way
to a server. That they are the same is proven by a property test that drives both with the same
pages (tests/properties/test_rehearsal.py); the scripts are right where the two should ever differ.
Not here: pressure, reserve, limits, matching, quarantine.

Pure: time is given with each call, chance as a function.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dni_allocator.domain.history import NEVER_LEASED_MS
from dni_allocator.domain.pool import PoolSettings, Selection

Pick = Callable[[int], int]
"""Chance: a number from 0 to below the given one."""

_FREE: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings that decide, durations in ms. `max_age`, `provisional` 0: no such rule."""

    idle: int
    delay: int
    window: int
    hold: int = 0
    max_age: int = 0
    provisional: int = 0
    random: bool = False

    @classmethod
    def of(cls, settings: PoolSettings) -> "Rules":
        """Those of a pool."""
        return cls(
            idle=settings.idle_limit_s * 1000,
            delay=settings.closed_browser_delay_s * 1000,
            window=max(1, settings.attribution_window_s * 1000),
            hold=settings.min_hold_s * 1000,
            max_age=(settings.max_lease_age_s or 0) * 1000,
            provisional=(settings.provisional_s or 0) * 1000,
            random=settings.selection is Selection.RANDOM,
        )


class Given(NamedTuple):
    """What a page gets. `number` None: it is turned away.

    `rested` is how long the number had been free, ms, when somebody else had it before; else None.
    """

    reason: str
    number: int | None
    rested: int | None = None


class Ended(NamedTuple):
    """A lease that is over."""

    number: int
    visitor: int
    began: int
    ended: int
    reason: str


@dataclass(slots=True)
class _Number:
    free_since: int
    deadline: int = _FREE
    """When the lease ends; `_FREE`: nobody has it."""
    holder: int | None = None
    began: int = 0
    queued: int = _FREE
    """Its entry among those that are due; others of it are old."""
    place: int = 0
    """Where it is among the free ones, for random selection."""


@dataclass(slots=True)
class _Visitor:
    number: int | None = None
    pages: dict[int, int] = field(default_factory=dict)
    closed: bool = False
    beaten: bool = False


class Rehearsal:
    """One pool. Calls must come in the order of time.

    `shelved` are the places in the queue of the numbers 0, 1, …, ms; equals go by number. Leases
    end at their deadline; `ended` is told of each.
    """

    def __init__(
        self,
        rules: Rules,
        shelved: Iterable[int],
        *,
        pick: Pick,
        ended: Callable[[Ended], None] = lambda _: None,
    ) -> None:
        self.rules = rules
        self._pick = pick
        self._ended = ended
        self._numbers = [_Number(at, place=place) for place, at in enumerate(shelved)]
        self._visitors: dict[int, _Visitor] = {}
        # By release, for the least recently released; entries of taken ones are passed over.
        self._queue = [(each.free_since, name) for name, each in enumerate(self._numbers)]
        heapq.heapify(self._queue)
        self._free = list(range(len(self._numbers)))
        # By a lower bound of the deadline: signs of life need not move anything.
        self._due: list[tuple[int, int]] = []

    @property
    def leased(self) -> int:
        """Numbers that are leased, as of the last call."""
        return len(self._numbers) - len(self._free)

    @property
    def free(self) -> Sequence[int]:
        """The numbers that are free, as of the last call, as `pick` chooses among them."""
        return self._free

    def deadlines(self) -> dict[int, int]:
        """When the leases end, as of the last call, by number."""
        return {
            name: each.deadline for name, each in enumerate(self._numbers) if each.deadline != _FREE
        }

    def holder(self, number: int, now: int) -> int | None:
        """Whose number it is, or was last within the window: the answer to a call at `now`."""
        self.settle(now)
        each = self._numbers[number]
        if each.deadline == _FREE and each.free_since + self.rules.window <= now:
            return None
        return each.holder

    def assign(self, visitor: int, page: int, now: int) -> Given:
        """A page view."""
        self.settle(now)
        known = self._visitors.get(visitor)
        if known is None:
            known = self._visitors[visitor] = _Visitor()
        rules = self.rules
        span = rules.idle
        if rules.provisional and not known.beaten:
            span = min(span, rules.provisional)
        number = known.number
        if number is not None and self._is_held_by(number, visitor):
            each = self._numbers[number]
            deadline = self._lock_until(now, each.began, span)
            if deadline > now:
                self._move(number, deadline)
                self._open(known, page, now)
                return Given("renewed", number)
            self._end(number, now)
        given = self._find(known, visitor, now)
        if given.number is None:
            return given
        known.number = given.number
        each = self._numbers[given.number]
        each.holder, each.began = visitor, now
        each.deadline = self._lock_until(now, now, span)
        self._queue_end(given.number)
        self._open(known, page, now)
        return given

    def heartbeat(self, visitor: int, page: int, now: int) -> bool:
        """A sign of life; False: nothing is held any more."""
        self.settle(now)
        known = self._visitors.get(visitor)
        if known is None or known.number is None or not self._is_held_by(known.number, visitor):
            return False
        began = self._numbers[known.number].began
        self._move(known.number, self._lock_until(now, began, self.rules.idle))
        known.beaten = True
        self._open(known, page, now)
        return True

    def close(self, visitor: int, page: int, now: int) -> None:
        """A beacon: the page closed."""
        self.settle(now)
        known = self._visitors.get(visitor)
        if known is None or known.pages.pop(page, None) is None:
            return
        if any(sign + self.rules.idle > now for sign in known.pages.values()):
            return
        if known.number is None or not self._is_held_by(known.number, visitor):
            return
        each = self._numbers[known.number]
        deadline = self._lock_until(now, each.began, self.rules.delay)
        self._move(known.number, min(each.deadline, deadline))
        known.closed = True

    def settle(self, now: int) -> None:
        """End every lease whose deadline has come."""
        due = self._due
        while due and due[0][0] <= now:
            entry, number = heapq.heappop(due)
            each = self._numbers[number]
            if each.deadline == _FREE or entry != each.queued:
                continue
            if each.deadline <= now:
                self._end(number, each.deadline)
            else:
                self._queue_end(number)

    # --- inside ---------------------------------------------------------------------------------

    def _find(self, known: _Visitor, visitor: int, now: int) -> Given:
        """The number this visitor had, if nobody had it since; else a free one."""
        number = known.number
        if number is not None:
            each = self._numbers[number]
            if (
                each.deadline == _FREE
                and each.holder == visitor
                and each.free_since + self.rules.window > now
            ):
                self._take(number)
                return Given("returned", number)
        if not self._free:
            return Given("exhausted", None)
        at_random = self.rules.random
        number = self._free[self._pick(len(self._free))] if at_random else self._oldest()
        each = self._numbers[number]
        rested = None if each.free_since < NEVER_LEASED_MS else now - each.free_since
        self._take(number)
        return Given("new", number, rested)

    def _oldest(self) -> int:
        while True:
            since, number = heapq.heappop(self._queue)
            each = self._numbers[number]
            if each.deadline == _FREE and each.free_since == since:
                return number

    def _take(self, number: int) -> None:
        """Off the list of free numbers: the last one moves into its place."""
        place, last = self._numbers[number].place, self._free.pop()
        if last != number:
            self._free[place] = last
            self._numbers[last].place = place

    def _end(self, number: int, at: int) -> None:
        each = self._numbers[number]
        visitor = each.holder
        assert visitor is not None  # noqa: S101 -- a leased number has a holder
        known = self._visitors[visitor]
        reason = "closed" if known.closed else "idle"
        if self.rules.max_age and each.began + self.rules.max_age <= at:
            reason = "max_age"
        each.deadline, each.free_since, each.place = _FREE, at, len(self._free)
        self._free.append(number)
        heapq.heappush(self._queue, (at, number))
        self._ended(Ended(number, visitor, each.began, at, reason))

    def _is_held_by(self, number: int, visitor: int) -> bool:
        each = self._numbers[number]
        return each.deadline != _FREE and each.holder == visitor

    def _move(self, number: int, deadline: int) -> None:
        each = self._numbers[number]
        each.deadline = deadline
        if deadline < each.queued:
            self._queue_end(number)

    def _queue_end(self, number: int) -> None:
        each = self._numbers[number]
        each.queued = each.deadline
        heapq.heappush(self._due, (each.deadline, number))

    def _open(self, known: _Visitor, page: int, now: int) -> None:
        known.pages[page] = now
        known.closed = False

    def _lock_until(self, now: int, began: int, span: int) -> int:
        rules = self.rules
        deadline = max(now + span, began + rules.hold) if rules.hold else now + span
        if rules.max_age and began + rules.max_age < deadline:
            deadline = max(now, began + rules.max_age)
        return deadline
