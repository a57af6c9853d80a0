"""Random histories of a pool that matches: nobody gets a worse number while a better one is free.

A long run:  DNI_MACHINE_EXAMPLES=2000 pytest tests/properties
"""

import asyncio
import os
from dataclasses import dataclass, replace
from math import asin, cos, radians, sin, sqrt
from typing import Final

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis.exceptions import NoScriptError

from dni_allocator.domain.errors import NumberUnknown
from dni_allocator.domain.lease import Answer, Leased, Overflow, Reason
from dni_allocator.domain.matching import Match, MatchFallback
from dni_allocator.domain.pool import Pool, Selection
from dni_allocator.services.explaining import Described, Explainer, Explanation
from dni_allocator.services.inventory import NumberRow
from dni_allocator.store.explaining import Explaining
from dni_allocator.store.migrating import check_layout
from dni_allocator.store.replies import mapping
from dni_allocator.store.scripts import NoScript
from tests.support import invariants
from tests.support.rig import SETTINGS, SHARED, Rig

EXAMPLES = int(os.environ.get("DNI_MACHINE_EXAMPLES", "150"))
STEPS = 30
IDLE_S, DELAY_S = 20, 5


@dataclass(frozen=True, slots=True)
class Somewhere:
    """What the test knows of a number: told to the service, or of its area code in the table."""

    prefix: str
    region: str = ""
    centre: str = ""
    position: tuple[float, float] | None = None


# Real area codes, rate centres and toll-free prefixes. Each number tells all of itself, so that the
# expectation below needs no table; the fictional prefix 555-01XX is in none.
PLACES: Final = (
    Somewhere("602", "AZ", "PHOENIX", (33.45, -112.07)),
    Somewhere("480", "AZ", "PHOENIX", (33.45, -112.07)),
    Somewhere("480", "AZ", "MESA", (33.42, -111.83)),
    Somewhere("520", "AZ", "TUCSON", (32.22, -110.97)),
    Somewhere("928", "AZ", "FLAGSTAFF", (35.2, -111.65)),
    Somewhere("212", "NY", "NEW YORK", (40.71, -74.01)),
    Somewhere("800"),
    Somewhere("888"),
)
NUMBERS: Final = {
    f"+1{place.prefix}55501{at:02d}": place for at, place in enumerate((*PLACES, *PLACES[:4]))
}
SHOP_PHOENIX: Final = "+16025550142"
DESTINATIONS: Final = {
    # The middle of the area code is what the table has for a prefix without a centre.
    SHOP_PHOENIX: Somewhere("602", "AZ", "", (33.45, -112.08)),
    "+12125550142": Somewhere("212", "NY", "NEW YORK", (40.71, -74.01)),
    "+18885550142": Somewhere("888"),
}

numbers = st.sampled_from(sorted(NUMBERS))
wanted = st.sampled_from([SHOP_PHOENIX, SHOP_PHOENIX, *DESTINATIONS])
visitors = st.sampled_from(["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"])
views = st.lists(st.tuples(visitors, wanted), min_size=1, max_size=4)
steps_s = st.sampled_from([1, DELAY_S, IDLE_S // 2, IDLE_S - 1, IDLE_S, 3 * IDLE_S])


def _km(one: tuple[float, float], other: tuple[float, float]) -> float:
    (phi, lam), (other_phi, other_lam) = (tuple(map(radians, each)) for each in (one, other))
    square = sin((phi - other_phi) / 2) ** 2
    square += cos(phi) * cos(other_phi) * sin((lam - other_lam) / 2) ** 2
    return 2 * 6371.0088 * asin(sqrt(square))


def worse_by(number: str, destination: str, match: Match) -> tuple[int, float] | None:
    """How badly a number fits: the smaller, the better; None: not at all. docs/matching.md."""
    here, there = DESTINATIONS[destination], NUMBERS[number]
    if match is Match.NONE:
        return 0, 0.0
    if bool(here.region) != bool(there.region):
        return None
    if match is Match.TYPE or here.prefix == there.prefix:
        return 0, 0.0
    if here.region != there.region:
        return None
    if here.position is None or there.position is None or here.centre == there.centre:
        return 1, 0.0
    return 2, round(_km(here.position, there.position), 1)


class MatchingMachine(RuleBasedStateMachine):
    """Visitors of one pool whose numbers are all over the country."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.client = redis.Redis.from_url(self.url)
        self.client.flushall()
        self.loop = asyncio.Runner()
        self.rig = Rig(self._execute)
        self.pool: Pool
        self.explainer = Explainer(store=Explaining(self.rig.shards), shelving=self.rig.shelving)

    def teardown(self) -> None:
        """Give the connection back."""
        self.client.close()
        self.loop.close()

    async def _execute(self, *command: str | bytes | int) -> object:
        try:
            # redis-py leaves this method without annotations.
            return self.client.execute_command(*command)  # type: ignore[no-untyped-call]
        except NoScriptError as error:
            raise NoScript from error

    @initialize(
        match=st.sampled_from([Match.AREA, Match.AREA, Match.TYPE, Match.NONE]),
        fallback=st.sampled_from(MatchFallback),
        selection=st.sampled_from([Selection.LEAST_RECENTLY_RELEASED, *Selection]),
        pressed=st.booleans(),
        reserve=st.sampled_from([0.0, 0.0, 0.3]),
        first=st.sets(numbers, min_size=6),
    )
    def a_pool(  # noqa: PLR0917 - hypothesis passes by name
        self,
        match: Match,
        fallback: MatchFallback,
        selection: Selection,
        pressed: bool,  # noqa: FBT001 - as above
        reserve: float,
        first: set[str],
    ) -> None:
        """One pool with some of the numbers."""
        self.loop.run(check_layout(self._execute, shards=4))
        rules = replace(
            SETTINGS,
            destinations=tuple(DESTINATIONS),
            idle_limit_s=IDLE_S,
            closed_browser_delay_s=DELAY_S,
            overflow_numbers=(SHARED,),
            match=match,
            match_fallback=fallback,
            selection=selection,
            pressure_threshold=0.5 if pressed else None,
            pressure_idle_limit_s=6,
            reserve_share=reserve,
        )
        self.pool = self.loop.run(self.rig.pool(0, settings=rules))
        for number in sorted(first):
            self.attach(number)

    # --- what is free -------------------------------------------------------------------------

    def _free(self) -> set[str]:
        """Numbers nobody holds: those of leases that are over, swept or not, among them.

        By the records of the numbers and the deadlines of the leases; not by the shelves.
        """
        at = self.rig.shards.pool(self.pool.id)
        records = self._hash(at.numbers)
        usable = {name for name, record in records.items() if not record.split("\t")[1]}
        deadlines = invariants.scores(self.client, at.leased)
        return {each for each in usable if deadlines.get(each, 0) <= self.rig.clock.now_ms}

    def _attached(self) -> set[str]:
        return set(self._hash(self.rig.shards.pool(self.pool.id).numbers))

    def _hash(self, name: str) -> dict[str, str]:
        return mapping(self.loop.run(self._execute("HGETALL", name)))

    def _rank(self, number: str, destination: str) -> tuple[int, float] | None:
        found = worse_by(number, destination, self.pool.settings.match)
        if found is None and self.pool.settings.match_fallback is MatchFallback.ANY:
            return 9, 0.0
        return found

    def _ranks(self, of: set[str], destination: str) -> list[tuple[int, float]]:
        return [rank for each in of if (rank := self._rank(each, destination)) is not None]

    # --- visitors -----------------------------------------------------------------------------

    @rule(views=views)
    def assign(self, views: list[tuple[str, str]]) -> None:
        """Some page views, one after the other."""
        for visitor, destination in views:
            self._view(visitor, destination)

    @rule(seconds=steps_s, views=views)
    def assign_later(self, seconds: int, views: list[tuple[str, str]]) -> None:
        """Some page views, and nobody has swept what ended in the meantime."""
        self.advance(seconds)
        self.assign(views)

    def _view(self, visitor: str, destination: str) -> None:
        """A page asks for one number; what was explained before is what it gets."""
        free = self._free()
        fits = self._ranks(free, destination)
        # Whoever holds nothing may meet the reserve; nobody of this machine is whom it is for.
        said = self.loop.run(
            self.explainer.explain(
                self.pool, Described(destination=destination, visitor_id=visitor, fields={})
            )
        )

        (answer,) = self.loop.run(self.rig.assign(self.pool, visitor, destinations=(destination,)))

        self._agrees(said, answer)
        if answer.reason is Reason.NEW:
            assert isinstance(answer, Leased)
            got = self._rank(answer.formats.e164, destination)
            assert got is not None
            # Under pressure a lease that gives way may be better than all that were free.
            assert not fits or got <= min(fits)
            if self.pool.settings.pressure_threshold is None:
                assert answer.formats.e164 in free
        elif answer.reason in {Reason.EXHAUSTED, Reason.UNMATCHED}:
            assert fits == []
        if answer.reason is Reason.UNMATCHED:
            assert self._ranks(self._attached(), destination) == []

    def _agrees(self, said: Explanation, answer: Answer) -> None:
        assert said.reason is answer.reason
        match answer:
            case Leased():
                assert said.status == "leased"
                at_random = (
                    answer.reason is Reason.NEW and self.pool.settings.selection is Selection.RANDOM
                )
                assert said.number == (None if at_random else answer.formats.e164)
            case Overflow():
                assert (said.status, said.number) == ("overflow", None)
            case _:
                assert (said.status, said.number) == ("original", None)

    @rule(visitor=visitors)
    def heartbeat(self, visitor: str) -> None:
        """Somebody's page is still open."""
        self.loop.run(self.rig.leases.heartbeat(self.pool, visitor_id=visitor, page_id="page"))

    @rule(visitor=visitors)
    def close(self, visitor: str) -> None:
        """Somebody leaves."""
        self.loop.run(self.rig.leases.close(self.pool, visitor_id=visitor, page_id="page"))

    @rule(seconds=steps_s)
    def advance(self, seconds: int) -> None:
        """Time passes."""
        self.rig.clock.advance(seconds=seconds)

    # --- operators ----------------------------------------------------------------------------

    @rule()
    def sweep(self) -> None:
        """Housekeeping, which must change nothing for visitors."""
        self.loop.run(self.rig.sweeper.sweep_once())

    @rule(number=numbers)
    def attach(self, number: str) -> None:
        """A number arrives, with or without a shelf that is new to the pool."""
        place = NUMBERS[number]
        facts: dict[str, object] = {}
        if place.position is not None:
            latitude, longitude = place.position
            facts = {"region": place.region, "rate_centre": place.centre,
                     "latitude": latitude, "longitude": longitude}  # fmt: skip
        self.loop.run(
            self.rig.inventory.attach(
                self.pool.id, [NumberRow(number, facts)], all_or_nothing=False
            )
        )

    @rule(number=numbers, force=st.booleans())
    def detach(self, number: str, *, force: bool) -> None:
        """A number leaves, with its visitor or after them."""
        try:
            self.loop.run(self.rig.inventory.detach(self.pool.id, number, force=force))
        except NumberUnknown:
            assert number not in self._attached()

    @rule(number=numbers, rests=st.booleans())
    def quarantine(self, number: str, *, rests: bool) -> None:
        """A number is to rest, or rests no more."""
        if rests:
            begin = self.rig.shelves.quarantine(self.pool.id, number, until_ms=None, reason="x")
            self.loop.run(begin)
        else:
            self.loop.run(self.rig.shelves.acquit(self.pool.id, number))

    @rule(match=st.sampled_from(Match), fallback=st.sampled_from(MatchFallback))
    def edit(self, match: Match, fallback: MatchFallback) -> None:
        """Another rule of matching, for which all numbers change shelves."""
        self.pool = self.loop.run(self.rig.edit(self.pool, match=match, match_fallback=fallback))
        self.loop.run(self.rig.shelving.reshelve(self.pool))

    # --- always -------------------------------------------------------------------------------

    @invariant()
    def keyspace_is_sound(self) -> None:
        """Each number in one place, on the shelf its record names."""
        invariants.check(self.client)


@pytest.mark.timeout(0 if "DNI_MACHINE_EXAMPLES" in os.environ else 300)
def test_nobody_gets_a_worse_number_while_a_better_one_is_free(redis_url: str) -> None:
    """Whatever visitors, time and operators do; and what is explained is what is given."""
    MatchingMachine.url = redis_url

    run_state_machine_as_test(
        MatchingMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
