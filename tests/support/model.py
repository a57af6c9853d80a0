"""The promises 1 to 6 as a plain Python model, to compare the real store with.

Written from the contract (docs/architecture.md, "Promises"), not from the scripts. Leases end here
at the very instant of their deadline; the store may notice later, but must answer as if it had
not. Where the contract leaves a choice (which of several equal numbers), the model says what is
allowed and follows what the store chose.
"""

from collections import deque
from dataclasses import dataclass, field

HISTORY = 8


@dataclass(slots=True)
class Tenure:
    """One visitor's time with one number."""

    visitor: str
    destination: str
    from_ms: int
    lease_id: str
    until_ms: int | None = None
    reason: str = ""


@dataclass(slots=True)
class Number:
    """One number of a pool's inventory."""

    released_ms: int | None = None
    """When it was last released; None: never leased since it was attached."""
    holder: Tenure | None = None
    deadline_ms: int | None = None
    draining: bool = False
    held_until_ms: int | None = None
    """It was called: only who had it is given it. Over when housekeeping notices."""

    @property
    def leased(self) -> bool:
        """Whether somebody holds it."""
        return self.deadline_ms is not None


@dataclass(slots=True)
class Visitor:
    """What a pool knows of one visitor."""

    pages: dict[str, int] = field(default_factory=dict)
    closed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What one destination may be answered: a status, and the numbers that would be right."""

    status: str
    reason: str
    numbers: frozenset[str]


@dataclass(slots=True)
class PoolModel:
    """One pool. All times in ms; `settle` first, then ask."""

    idle_ms: int
    delay_ms: int
    window_ms: int
    random: bool
    overflow: bool
    numbers: dict[str, Number] = field(default_factory=dict)
    visitors: dict[str, Visitor] = field(default_factory=dict)
    history: dict[str, deque[Tenure]] = field(default_factory=dict)
    ended: list[Tenure] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    leaving: set[str] = field(default_factory=set)
    """Drained, and the directory has yet to hear of it."""

    def settle(self, now: int) -> None:
        """End every lease whose deadline has come."""
        due = [
            (number.deadline_ms, name)
            for name, number in self.numbers.items()
            if number.deadline_ms is not None and number.deadline_ms <= now
        ]
        for deadline, name in sorted(due):
            self.end(name, deadline)

    def end(self, name: str, at_ms: int, *, reason: str | None = None) -> None:
        """End one lease; a draining number leaves."""
        number = self.numbers[name]
        tenure = number.holder
        assert tenure is not None
        closed = self.visitors[tenure.visitor].closed_ms is not None
        tenure.until_ms = at_ms
        tenure.reason = reason or ("closed" if closed else "idle")
        self.ended.append(tenure)
        number.deadline_ms, number.released_ms = None, at_ms
        if number.draining:
            self.remove(name)
            self.leaving.add(name)

    def remove(self, name: str) -> None:
        """Take a number out; its last holder stays in the history."""
        number = self.numbers.pop(name)
        if number.holder is not None:
            self._remember(name, number.holder)

    def live(self, visitor: str) -> dict[str, str]:
        """The visitor's leases: destination -> number."""
        return {
            number.holder.destination: name
            for name, number in self.numbers.items()
            if number.leased and number.holder is not None and number.holder.visitor == visitor
        }

    def expected(self, visitor: str, destination: str, *, now: int) -> Expected:
        """What this destination has to be answered now."""
        held = self.live(visitor).get(destination)
        if held is not None:
            return Expected("leased", "renewed", frozenset({held}))
        own = frozenset(
            name
            for name, number in self.numbers.items()
            if not number.leased
            and number.holder is not None
            and number.holder.until_ms is not None
            and (number.holder.visitor, number.holder.destination) == (visitor, destination)
            and now < number.holder.until_ms + self.window_ms
        )
        if own:
            return Expected("leased", "returned", own)
        free = {
            name: number.released_ms
            for name, number in self.numbers.items()
            if not number.leased and number.held_until_ms is None
        }
        if free and self.random:
            return Expected("leased", "new", frozenset(free))
        if free:
            first = min(-1 if at is None else at for at in free.values())
            oldest = {name for name, at in free.items() if (-1 if at is None else at) == first}
            return Expected("leased", "new", frozenset(oldest))
        return Expected("overflow" if self.overflow else "original", "exhausted", frozenset())

    def lease(self, visitor: str, destination: str, name: str, lease_id: str, *, now: int) -> None:
        """Follow the store: this number was leased."""
        number = self.numbers[name]
        if number.holder is not None:
            self._remember(name, number.holder)
        number.holder = Tenure(visitor, destination, now, lease_id)
        number.deadline_ms = now + self.idle_ms
        self.given.append(lease_id)

    def sign_of_life(self, visitor: str, page: str, *, now: int) -> bool:
        """Renew all a visitor has, if there is anything; whether there was."""
        held = self.live(visitor)
        for name in held.values():
            self.numbers[name].deadline_ms = now + self.idle_ms
        if held:
            record = self.visitors.setdefault(visitor, Visitor())
            record.pages[page] = now
            record.closed_ms = None
        return bool(held)

    def hold(self, name: str, lease_id: str, *, until_ms: int) -> None:
        """A call that is attributed to this lease ("": to none) came, or is over."""
        number = self.numbers.get(name)
        if number is None or number.draining:
            return
        if number.leased and number.holder is not None and number.holder.lease_id != lease_id:
            return
        number.held_until_ms = max(until_ms, number.held_until_ms or 0)

    def swept(self, now: int) -> None:
        """Housekeeping found the holds that are over."""
        for number in self.numbers.values():
            if number.held_until_ms is not None and number.held_until_ms <= now:
                number.held_until_ms = None

    def close(self, visitor: str, page: str, *, now: int) -> str:
        """Close a page; what that did."""
        record = self.visitors.get(visitor)
        if record is None or record.pages.pop(page, None) is None:
            return "nothing"
        if any(sign + self.idle_ms > now for sign in record.pages.values()):
            return "others_open"
        held = self.live(visitor)
        if not held:
            return "nothing"
        for name in held.values():
            deadline = self.numbers[name].deadline_ms
            assert deadline is not None
            self.numbers[name].deadline_ms = min(deadline, now + self.delay_ms)
        record.closed_ms = now
        return "last_page"

    def who(self, name: str, *, at: int, now: int) -> tuple[str | None, str] | None:
        """The visitor of a call at this instant, and on what that rests.

        None: it was somebody whose window is over by now, and who may be forgotten or not.
        """
        number = self.numbers.get(name)
        known = [*self.history.get(name, ())]
        if number is not None and number.holder is not None:
            known.append(number.holder)
        for tenure in reversed(known):
            if tenure.from_ms > at:
                continue
            if tenure.until_ms is not None and tenure.until_ms + self.window_ms <= now:
                return None if at < now else (None, "none")
            if tenure.until_ms is None:
                closed = self.visitors[tenure.visitor].closed_ms
                return tenure.visitor, "live" if closed is None or closed > at else "closing"
            if at < tenure.until_ms:
                return tenure.visitor, "live"
            if at < tenure.until_ms + self.window_ms:
                return tenure.visitor, "ended"
        return None, "none"

    def _remember(self, name: str, tenure: Tenure) -> None:
        self.history.setdefault(name, deque(maxlen=HISTORY)).append(tenure)


@dataclass(slots=True)
class Model:
    """All pools, and the directory: which pool has a number, and which was the last to have it."""

    pools: dict[str, PoolModel]
    owner: dict[str, str] = field(default_factory=dict)
    former: dict[str, str] = field(default_factory=dict)

    def settle(self, now: int) -> None:
        """End what is over, everywhere."""
        for pool in self.pools.values():
            pool.settle(now)

    def attach(self, pool_id: str, name: str) -> bool:
        """Attach a number; whether the pool has it now."""
        if self.owner.get(name, pool_id) != pool_id:
            return False
        pool = self.pools[pool_id]
        self.owner[name] = pool_id
        pool.leaving.discard(name)
        pool.numbers.setdefault(name, Number()).draining = False
        return True

    def detach(self, pool_id: str, name: str, *, force: bool, now: int) -> str:
        """Detach a number: `detached`, `draining` or `absent`."""
        pool = self.pools[pool_id]
        number = pool.numbers.get(name)
        if number is None:
            self._release(pool_id, name)
            return "absent"
        if number.leased and not force:
            number.draining, number.held_until_ms = True, None
            return "draining"
        if number.leased:
            number.draining = False
            pool.end(name, now, reason="detached")
        pool.remove(name)
        self._release(pool_id, name)
        return "detached"

    def swept(self, now: int) -> None:
        """The directory has heard of all numbers that left, and holds that are over ended."""
        for pool_id, pool in self.pools.items():
            pool.swept(now)
            for name in pool.leaving:
                self._release(pool_id, name)
            pool.leaving.clear()

    def whose(self, name: str) -> str | None:
        """The pool that answers for a number."""
        return self.owner.get(name) or self.former.get(name)

    def _release(self, pool_id: str, name: str) -> None:
        if self.owner.get(name) == pool_id:
            del self.owner[name]
            self.former[name] = pool_id
