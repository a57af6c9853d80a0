"""A called number is held: nobody else is given it for a while, and no lease is any longer."""

import asyncio

import pytest

from dni_allocator.domain.call import CallStatus, CallUpdate, NewCall
from dni_allocator.domain.errors import CallUnknown
from dni_allocator.domain.lease import Leased, Overflow
from dni_allocator.domain.pool import Pool
from dni_allocator.services.pools import Pools
from dni_allocator.store.pools import Detached
from dni_allocator.store.shelves import Quarantined
from tests.support.rig import DAY_MS, SHARED, Rig

HOLD_S = 600
IDLE_S = 300


async def held_pool(rig: Rig, numbers: int = 1, **settings: object) -> Pool:
    """A pool that holds called numbers for longer than the idle limit."""
    pool = await rig.pool(numbers)
    return await rig.edit(pool, hold_after_call_s=HOLD_S, overflow_numbers=(SHARED,), **settings)


async def status(rig: Rig, pool: Pool, visitor: str) -> str:
    """What a page of theirs is answered: `reason`, or `shared`."""
    (answer,) = await rig.assign(pool, visitor)
    return "shared" if isinstance(answer, Overflow) else answer.reason.value


async def test_nobody_else_is_given_it(rig: Rig) -> None:
    """Ann called and left: bob sees the shared number until the hold is over."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    await rig.calls.start(NewCall(number=number))

    rig.clock.advance(seconds=IDLE_S)
    assert await status(rig, pool, "bob") == "shared"
    rig.clock.advance(seconds=HOLD_S - IDLE_S, ms=-1)
    await rig.sweeper.sweep_once()
    assert await status(rig, pool, "bob") == "shared"
    rig.clock.advance(ms=1)
    await rig.sweeper.sweep_once()

    assert await status(rig, pool, "bob") == "new"


async def test_its_visitor_gets_it_back(rig: Rig) -> None:
    """Unlike one in quarantine: they may have it written down."""
    pool = await held_pool(rig, 2)
    number = await rig.lease(pool, "ann")
    await rig.calls.start(NewCall(number=number))
    rig.clock.advance(seconds=IDLE_S)
    await rig.sweeper.sweep_once()

    (answer,) = await rig.assign(pool, "ann")

    assert isinstance(answer, Leased)
    assert (answer.formats.e164, answer.reason.value) == (number, "returned")
    assert (await rig.attribution.attribute(number)).basis.value == "live"


async def test_no_lease_is_longer_for_it(rig: Rig) -> None:
    """The lock rule is the same with and without a call: deadline, beacon, end, event."""
    pool = await held_pool(rig, 2)
    at = rig.shards.pool(pool.id)
    called = await rig.lease(pool, "ann")
    other = await rig.lease(pool, "bob")
    await rig.calls.start(NewCall(number=called))
    for visitor in ("ann", "bob"):
        await rig.leases.close(pool, visitor_id=visitor, page_id="page")

    deadlines = await rig.execute("ZMSCORE", at.leased, called, other)

    assert isinstance(deadlines, list)
    assert deadlines[0] == deadlines[1]
    rig.clock.advance(seconds=30)
    await rig.sweeper.sweep_once()
    ended = {e["n"]: e["w"] for e in await rig.events(pool) if e["t"] == "lease.ended"}
    assert ended == {called: rig.clock(), other: rig.clock()}


async def test_it_is_held_again_when_the_call_is_over(rig: Rig) -> None:
    """A long call: who was talking for half an hour may call back afterwards."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    call = (await rig.calls.start(NewCall(number=number))).call
    rig.clock.advance(seconds=HOLD_S - 1)
    await rig.calls.update(call.id, CallUpdate(status=CallStatus.COMPLETED))

    rig.clock.advance(seconds=HOLD_S - 1)
    await rig.sweeper.sweep_once()

    assert await status(rig, pool, "bob") == "shared"


async def test_a_number_somebody_else_has_is_not_held_for_an_old_call(rig: Rig) -> None:
    """It is over when bob has the number already: that is bob's, and free when bob leaves."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    call = (await rig.calls.start(NewCall(number=number))).call
    rig.clock.advance(seconds=HOLD_S)
    await rig.sweeper.sweep_once()
    assert await rig.lease(pool, "bob") == number

    await rig.calls.update(call.id, CallUpdate(status=CallStatus.COMPLETED))

    rig.clock.advance(seconds=IDLE_S)
    assert await status(rig, pool, "cyd") == "new"


async def test_an_operators_quarantine_wins(rig: Rig) -> None:
    """Neither a call nor its end brings a number back that somebody put aside."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    await rig.shelves.quarantine(pool.id, number, until_ms=None, reason="x")
    await rig.calls.start(NewCall(number=number))
    rig.clock.advance(seconds=HOLD_S + IDLE_S)
    await rig.sweeper.sweep_once()

    assert await status(rig, pool, "ann") == "shared"


async def test_a_hold_becomes_a_quarantine_and_is_called_off(rig: Rig) -> None:
    """Signs of spam count for held numbers, too; an acquittal ends either."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    await rig.calls.start(NewCall(number=number))
    rig.clock.advance(seconds=IDLE_S)
    await rig.sweeper.sweep_once()

    outcome, _ = await rig.shelves.spam_sign(pool.id, number, rest_ms=DAY_MS, enough=1)
    assert outcome is Quarantined.QUARANTINED
    assert await status(rig, pool, "ann") == "shared"
    await rig.shelves.acquit(pool.id, number)
    assert await status(rig, pool, "ann") == "returned"


async def test_a_number_that_leaves_is_not_held(rig: Rig) -> None:
    """It is on its way out: a call changes nothing about that."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    assert await rig.inventory.detach(pool.id, number, force=False) is Detached.DRAINING

    await rig.calls.start(NewCall(number=number))

    rig.clock.advance(seconds=IDLE_S)
    await rig.sweeper.sweep_once()
    assert await rig.pools.present(pool.id, [number]) == set()


async def test_a_held_number_can_be_taken_out_and_put_in_again(rig: Rig) -> None:
    """Nothing of the hold is left behind."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    await rig.calls.start(NewCall(number=number))
    rig.clock.advance(seconds=IDLE_S)
    await rig.sweeper.sweep_once()

    assert await rig.inventory.detach(pool.id, number, force=False) is Detached.DETACHED
    at = rig.shards.pool(pool.id)
    assert await rig.execute("ZCARD", at.resting) == 0
    assert await rig.execute("HLEN", at.notes) == 0


@pytest.mark.parametrize("hold_s", [0, HOLD_S])
async def test_a_pool_may_hold_nothing(rig: Rig, hold_s: int) -> None:
    """`hold_after_call_s: 0` switches it off."""
    pool = await rig.edit(await held_pool(rig), hold_after_call_s=hold_s)
    number = await rig.lease(pool, "ann")
    await rig.calls.start(NewCall(number=number))
    rig.clock.advance(seconds=IDLE_S)

    assert await status(rig, pool, "bob") == ("shared" if hold_s else "new")


async def test_held_numbers_are_not_in_circulation(rig: Rig) -> None:
    """Pressure and the reserve reckon with what can be given."""
    pool = await held_pool(rig, 4)
    number = await rig.lease(pool, "ann")
    await rig.calls.start(NewCall(number=number))
    assert (await rig.pools.occupancy(pool.id)).resting == 0

    rig.clock.advance(seconds=IDLE_S)
    await rig.sweeper.sweep_once()

    occupancy = await rig.pools.occupancy(pool.id)
    assert (occupancy.attached, occupancy.resting, occupancy.free) == (4, 1, 3)


async def test_calls_outlive_their_pool(rig: Rig) -> None:
    """A report of last month does not lose its rows because a campaign is over."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    call = (await rig.calls.start(NewCall(number=number))).call
    pools = Pools(pools=rig.pools, directory=rig.directory, shelving=rig.shelving)
    await pools.delete(pool.id, force=True)

    after = await rig.calls.update(call.id, CallUpdate(status=CallStatus.COMPLETED, duration_s=60))

    assert (after.visitor_id, after.qualified) == ("ann", True)
    assert await rig.calls.find(call.id) == after


async def test_two_at_once_record_one_call(rig: Rig) -> None:
    """Both ask before either has written: one call, one event, one memory of the caller."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    new = NewCall(number=number, caller="+14155550177", provider="x", provider_call_id="1")

    started = await asyncio.gather(*(rig.calls.start(new) for _ in range(8)))

    assert len({each.call.id for each in started}) == 1
    assert [e["t"] for e in await rig.events(pool)].count("call.started") == 1
    assert {each.call.first_time_caller for each in started} == {True}


async def test_first_calls_at_once_are_one_first_call(rig: Rig) -> None:
    """Two different calls of one new caller: exactly one of them is the first."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")

    started = await asyncio.gather(
        *(
            rig.calls.start(
                NewCall(
                    number=number, caller="+14155550177", provider="x", provider_call_id=str(at)
                )
            )
            for at in range(3)
        )
    )

    assert sorted(each.call.first_time_caller for each in started) == [False, False, True]


async def test_updates_at_once_are_all_kept(rig: Rig) -> None:
    """Status, outcome and recording come from three systems in the same moment."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    call = (await rig.calls.start(NewCall(number=number))).call

    await asyncio.gather(
        rig.calls.update(call.id, CallUpdate(status=CallStatus.COMPLETED, duration_s=90)),
        rig.calls.update(call.id, CallUpdate(outcome="sale")),
        rig.calls.update(call.id, CallUpdate(recording_url="https://rec.example/1")),
    )

    after = await rig.calls.find(call.id)
    assert (after.status, after.outcome, after.recording_url) == (
        CallStatus.COMPLETED, "sale", "https://rec.example/1",
    )  # fmt: skip
    kinds = [e["t"] for e in await rig.events(pool) if e["t"].startswith("call.")]
    assert (kinds.count("call.completed"), kinds.count("call.qualified")) == (1, 1)


async def test_a_call_that_was_forgotten_is_unknown(rig: Rig) -> None:
    """Its retention is over: 404, also for a late message of the provider."""
    pool = await held_pool(rig)
    number = await rig.lease(pool, "ann")
    call = (await rig.calls.start(NewCall(number=number))).call
    await rig.execute("DEL", rig.shards.pool(pool.id).call + call.id)

    with pytest.raises(CallUnknown):
        await rig.calls.update(call.id, CallUpdate(outcome="sale"))
