"""close.lua: {CLOSED, now, deadline}, {OPEN}, {NONE}, {STALE}, {GONE}."""

from tests.support.raw import call
from tests.support.rig import Rig


async def test_closed_shortens_the_lock_to_the_delay(rig: Rig) -> None:
    """After the last page the number is locked for the closed-browser delay only."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    now = rig.clock.advance(seconds=5)

    assert await call(rig, "close") == ["CLOSED", str(now), str(now + 30_000)]

    rig.clock.advance(seconds=30)
    assert await rig.sweeper.sweep_once() == 1
    assert (await rig.events(pool))[-1]["r"] == "closed"


async def test_closed_never_lengthens(rig: Rig) -> None:
    """Where the idle limit would end the lock sooner, it still does."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    now = rig.clock.advance(seconds=290)

    assert await call(rig, "close") == ["CLOSED", str(now), str(now + 10_000)]


async def test_none_for_a_beacon_that_comes_twice(rig: Rig) -> None:
    """A repeated beacon neither moves the deadline nor fails."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    await call(rig, "close")
    before = await rig.execute("ZRANGE", rig.shards.pool(pool.id).leased, 0, -1, "WITHSCORES")
    rig.clock.advance(seconds=10)

    assert await call(rig, "close") == ["NONE"]

    after = await rig.execute("ZRANGE", rig.shards.pool(pool.id).leased, 0, -1, "WITHSCORES")
    assert after == before


async def test_none_for_a_page_that_never_was(rig: Rig) -> None:
    """A beacon with an invented page cannot free anybody's number."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")

    assert await call(rig, "close", page_id="invented") == ["NONE"]


async def test_none_after_the_lease_ended(rig: Rig) -> None:
    """A beacon that was under way for long finds nothing to shorten."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    await rig.lease(pool, "bob")

    assert await call(rig, "close") == ["NONE"]


async def test_open_while_another_page_is(rig: Rig) -> None:
    """The late beacon of an old page changes nothing for a newer one."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann", page_id="old")
    await rig.lease(pool, "ann", page_id="new")

    assert await call(rig, "close", page_id="old") == ["OPEN"]
    assert (await call(rig, "close", page_id="new"))[0] == "CLOSED"


async def test_a_page_that_fell_silent_does_not_count_as_open(rig: Rig) -> None:
    """A tab whose own beacon was lost must not hold the number for ever."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann", page_id="crashed")
    rig.clock.advance(seconds=200)
    await rig.lease(pool, "ann", page_id="alive")
    rig.clock.advance(seconds=100)

    assert (await call(rig, "close", page_id="alive"))[0] == "CLOSED"


async def test_stale_when_the_pool_was_edited(rig: Rig) -> None:
    """The delay of old settings is not applied; the page stays open for the second try."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    pool = await rig.edit(pool, closed_browser_delay_s=1)

    assert await call(rig, "close", rev=1) == ["STALE"]
    assert (await call(rig, "close", rev=2, delay=1000))[0] == "CLOSED"


async def test_gone_without_the_pool(rig: Rig) -> None:
    """A beacon to a deleted pool does nothing."""
    assert await call(rig, "close") == ["GONE"]
