"""Rates, caps and refusals: what keeps one caller from draining a pool."""

import asyncio
from dataclasses import replace

import pytest

from dni_allocator.domain.lease import Answer, Leased, Original, Overflow, Reason
from dni_allocator.domain.pool import Pool, RefusedSee
from dni_allocator.services.inventory import NumberRow
from tests.support.rig import SERVICE, SETTINGS, SHARED, SHOP, Rig, fictional

HOME, OFFICE = "192.0.2.0/24", "2001:db8:0:1::/64"
PER_VISITOR = replace(SETTINGS, visitor_rate=2)
PER_NETWORK = replace(SETTINGS, address_rate=3)
CAPPED = replace(SETTINGS, address_leases=2)


async def _ask(rig: Rig, pool: Pool, visitor: str, *, address: str = HOME) -> Answer:
    (answer,) = await rig.assign(pool, visitor, address=address)
    return answer


async def _come_and_go(rig: Rig, pool: Pool, visitor: str) -> Answer:
    """A lease that is over at once, so that the next one is a new lease again."""
    (answer,) = await rig.assign(pool, visitor, address=HOME)
    if isinstance(answer, Leased):
        # By force, as nothing else ends a lease without time passing.
        await rig.inventory.detach(pool.id, answer.formats.e164, force=True)
        await rig.sweeper.sweep_once()
    return answer


# --- rates ----------------------------------------------------------------------------------------


async def test_a_visitor_may_lease_a_burst_and_then_at_the_rate(rig: Rig) -> None:
    """Two a minute: two at once, then one every thirty seconds, to the millisecond."""
    pool = await rig.pool(10, settings=PER_VISITOR)
    burst = [await _come_and_go(rig, pool, "ann") for _ in range(3)]

    assert [answer.reason for answer in burst] == [Reason.NEW, Reason.NEW, Reason.RATE_LIMITED]
    assert burst[2] == Original(SHOP, Reason.RATE_LIMITED, retry_in_ms=30_000)

    rig.clock.advance(ms=29_999)
    assert await _ask(rig, pool, "ann") == Original(SHOP, Reason.RATE_LIMITED, retry_in_ms=1)
    rig.clock.advance(ms=1)
    assert (await _come_and_go(rig, pool, "ann")).reason is Reason.NEW
    assert (await _come_and_go(rig, pool, "ann")).reason is Reason.RATE_LIMITED


async def test_a_pause_gives_the_burst_back_and_no_more(rig: Rig) -> None:
    """Permission is not saved up beyond the burst."""
    pool = await rig.pool(10, settings=PER_VISITOR)
    await _come_and_go(rig, pool, "ann")
    rig.clock.advance(seconds=86_400)

    reasons = [(await _come_and_go(rig, pool, "ann")).reason for _ in range(3)]

    assert reasons == [Reason.NEW, Reason.NEW, Reason.RATE_LIMITED]


async def test_refused_tries_cost_nothing(rig: Rig) -> None:
    """Who keeps knocking is not kept out for longer."""
    pool = await rig.pool(10, settings=PER_VISITOR)
    for _ in range(50):
        await _come_and_go(rig, pool, "ann")

    rig.clock.advance(seconds=30)

    assert (await _ask(rig, pool, "ann")).reason is Reason.NEW


async def test_a_clock_that_went_back_locks_nobody_out(rig: Rig) -> None:
    """What was used up in a future that is none any more does not count; the rate holds again."""
    pool = await rig.pool(10, settings=PER_VISITOR)
    for _ in range(3):
        await _come_and_go(rig, pool, "ann")
    rig.clock.advance(seconds=-3_600)

    reasons = [(await _come_and_go(rig, pool, "ann")).reason for _ in range(3)]

    assert reasons == [Reason.NEW, Reason.NEW, Reason.RATE_LIMITED]


async def test_a_visitors_rate_is_their_own(rig: Rig) -> None:
    """Others are not held up."""
    pool = await rig.pool(10, settings=PER_VISITOR)
    for _ in range(3):
        await _come_and_go(rig, pool, "ann")

    assert (await _ask(rig, pool, "bob")).reason is Reason.NEW


async def test_every_destination_of_a_page_counts(rig: Rig) -> None:
    """A rate counts numbers given, not requests."""
    pool = await rig.pool(10, settings=replace(SETTINGS, visitor_rate=1))

    first, second = await rig.assign(pool, "ann", destinations=(SHOP, SERVICE))

    assert first.reason is Reason.NEW
    assert second == Original(SERVICE, Reason.RATE_LIMITED, retry_in_ms=60_000)


async def test_renewals_are_free(rig: Rig) -> None:
    """Who has a number may view a hundred pages a minute."""
    pool = await rig.pool(10, settings=replace(PER_NETWORK, visitor_rate=1, address_rate=1))
    await _ask(rig, pool, "ann")

    for _ in range(100):
        assert (await _ask(rig, pool, "ann")).reason is Reason.RENEWED


async def test_a_network_shares_one_rate(rig: Rig) -> None:
    """New visitor ids are for the taking, networks are not."""
    pool = await rig.pool(10, settings=PER_NETWORK)

    answers = [await _ask(rig, pool, f"v{n}") for n in range(4)]

    assert [answer.reason for answer in answers] == [Reason.NEW] * 3 + [Reason.RATE_LIMITED]
    assert answers[3] == Original(SHOP, Reason.RATE_LIMITED, retry_in_ms=20_000)
    assert (await _ask(rig, pool, "ann", address=OFFICE)).reason is Reason.NEW
    rig.clock.advance(seconds=20)
    assert (await _ask(rig, pool, "v3")).reason is Reason.NEW


async def test_a_network_that_is_not_known_is_not_limited(rig: Rig) -> None:
    """Better a number too many than a customer without one."""
    pool = await rig.pool(10, settings=replace(PER_NETWORK, address_leases=1))

    answers = [await _ask(rig, pool, f"v{n}", address="") for n in range(5)]

    assert {answer.reason for answer in answers} == {Reason.NEW}


async def test_the_longer_of_two_waits_is_told(rig: Rig) -> None:
    """At that instant the next one is really allowed."""
    pool = await rig.pool(10, settings=replace(SETTINGS, visitor_rate=1, address_rate=2))
    await _come_and_go(rig, pool, "ann")
    await _ask(rig, pool, "bob")

    assert await _ask(rig, pool, "ann") == Original(SHOP, Reason.RATE_LIMITED, retry_in_ms=60_000)
    assert await _ask(rig, pool, "cyd") == Original(SHOP, Reason.RATE_LIMITED, retry_in_ms=30_000)
    rig.clock.advance(seconds=60)
    assert (await _ask(rig, pool, "ann")).reason is Reason.NEW


async def test_a_crowd_from_one_network_gets_its_rate_and_no_more(rig: Rig) -> None:
    """However the requests interleave."""
    pool = await rig.pool(50, settings=PER_NETWORK)

    answers = await asyncio.gather(*(_ask(rig, pool, f"v{n}") for n in range(40)))

    assert sum(isinstance(answer, Leased) for answer in answers) == 3
    assert (await rig.pools.occupancy(pool.id)).totals == {"new": 3, "rate_limited": 37}


async def test_limits_are_forgotten_when_they_matter_no_more(rig: Rig) -> None:
    """A network's memory lives as long as it can hold anybody up."""
    pool = await rig.pool(10, settings=replace(PER_NETWORK, visitor_rate=2))
    await _ask(rig, pool, "ann")
    limits = rig.shards.pool(pool.id).limits

    for key, longest in ((f"{limits}v:ann", 30_000), (f"{limits}a:{HOME}", 20_000)):
        ttl = await rig.execute("PTTL", key)
        assert isinstance(ttl, int)
        assert 0 < ttl <= longest


# --- the cap of live leases -----------------------------------------------------------------------


async def test_a_network_holds_no_more_leases_than_its_cap(rig: Rig) -> None:
    """An office has as many numbers as its cap says; the next office is another matter."""
    pool = await rig.pool(10, settings=CAPPED)

    answers = [await _ask(rig, pool, f"v{n}") for n in range(3)]

    assert [answer.reason for answer in answers] == [Reason.NEW, Reason.NEW, Reason.RATE_LIMITED]
    assert answers[2] == Original(SHOP, Reason.RATE_LIMITED, retry_in_ms=1_000)
    assert (await _ask(rig, pool, "v0")).reason is Reason.RENEWED
    assert (await _ask(rig, pool, "ann", address=OFFICE)).reason is Reason.NEW


@pytest.mark.parametrize("swept", [False, True], ids=["noticed-by-nobody", "swept"])
async def test_an_end_makes_room_under_the_cap(rig: Rig, *, swept: bool) -> None:
    """Whether a sweeper has seen it or not."""
    pool = await rig.pool(10, settings=CAPPED)
    for n in range(2):
        await _ask(rig, pool, f"v{n}")
    rig.clock.advance(seconds=10)
    await rig.leases.close(pool, visitor_id="v0", page_id="page")
    rig.clock.advance(seconds=30)
    if swept:
        await rig.sweeper.sweep_once()

    assert (await _ask(rig, pool, "ann")).reason is Reason.NEW
    assert (await _ask(rig, pool, "bob")).reason is Reason.RATE_LIMITED


async def test_a_number_that_went_to_another_network_is_not_counted_twice(rig: Rig) -> None:
    """The same number under a later fence is somebody else's lease."""
    pool = await rig.pool(2, settings=CAPPED)
    for n in range(2):
        await _ask(rig, pool, f"home{n}")
    rig.clock.advance(seconds=300)
    for n in range(2):
        await _ask(rig, pool, f"office{n}", address=OFFICE)
    row = NumberRow(fictional(1, start=2)[0])
    await rig.inventory.attach(pool.id, [row], all_or_nothing=True)

    assert (await _ask(rig, pool, "ann")).reason is Reason.NEW


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.BOT, Reason.PREFETCH, Reason.NOT_SERVED])
async def test_who_is_refused_gets_nothing_new_and_is_counted(rig: Rig, reason: Reason) -> None:
    """By reason, so that an operator sees whom the rules keep out; not as turned away."""
    pool = await rig.pool(3)

    for _ in range(2):
        (answer,) = await rig.assign(pool, "ann", refusal=reason.value)
        assert answer == Original(SHOP, reason)

    occupancy = await rig.pools.occupancy(pool.id)
    assert (occupancy.leased, occupancy.totals) == (0, {reason.value: 2})
    assert await rig.events(pool) == []


async def test_who_is_refused_keeps_what_they_have(rig: Rig) -> None:
    """A live lease is renewed, also for what the page does not show; a second is not given."""
    pool = await rig.pool(3)
    number = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=200)

    shop, service = await rig.assign(
        pool, "ann", destinations=(SHOP, SERVICE), refusal=Reason.PREFETCH.value
    )

    assert isinstance(shop, Leased)
    assert (shop.formats.e164, shop.reason, shop.expires_in_ms) == (number, "renewed", 300_000)
    assert service == Original(SERVICE, Reason.PREFETCH)


async def test_who_is_refused_does_not_get_an_old_number_back(rig: Rig) -> None:
    """A returned lease is a new one."""
    pool = await rig.pool(3)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)

    (answer,) = await rig.assign(pool, "ann", refusal=Reason.BOT.value)

    assert answer == Original(SHOP, Reason.BOT)


async def test_who_is_refused_sees_the_shared_number_only_if_the_pool_says_so(rig: Rig) -> None:
    """And even then is no candidate of the calls to it: nobody was there to call."""
    pool = await rig.edit(await rig.pool(0), overflow_numbers=(SHARED,))
    (original,) = await rig.assign(pool, "ann", refusal=Reason.BOT.value)
    pool = await rig.edit(pool, refused_see=RefusedSee.OVERFLOW)
    (shared,) = await rig.assign(pool, "ann", refusal=Reason.BOT.value)

    assert original == Original(SHOP, Reason.BOT)
    assert isinstance(shared, Overflow)
    assert (shared.formats.e164, shared.reason) == (SHARED, Reason.BOT)
    record = await rig.leases.number_record(pool.id, SHARED)
    assert record is not None
    assert record.holders == ()
    assert (await rig.pools.occupancy(pool.id)).totals == {"bot": 2}


async def test_who_is_only_looked_for_is_not_counted(rig: Rig) -> None:
    """A key with several pools asks each first whether it knows the visitor."""
    pool = await rig.pool(3)

    await rig.assign(pool, "ann", refusal=Reason.OTHER_POOL.value)

    assert (await rig.pools.occupancy(pool.id)).totals == {}


async def test_who_is_over_a_rate_sees_the_shared_number_only_if_the_pool_says_so(
    rig: Rig,
) -> None:
    """As who is refused; both answers tell how long to wait."""
    settings = replace(SETTINGS, visitor_rate=1, overflow_numbers=(SHARED,))
    pool = await rig.pool(3, settings=settings)
    await _come_and_go(rig, pool, "ann")

    original = await _ask(rig, pool, "ann")
    pool = await rig.edit(pool, refused_see=RefusedSee.OVERFLOW)
    shared = await _ask(rig, pool, "ann")

    assert original == Original(SHOP, Reason.RATE_LIMITED, retry_in_ms=60_000)
    assert isinstance(shared, Overflow)
    assert (shared.formats.e164, shared.reason, shared.retry_in_ms) == (
        SHARED, Reason.RATE_LIMITED, 60_000,
    )  # fmt: skip
