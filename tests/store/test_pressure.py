"""A pool that runs full: silent leases give way sooner, and a share is kept for some visitors."""

import asyncio
from dataclasses import replace

import pytest

from dni_allocator.domain.lease import Leased, Original, Reason
from dni_allocator.domain.pool import Pool
from dni_allocator.store.policies import packed_policy
from tests.support.raw import call
from tests.support.rig import SERVICE, SETTINGS, SHOP, Rig, fictional

PRESSED = replace(SETTINGS, pressure_threshold=0.5, pressure_idle_limit_s=60)
RESERVED = replace(SETTINGS, reserve_share=0.2)


async def _beat(rig: Rig, pool: Pool, visitor: str) -> None:
    await rig.leases.heartbeat(pool, visitor_id=visitor, page_id="page")


async def _gave_way(rig: Rig, pool: Pool) -> list[str]:
    """The visitors whose leases pressure ended, in order."""
    ended = [event for event in await rig.events(pool) if event["t"] == "lease.ended"]
    assert {event["r"] for event in ended} <= {"pressure"}
    return [event["v"] for event in ended]


async def _idle_in_force(rig: Rig, pool: Pool) -> int:
    return int((await call(rig, "explain", policy=packed_policy(pool.settings, if_none=True)))[6])


# --- the idle limit in force ----------------------------------------------------------------------


async def test_the_idle_limit_falls_in_a_straight_line_above_the_threshold(rig: Rig) -> None:
    """Full up to the threshold, the pressed one when all numbers are leased, even steps between."""
    pool = await rig.pool(10, settings=PRESSED)
    found = [await _idle_in_force(rig, pool)]
    for visitor in range(10):
        await rig.lease(pool, f"v{visitor}")
        found.append(await _idle_in_force(rig, pool))

    expected = [300_000] * 6 + [252_000, 204_000, 156_000, 108_000, 60_000]
    assert found == pytest.approx(expected, abs=1)


async def test_numbers_in_quarantine_do_not_count_as_free(rig: Rig) -> None:
    """What nobody can be given does not relieve the pool."""
    pool = await rig.pool(4, settings=PRESSED)
    held = {await rig.lease(pool, visitor) for visitor in ("ann", "bob")}
    assert await _idle_in_force(rig, pool) == 300_000

    for number in set(fictional(4)) - held:
        await rig.shelves.quarantine(pool.id, number, until_ms=None, reason="x")

    assert await _idle_in_force(rig, pool) == 60_000


async def test_a_pressed_limit_above_the_idle_limit_lengthens_nothing(rig: Rig) -> None:
    """Pressure only ever shortens."""
    pool = await rig.pool(1, settings=replace(PRESSED, pressure_idle_limit_s=3600))
    await rig.lease(pool, "ann")

    assert await _idle_in_force(rig, pool) == 300_000


async def test_a_threshold_of_all_numbers_presses_when_all_are_leased(rig: Rig) -> None:
    """The line from the threshold to "all leased" has no length then: the pressed limit holds."""
    pool = await rig.pool(2, settings=replace(PRESSED, pressure_threshold=1.0))
    await rig.lease(pool, "ann")
    before = await _idle_in_force(rig, pool)
    await rig.lease(pool, "bob")
    rig.clock.advance(seconds=61)

    (answer,) = await rig.assign(pool, "cyd")

    assert before == 300_000
    assert answer.reason is Reason.NEW
    assert len(await _gave_way(rig, pool)) == 1


# --- who gives way --------------------------------------------------------------------------------


async def test_below_the_threshold_nobody_gives_way(rig: Rig) -> None:
    """The usual idle limit holds, however long somebody has been silent within it."""
    pool = await rig.pool(4, settings=PRESSED)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=299)

    await rig.lease(pool, "bob")

    assert await _gave_way(rig, pool) == []


async def test_the_longest_silence_gives_way_first(rig: Rig) -> None:
    """The event tells the reason, and the number goes to who asks."""
    pool = await rig.pool(3, settings=PRESSED)
    numbers = {}
    for visitor in ("ann", "bob", "cyd"):
        numbers[visitor] = await rig.lease(pool, visitor)
    for visitor, silent_s in (("cyd", 45), ("ann", 5), ("bob", 30)):
        await _beat(rig, pool, visitor)
        rig.clock.advance(seconds=silent_s)
    # Silent now: cyd 80 s, ann 35 s, bob 30 s.

    given = await rig.lease(pool, "dan")

    assert await _gave_way(rig, pool) == ["cyd"]
    assert given == numbers["cyd"]


async def test_no_more_give_way_than_the_pressure_asks_for(rig: Rig) -> None:
    """Each that goes relieves the pool: the next needs to have been silent for longer."""
    settings = replace(PRESSED, pressure_threshold=0.5, pressure_idle_limit_s=60)
    pool = await rig.pool(10, settings=settings)
    for n in range(10):
        await rig.lease(pool, f"v{n}")
    rig.clock.advance(seconds=100)  # in force: 60 s where 10 are leased, 108 s where 9 are

    await rig.lease(pool, "late")

    assert len(await _gave_way(rig, pool)) == 1


async def test_who_may_give_way_is_found_behind_many_who_may_not(rig: Rig) -> None:
    """Seventy pages that beat, near their maximum age, have the nearest deadlines of all."""
    settings = replace(PRESSED, max_lease_age_s=400)
    pool = await rig.pool(71, settings=settings)
    beating = [f"v{n}" for n in range(70)]
    for visitor in beating:
        await rig.lease(pool, visitor)
    for seconds, newcomer in ((110, "silent"), (140, None)):
        rig.clock.advance(seconds=seconds)
        for visitor in beating:
            await _beat(rig, pool, visitor)
        if newcomer:
            await rig.lease(pool, newcomer)
    rig.clock.advance(seconds=90)

    (answer,) = await rig.assign(pool, "late")

    assert answer.reason is Reason.NEW
    assert await _gave_way(rig, pool) == ["silent"]


async def test_closed_browsers_give_way_before_silent_pages(rig: Rig) -> None:
    """Their deadlines are the nearest."""
    pool = await rig.pool(3, settings=PRESSED)
    for visitor in ("silent", "closed", "third"):
        await rig.lease(pool, visitor)
    rig.clock.advance(seconds=100)
    await rig.leases.close(pool, visitor_id="closed", page_id="page")

    await rig.lease(pool, "dan")

    assert (await _gave_way(rig, pool))[0] == "closed"


async def test_one_millisecond_decides(rig: Rig) -> None:
    """Silent for exactly the limit in force: over; for less: not."""
    pool = await rig.pool(1, settings=PRESSED)
    await rig.lease(pool, "ann")
    rig.clock.advance(ms=59_999)
    (early,) = await rig.assign(pool, "bob")
    rig.clock.advance(ms=1)

    assert early.reason is Reason.EXHAUSTED
    await rig.lease(pool, "bob")
    assert await _gave_way(rig, pool) == ["ann"]


async def test_a_page_that_beats_never_gives_way(rig: Rig) -> None:
    """At the pace the pool asks for, whatever the crowd at the door."""
    pool = await rig.pool(2, settings=PRESSED)
    numbers = {visitor: await rig.lease(pool, visitor) for visitor in ("ann", "bob")}
    assert pool.heartbeat_within(pool.idle_ms) == 20

    for turn in range(30):
        rig.clock.advance(seconds=pool.heartbeat_within(pool.idle_ms))
        for visitor in numbers:
            await _beat(rig, pool, visitor)
        rig.clock.advance(seconds=pool.heartbeat_within(pool.idle_ms) - 1)
        (answer,) = await rig.assign(pool, f"crowd-{turn}")
        assert isinstance(answer, Original)

    assert await _gave_way(rig, pool) == []
    assert {visitor: await rig.lease(pool, visitor) for visitor in numbers} == numbers


async def test_a_beating_page_near_its_maximum_age_does_not_give_way(rig: Rig) -> None:
    """Its deadline is near because of its age, which says nothing about silence."""
    pool = await rig.pool(1, settings=replace(PRESSED, max_lease_age_s=1000))
    await rig.lease(pool, "ann")
    for _ in range(49):
        rig.clock.advance(seconds=20)
        await _beat(rig, pool, "ann")

    (answer,) = await rig.assign(pool, "bob")

    assert answer.reason is Reason.EXHAUSTED
    assert await _gave_way(rig, pool) == []


async def test_a_lease_within_its_minimum_hold_does_not_give_way(rig: Rig) -> None:
    """A promise is not bent by a crowd."""
    pool = await rig.pool(1, settings=replace(PRESSED, min_hold_s=200))
    await rig.lease(pool, "ann")
    rig.clock.advance(ms=199_999)
    (early,) = await rig.assign(pool, "bob")
    rig.clock.advance(ms=1)

    assert early.reason is Reason.EXHAUSTED
    await rig.lease(pool, "bob")
    assert await _gave_way(rig, pool) == ["ann"]


async def test_a_lease_on_trial_gives_way_no_sooner_than_it_ends(rig: Rig) -> None:
    """Its deadline is near because it is new, which says nothing about silence either."""
    pool = await rig.pool(1, settings=replace(PRESSED, provisional_s=30))
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=29)

    (answer,) = await rig.assign(pool, "bob")

    assert answer.reason is Reason.EXHAUSTED
    await _beat(rig, pool, "ann")
    assert await _gave_way(rig, pool) == []


async def test_the_visitors_own_other_lease_does_not_give_way(rig: Rig) -> None:
    """One number of a visitor is never paid for with another of theirs."""
    pool = await rig.pool(1, settings=PRESSED)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=200)

    (answer,) = await rig.assign(pool, "ann", destinations=(SERVICE,))

    assert answer.reason is Reason.EXHAUSTED
    assert await _gave_way(rig, pool) == []
    (kept,) = await rig.assign(pool, "ann", destinations=(SHOP,))
    assert kept.reason is Reason.RENEWED


async def test_who_gave_way_gets_the_number_back_while_it_is_free(rig: Rig) -> None:
    """As after any other end."""
    pool = await rig.pool(2, settings=PRESSED)
    number = await rig.lease(pool, "ann")
    await rig.lease(pool, "bob")
    rig.clock.advance(seconds=100)
    await _beat(rig, pool, "bob")
    await rig.lease(pool, "cyd")
    await rig.leases.close(pool, visitor_id="cyd", page_id="page")
    rig.clock.advance(seconds=30)
    await rig.sweeper.sweep_once()

    (answer,) = await rig.assign(pool, "ann")

    # The number went to cyd in between: theirs is the record now, and ann is a new visitor.
    assert isinstance(answer, Leased)
    assert (answer.reason, answer.formats.e164) == (Reason.NEW, number)


# --- the reserve ----------------------------------------------------------------------------------


async def _ask(rig: Rig, pool: Pool, visitor: str, *, entitled: bool = False) -> Reason:
    (answer,) = await rig.assign(pool, visitor, entitled=entitled)
    return answer.reason


async def test_the_last_numbers_go_to_the_entitled_only(rig: Rig) -> None:
    """Guard channels: others are refused while no more are free than the reserve keeps."""
    pool = await rig.pool(5, settings=RESERVED)

    first = [await _ask(rig, pool, f"v{n}") for n in range(5)]
    entitled = [await _ask(rig, pool, f"paid{n}", entitled=True) for n in range(2)]

    assert first == [Reason.NEW] * 4 + [Reason.RESERVED]
    assert entitled == [Reason.NEW, Reason.EXHAUSTED]
    totals = (await rig.pools.occupancy(pool.id)).totals
    assert totals == {"new": 5, "reserved": 1, "turned_away": 2}


async def test_the_reserve_holds_under_any_overload(rig: Rig) -> None:
    """Five hundred at the door of fifty numbers: ten stay for those they are kept for."""
    pool = await rig.pool(50, settings=RESERVED)

    crowd = await asyncio.gather(*(_ask(rig, pool, f"v{n}") for n in range(500)))
    entitled = [await _ask(rig, pool, f"paid{n}", entitled=True) for n in range(11)]

    assert (crowd.count(Reason.NEW), crowd.count(Reason.RESERVED)) == (40, 460)
    assert entitled == [Reason.NEW] * 10 + [Reason.EXHAUSTED]


async def test_returning_visitors_do_not_break_into_the_reserve(rig: Rig) -> None:
    """A number one had yesterday is a free number like any other."""
    pool = await rig.pool(5, settings=RESERVED)
    await _ask(rig, pool, "ann")
    rig.clock.advance(seconds=301)
    for n in range(4):
        await _ask(rig, pool, f"v{n}")

    assert await _ask(rig, pool, "ann") is Reason.RESERVED
    assert await _ask(rig, pool, "ann", entitled=True) is Reason.RETURNED


async def test_who_holds_a_number_of_the_reserve_keeps_it(rig: Rig) -> None:
    """Entitled by the landing page, not by the tenth one: renewals never ask."""
    pool = await rig.pool(1, settings=RESERVED)
    assert await _ask(rig, pool, "ann") is Reason.RESERVED
    assert await _ask(rig, pool, "ann", entitled=True) is Reason.NEW

    rig.clock.advance(seconds=200)

    assert await _ask(rig, pool, "ann") is Reason.RENEWED


async def test_numbers_in_quarantine_are_in_no_reserve(rig: Rig) -> None:
    """The share is of the numbers that can be given."""
    pool = await rig.pool(10, settings=RESERVED)
    for number in fictional(5):
        await rig.shelves.quarantine(pool.id, number, until_ms=None, reason="x")

    reasons = [await _ask(rig, pool, f"v{n}") for n in range(5)]

    assert reasons == [Reason.NEW] * 4 + [Reason.RESERVED]


async def test_leases_that_are_over_are_ended_before_the_reserve_refuses(rig: Rig) -> None:
    """However many there are: nobody waits for housekeeping."""
    pool = await rig.pool(50, settings=RESERVED)
    for n in range(40):
        await rig.lease(pool, f"v{n}")
    rig.clock.advance(seconds=300)

    assert await _ask(rig, pool, "ann") is Reason.NEW


@pytest.mark.parametrize(
    ("share", "numbers", "kept"), [(0.07, 100, 7), (0.2, 6, 2), (0.29, 100, 29)]
)
async def test_the_reserve_is_rounded_up_to_whole_numbers(
    rig: Rig, share: float, numbers: int, kept: int
) -> None:
    """And to no more than that: binary fractions do not add one."""
    pool = await rig.pool(numbers, settings=replace(SETTINGS, reserve_share=share))

    reply = await call(rig, "explain", policy=packed_policy(pool.settings, if_none=True))

    assert int(reply[7]) == kept
