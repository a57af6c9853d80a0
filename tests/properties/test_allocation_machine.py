"""The real store and a plain model get the same commands; every answer must be the same.

A long run:  DNI_MACHINE_EXAMPLES=2000 pytest tests/properties
"""

import asyncio
import json
import os
from dataclasses import replace

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

from dni_allocator.domain.call import Call, CallStatus, CallUpdate, NewCall
from dni_allocator.domain.errors import NumberUnknown
from dni_allocator.domain.lease import Alive, Answer, Leased, Original, Overflow
from dni_allocator.domain.pool import Pool, Selection
from dni_allocator.services.inventory import NumberRow
from dni_allocator.store.migrating import check_layout
from dni_allocator.store.scripts import NoScript
from tests.support import invariants
from tests.support.model import Model, PoolModel
from tests.support.rig import SERVICE, SETTINGS, SHARED, SHOP, Rig, fictional

EXAMPLES = int(os.environ.get("DNI_MACHINE_EXAMPLES", "200"))
STEPS = 50

IDLE_S, DELAY_S, WINDOW_S, HOLD_S = 20, 5, 60, 30
POOLS = ("pool_a", "pool_b")
NUMBERS = fictional(3)

pools = st.sampled_from(POOLS)
numbers = st.sampled_from(NUMBERS)
visitors = st.sampled_from(["ann", "bob", "cyd", "dan"])
pages = st.sampled_from(["1", "2", "3"])
wanted = st.sampled_from([(SHOP,), (SHOP,), (SERVICE,), (SHOP, SERVICE)])
# What a page says it had before: true for some visitor, forged for all others.
claims = st.dictionaries(st.sampled_from([SHOP, SERVICE]), numbers, max_size=2)
steps_ms = st.sampled_from(
    [1, 999, DELAY_S * 1000 - 1, DELAY_S * 1000, IDLE_S * 1000 - 1, IDLE_S * 1000,
     IDLE_S * 1000 + 1, WINDOW_S * 1000 - 1, WINDOW_S * 1000, 8 * WINDOW_S * 1000]
)  # fmt: skip


class AllocationMachine(RuleBasedStateMachine):
    """Random histories of two pools that are after the same three numbers."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.client = redis.Redis.from_url(self.url)
        self.client.flushall()
        self.loop = asyncio.Runner()
        self.rig = Rig(self._execute)
        self.now = self.rig.clock.now_ms
        self.model = Model({})
        self.pools: dict[str, Pool] = {}
        self.calls: list[Call] = []

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
        selection=st.sampled_from(Selection),
        overflow=st.booleans(),
        first=st.sets(numbers, min_size=1),
    )
    def two_pools(self, selection: Selection, *, overflow: bool, first: set[str]) -> None:
        """Two pools alike; one has some of the numbers."""
        self.loop.run(check_layout(self._execute, shards=4))
        for pool_id in POOLS:
            self.model.pools[pool_id] = PoolModel(
                idle_ms=IDLE_S * 1000, delay_ms=DELAY_S * 1000, window_ms=WINDOW_S * 1000,
                random=selection is Selection.RANDOM, overflow=overflow,
            )  # fmt: skip
            rules = replace(
                SETTINGS,
                idle_limit_s=IDLE_S,
                closed_browser_delay_s=DELAY_S,
                attribution_window_s=WINDOW_S,
                hold_after_call_s=HOLD_S,
                selection=selection,
                overflow_numbers=(SHARED,) if overflow else (),
            )
            self.pools[pool_id] = self.loop.run(self.rig.pool(0, settings=rules, pool_id=pool_id))
        for number in sorted(first):
            self.attach("pool_a", number)

    # --- visitors -----------------------------------------------------------------------------

    @rule(pool=pools, visitor=visitors, page=pages, destinations=wanted, claimed=claims,
          twice=st.booleans())  # fmt: skip
    def assign(
        self,
        pool: str,
        visitor: str,
        page: str,
        destinations: tuple[str, ...],
        claimed: dict[str, str],
        *,
        twice: bool,
    ) -> None:
        """A page asks; perhaps again, because the reply was lost."""
        model = self.model.pools[pool]
        for _ in range(2 if twice else 1):
            answers = self.loop.run(
                self.rig.assign(
                    self.pools[pool], visitor, page_id=page, destinations=destinations,
                    previous=claimed,
                )
            )  # fmt: skip
            for destination, answer in zip(destinations, answers, strict=True):
                self._follow(model, visitor, destination, answer)
            model.sign_of_life(visitor, page, now=self.now)
            lives = [answer.expires_in_ms for answer in answers if isinstance(answer, Leased)]
            assert lives == [model.idle_ms] * len(lives)

    def _follow(self, model: PoolModel, visitor: str, destination: str, answer: Answer) -> None:
        # What the page claims to have had does not enter here: true claims the model knows
        # itself, forged ones must not matter.
        expected = model.expected(visitor, destination, now=self.now)
        assert answer.reason.value == expected.reason
        match answer:
            case Leased():
                number = answer.formats.e164
                assert expected.status == "leased"
                assert number in expected.numbers
                if expected.reason == "renewed":
                    tenure = model.numbers[number].holder
                    assert tenure is not None
                    assert answer.lease_id == tenure.lease_id
                else:
                    assert answer.lease_id not in model.given
                    model.lease(visitor, destination, number, answer.lease_id, now=self.now)
            case Overflow():
                assert (expected.status, answer.formats.e164) == ("overflow", SHARED)
            case Original():
                assert (expected.status, answer.destination) == ("original", destination)

    @rule(pool=pools, visitor=visitors, page=pages, twice=st.booleans())
    def heartbeat(self, pool: str, visitor: str, page: str, *, twice: bool) -> None:
        """A sign of life, perhaps of a page nobody heard of."""
        for _ in range(2 if twice else 1):
            answer = self.loop.run(
                self.rig.leases.heartbeat(self.pools[pool], visitor_id=visitor, page_id=page)
            )
            model = self.model.pools[pool]
            if model.sign_of_life(visitor, page, now=self.now):
                assert answer == Alive(expires_in_ms=model.idle_ms)
            else:
                assert type(answer).__name__ == "Gone"

    @rule(pool=pools, visitor=visitors, page=pages, twice=st.booleans())
    def close(self, pool: str, visitor: str, page: str, *, twice: bool) -> None:
        """A beacon: in time, late, of a page that never was, or sent twice."""
        for _ in range(2 if twice else 1):
            answer = self.loop.run(
                self.rig.leases.close(self.pools[pool], visitor_id=visitor, page_id=page)
            )
            assert answer == self.model.pools[pool].close(visitor, page, now=self.now)
            self.model.settle(self.now)  # with a delay of nothing the lease is over at once

    # --- time ---------------------------------------------------------------------------------

    @rule(step=steps_ms)
    def advance(self, step: int) -> None:
        """Time passes: a moment, a limit, a window, longer than anything."""
        self._be(self.now + step)

    @rule(which=st.integers(0, 9), offset=st.sampled_from([-1, 0, 1]))
    def advance_to_a_deadline(self, which: int, offset: int) -> None:
        """To the millisecond in which a lease ends, the one before or the one after."""
        # By rank and not drawn from a list: the store's own chance must not change what is drawn.
        ahead = self._deadlines()
        if ahead:
            self._be(max(self.now, ahead[which % len(ahead)] + offset))

    def _deadlines(self) -> list[int]:
        return sorted(
            number.deadline_ms
            for pool in self.model.pools.values()
            for number in pool.numbers.values()
            if number.deadline_ms is not None
        )

    def _be(self, now: int) -> None:
        self.now = self.rig.clock.now_ms = now
        self.model.settle(now)

    # --- operators ----------------------------------------------------------------------------

    @rule(twice=st.booleans())
    def sweep(self, *, twice: bool) -> None:
        """Housekeeping, which nothing but the events may depend on."""
        for _ in range(2 if twice else 1):
            self.loop.run(self.rig.sweeper.sweep_once())
        self.model.swept(self.now)
        for pool_id in POOLS:
            at = self.rig.shards.pool(pool_id)
            assert self.client.zcount(at.leased, "-inf", self.now) == 0
            assert self.client.scard(at.drained) == 0

    def _notice(self, pool: str) -> None:
        # An operator's command meets numbers as they were when the store last looked; what it
        # says of one whose lease ended unnoticed is a matter of luck. Look first, directory not.
        self.loop.run(self.rig.leases.sweep(pool, window_ms=WINDOW_S * 1000))
        self.model.pools[pool].swept(self.now)

    @rule(pool=pools, number=numbers)
    def attach(self, pool: str, number: str) -> None:
        """Two pools want the same numbers; each number is in one of them."""
        self._notice(pool)
        result = self.loop.run(
            self.rig.inventory.attach(pool, [NumberRow(number)], all_or_nothing=False)
        )
        if self.model.attach(pool, number):
            assert result.attached == (number,)
        else:
            assert [row.code for row in result.rejected] == ["number-taken"]

    @rule(pool=pools, number=numbers, force=st.booleans(), twice=st.booleans())
    def detach(self, pool: str, number: str, *, force: bool, twice: bool) -> None:
        """Take a number out, with its visitor or after them."""
        self._notice(pool)
        for _ in range(2 if twice else 1):
            try:
                outcome = self.loop.run(self.rig.inventory.detach(pool, number, force=force)).value
            except NumberUnknown:
                outcome = "absent"
            assert outcome == self.model.detach(pool, number, force=force, now=self.now)

    @rule(pool=pools, idle_s=st.sampled_from([5, IDLE_S, 40]), delay_s=st.sampled_from([0, 5, 30]))
    def edit(self, pool: str, idle_s: int, delay_s: int) -> None:
        """New limits hold for the next sign of life; deadlines that were promised stay."""
        self.pools[pool] = self.loop.run(
            self.rig.edit(self.pools[pool], idle_limit_s=idle_s, closed_browser_delay_s=delay_s)
        )
        model = self.model.pools[pool]
        model.idle_ms, model.delay_ms = idle_s * 1000, delay_s * 1000

    # --- the telephone rings --------------------------------------------------------------------

    @rule(number=numbers, ago=st.one_of(st.none(), st.integers(0, WINDOW_S * 1000 - 1)))
    def attribute(self, number: str, ago: int | None) -> None:
        """Somebody calls, now or a while ago."""
        at = None if ago is None else self.now - ago
        pool = self.model.whose(number)
        if pool is None:
            with pytest.raises(NumberUnknown):
                self.loop.run(self.rig.attribution.attribute(number, at_ms=at))
            return
        found = self.loop.run(self.rig.attribution.attribute(number, at_ms=at))
        expected = self.model.pools[pool].who(
            number, at=self.now if at is None else at, now=self.now
        )
        best = found.candidates[0].holder.visitor_id if found.candidates else None
        assert expected in {None, (best, found.basis.value)}
        assert found.pool.id == pool

    @rule(number=numbers, twice=st.booleans())
    def call(self, number: str, *, twice: bool) -> None:
        """A call is recorded, perhaps twice: its number is nobody else's for a while."""
        pool = self.model.whose(number)
        new = NewCall(number=number, provider="x", provider_call_id=f"c{len(self.calls)}")
        if pool is None:
            with pytest.raises(NumberUnknown):
                self.loop.run(self.rig.calls.start(new))
            return
        self._notice(pool)
        model = self.model.pools[pool]
        expected = model.who(number, at=self.now, now=self.now)
        started = self.loop.run(self.rig.calls.start(new))
        assert started.created
        assert (started.call.visitor_id or None, started.call.basis.value) == expected
        if twice:
            again = self.loop.run(self.rig.calls.start(new))
            assert (again.call, again.created) == (started.call, False)
        model.hold(number, started.call.lease_id, until_ms=self.now + HOLD_S * 1000)
        self.calls.append(started.call)

    @rule(which=st.integers(0, 9), twice=st.booleans())
    def call_is_over(self, which: int, *, twice: bool) -> None:
        """Its number is held again from then on, unless somebody else has it by now."""
        if not self.calls:
            return
        call = self.calls[which % len(self.calls)]
        self._notice(call.pool_id)
        before = self.loop.run(self.rig.calls.find(call.id))
        for _ in range(2 if twice else 1):
            self.loop.run(self.rig.calls.update(call.id, CallUpdate(status=CallStatus.COMPLETED)))
        if not before.status.final:
            self.model.pools[call.pool_id].hold(
                call.number, call.lease_id, until_ms=self.now + HOLD_S * 1000
            )

    # --- always -------------------------------------------------------------------------------

    @invariant()
    def keyspace_is_sound(self) -> None:
        """Each number in one place, each lease with one owner, nothing forgotten."""
        invariants.check(self.client)

    @invariant()
    def leases_are_those_of_the_model(self) -> None:
        """The same leases with the same deadlines, to the millisecond."""
        for pool_id, model in self.model.pools.items():
            found = invariants.scores(self.client, self.rig.shards.pool(pool_id).leased)
            assert {number: at for number, at in found.items() if at > self.now} == {
                name: number.deadline_ms for name, number in model.numbers.items() if number.leased
            }


class WithEvents(AllocationMachine):
    """The same, and at the end the outbox must tell the whole story."""

    def teardown(self) -> None:
        """End everything, sweep, compare."""
        if self.model.pools:
            self._be(self.now + 100_000)
            self.sweep(twice=False)
            for pool_id, model in self.model.pools.items():
                self._compare_events(pool_id, model)
        super().teardown()

    def _compare_events(self, pool_id: str, model: PoolModel) -> None:
        events = [
            event
            for event in self.loop.run(self.rig.events(self.pools[pool_id]))
            if event["p"] == pool_id
        ]
        calls = [json.loads(e["j"])["call_id"] for e in events if e["t"] == "call.started"]
        assert calls == [each.id for each in self.calls if each.pool_id == pool_id]
        over = [json.loads(e["j"])["call_id"] for e in events if e["t"] == "call.completed"]
        assert len(over) == len(set(over))
        assigned = [f"lse_{pool_id[5:]}_{e['f']}" for e in events if e["t"] == "number.assigned"]
        ended = sorted(
            (f"lse_{pool_id[5:]}_{e['f']}", e["v"], int(e["s"]), int(e["w"]), e["r"])
            for e in events
            if e["t"] == "lease.ended"
        )
        assert assigned == model.given
        assert ended == sorted(
            (each.lease_id, each.visitor, each.from_ms, each.until_ms, each.reason)
            for each in model.ended
        )


@pytest.mark.timeout(0 if "DNI_MACHINE_EXAMPLES" in os.environ else 420)
def test_the_store_does_what_the_model_says(redis_url: str) -> None:
    """Thousands of random steps: whatever visitors, operators and time do, the promises hold."""
    WithEvents.url = redis_url

    run_state_machine_as_test(
        WithEvents,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
