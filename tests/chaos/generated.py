"""Histories of a service that keeps its promises: any requests, any network, as the model answers.

The model is the reference of the property tests (`tests.support.model`); around it requests lie as
a network would have them: they overlap, get lost on either way, are served late, or twice.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from hypothesis import strategies as st

from tests.chaos.history import (
    ASSIGN,
    ATTRIBUTION,
    CLOSE,
    HEARTBEAT,
    History,
    Operation,
    Rules,
    Settled,
    Shown,
    Struck,
    Told,
    Who,
)
from tests.chaos.timeline import ASSIGNED, ENDED, KEPT
from tests.support.model import Number, PoolModel, Tenure

SHOP: Final = "+16023133897"
SERVICE: Final = "+16024961500"
NUMBERS: Final = ("+16025550100", "+16025550101", "+16025550102")
RULES: Final = Rules(
    pool="pool_a", numbers=NUMBERS, destinations=(SHOP, SERVICE), idle_s=5, delay_s=1
)
AHEAD_MS: Final = 1_800_000_000_000
"""So much is the clock of Redis ahead of that of the record."""

GOOD: Final = {ASSIGN: 200, HEARTBEAT: 200, CLOSE: 204, ATTRIBUTION: 200}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request: what, when it is served (after the one before), and what becomes of it.

    `fate`: `answered`; `lost`, served but never answered; `refused`, served and answered 503;
    `twice`, answered, and a copy is served again later, under a fault.
    """

    call: str
    visitor: str
    page: str
    fate: str
    wait_ms: int
    before_ms: int
    after_ms: int
    which: int
    """Of destinations, numbers or instants."""


def steps() -> st.SearchStrategy[list[Step]]:
    """Any requests of a few visitors with a few tabs."""
    step = st.builds(
        Step,
        call=st.sampled_from([ASSIGN, ASSIGN, HEARTBEAT, CLOSE, ATTRIBUTION]),
        visitor=st.sampled_from(["ann", "bob", "cyd", "dan", "eve"]),
        page=st.sampled_from(["p", "q"]),
        fate=st.sampled_from(["answered"] * 7 + ["lost", "refused", "twice"]),
        wait_ms=st.sampled_from([1, 20, 300, 999, 1_000, 2_500, 5_000]),
        before_ms=st.sampled_from([1, 1, 30, 700, 4_000]),
        after_ms=st.sampled_from([1, 1, 30, 700, 4_000]),
        which=st.integers(0, 7),
    )
    return st.lists(step, min_size=1, max_size=40)


@dataclass(slots=True)
class Served:
    """The service, and the record that is kept of it."""

    history: History = field(default_factory=lambda: History.of([RULES]))
    now: int = 1_000
    model: PoolModel = field(
        default_factory=lambda: PoolModel(
            idle_ms=RULES.idle_s * 1000, delay_ms=RULES.delay_s * 1000, window_ms=10**9,
            random=True, overflow=False, numbers={name: Number() for name in NUMBERS},
        )
    )  # fmt: skip
    begun: list[tuple[str, Tenure]] = field(default_factory=list)
    fences: "count[int]" = field(default_factory=lambda: count(1))
    instants: list[tuple[str, int]] = field(default_factory=list)
    copies: list[tuple[int, int, Step]] = field(default_factory=list)

    def serve(self, step: Step) -> None:
        """The next request."""
        self._pass(step.wait_ms)
        asked_ms = self.now - step.before_ms
        answer = self._answer(step)
        end_ms = self.now + step.after_ms
        if step.fate == "twice":
            fault = Struck(
                name="cut", begin=asked_ms / 1000, end=self.now / 1000, served=end_ms / 1000
            )
            self.history.add(fault)
            due = self.now + step.before_ms * (1 + step.which)
            heapq.heappush(self.copies, (due, len(self.history.operations), step))
        if step.fate == "lost":
            told = Operation(call=step.call, begin=asked_ms / 1000, failure="ReadTimeout")
        elif step.fate == "refused":
            # Perhaps before it was served at all.
            end_ms = min(end_ms, asked_ms + 1_000)
            told = Operation(call=step.call, begin=asked_ms / 1000, end=end_ms / 1000, status=503)
        else:
            told = Operation(
                call=step.call, begin=asked_ms / 1000, end=end_ms / 1000, status=GOOD[step.call]
            )
        self._record(step, told, answer)

    def _record(self, step: Step, told: Operation, answer: Operation) -> None:
        good = told.good
        person = step.call != ATTRIBUTION
        self.history.add(
            Operation(
                call=told.call, begin=told.begin, end=told.end, status=told.status,
                failure=told.failure, pool=RULES.pool, service="service0",
                visitor=step.visitor if person else "", page=step.page if person else "",
                number=answer.number, at_ms=answer.at_ms,
                shown=answer.shown if good else (), gone=good and answer.gone,
                expires_in_s=answer.expires_in_s if good else None,
                who=answer.who if good else None,
            )
        )  # fmt: skip

    def _pass(self, ms: int) -> None:
        until = self.now + ms
        while self.copies and self.copies[0][0] <= until:
            due, _, step = heapq.heappop(self.copies)
            self.now = max(self.now, due)
            self.model.settle(self.now)
            self._answer(step)
        self.now = max(self.now, until)
        self.model.settle(self.now)

    def _answer(self, step: Step) -> Operation:
        model, who, page = self.model, step.visitor, step.page
        match step.call:
            case "assign":
                wanted = RULES.destinations[: 1 + step.which % 2]
                shown = tuple(self._assign(who, destination) for destination in wanted)
                model.sign_of_life(who, page, now=self.now)
                return Operation(call=ASSIGN, begin=0, shown=shown)
            case "heartbeat":
                alive = model.sign_of_life(who, page, now=self.now)
                left = RULES.idle_s if alive else None
                return Operation(call=HEARTBEAT, begin=0, gone=not alive, expires_in_s=left)
            case "close":
                model.close(who, page, now=self.now)
                model.settle(self.now)
                return Operation(call=CLOSE, begin=0)
        return self._attribute(step)

    def _assign(self, visitor: str, destination: str) -> Shown:
        expected = self.model.expected(visitor, destination, now=self.now)
        if expected.status != "leased":
            return Shown(
                destination=destination, number=destination, status="original", reason="exhausted"
            )
        number = min(expected.numbers)
        if expected.reason != "renewed":
            lease_id = f"lse_a_{next(self.fences)}"
            self.model.lease(visitor, destination, number, lease_id, now=self.now)
            tenure = self.model.numbers[number].holder
            assert tenure is not None
            self.begun.append((number, tenure))
        tenure = self.model.numbers[number].holder
        assert tenure is not None
        return Shown(
            destination=destination, number=number, status="leased", reason=expected.reason,
            lease_id=tenure.lease_id, expires_in_s=RULES.idle_s,
        )  # fmt: skip

    def _attribute(self, step: Step) -> Operation:
        number, at_ms, instant = NUMBERS[step.which % 3], None, self.now
        if self.instants and step.which > 3:
            number, instant = self.instants[step.which * 7 % len(self.instants)]
            at_ms = AHEAD_MS + instant
        else:
            self.instants.append((number, instant))
        had = [each for name, each in self.begun if name == number]
        later = [each for each in had if each.from_ms > instant]
        known = [each for each in had if each.from_ms <= instant]
        at = AHEAD_MS + instant
        if not known or len(later) > KEPT:
            who = Who(at_ms=at, basis="none", route_to=SHOP)
            return Operation(call=ATTRIBUTION, begin=0, number=number, at_ms=at_ms, who=who)
        last = known[-1]
        basis = "ended"
        if last.until_ms is None:
            closed = self.model.visitors[last.visitor].closed_ms
            basis = "live" if closed is None or closed > instant else "closing"
        elif instant < last.until_ms:
            basis = "live"
        who = Who(
            at_ms=at, basis=basis, route_to=last.destination, visitor=last.visitor,
            lease_id=last.lease_id,
        )  # fmt: skip
        return Operation(call=ATTRIBUTION, begin=0, number=number, at_ms=at_ms, who=who)

    def settle(self) -> None:
        """All leases end, and all events come: every third one twice."""
        self._pass(60_000)
        for at, (number, tenure) in enumerate(self.begun):
            assert tenure.until_ms is not None
            begin = _told(number, tenure, ASSIGNED, tenure.from_ms)
            end = _told(number, tenure, ENDED, tenure.until_ms, started_ms=tenure.from_ms)
            for event in (begin, end, *((begin,) if at % 3 == 0 else ())):
                self.history.add(event)
        self.history.add(Settled(at=self.now / 1000, events=2 * len(self.begun)))


def _told(
    number: str, tenure: Tenure, kind: str, at_ms: int, *, started_ms: int | None = None
) -> Told:
    return Told(
        id=f"evt_{kind}_{tenure.lease_id}", type=kind, came=at_ms / 1000 + 60, pool=RULES.pool,
        number=number, visitor=tenure.visitor, destination=tenure.destination,
        lease_id=tenure.lease_id, reason=tenure.reason, at_ms=AHEAD_MS + at_ms,
        started_ms=None if started_ms is None else AHEAD_MS + started_ms,
    )  # fmt: skip


def served(requests: Sequence[Step]) -> History:
    """What is recorded when the model serves these."""
    made = Served()
    for each in requests:
        made.serve(each)
    made.settle()
    return made.history
