"""heartbeat.lua: {OK, now, deadline}, {NONE}, {STALE}, {GONE}."""

from tests.support.raw import call
from tests.support.rig import SERVICE, SHOP, Rig


async def test_ok_gives_every_lease_of_the_visitor_a_new_deadline(rig: Rig) -> None:
    """One sign of life keeps all the visitor's numbers; running it twice changes nothing more."""
    pool = await rig.pool(2)
    await rig.assign(pool, "ann", destinations=(SHOP, SERVICE))
    now = rig.clock.advance(seconds=200)

    first = await call(rig, "heartbeat")
    second = await call(rig, "heartbeat")

    assert first == second == ["OK", str(now), str(now + 300_000)]
    deadlines = await rig.execute("ZRANGEBYSCORE", rig.shards.pool(pool.id).leased, now + 300_000,
                                  now + 300_000)  # fmt: skip
    assert isinstance(deadlines, list)
    assert len(deadlines) == 2


async def test_ok_reopens_after_the_last_page_closed(rig: Rig) -> None:
    """A page that comes back from the browser's cache takes the short lock away again."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    await rig.leases.close(pool, visitor_id="ann", page_id="page")
    rig.clock.advance(seconds=29)

    assert (await call(rig, "heartbeat"))[0] == "OK"

    rig.clock.advance(seconds=299)
    assert (await call(rig, "heartbeat"))[0] == "OK"


async def test_ok_under_a_shorter_limit_is_swept_in_time(rig: Rig) -> None:
    """When an operator shortens the idle limit, the sweeper looks earlier too."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    pool = await rig.edit(pool, idle_limit_s=10)
    await rig.leases.heartbeat(pool, visitor_id="ann", page_id="page")
    rig.clock.advance(seconds=10)

    assert await rig.sweeper.sweep_once() == 1


async def test_none_at_the_very_deadline(rig: Rig) -> None:
    """The instant of the deadline is the first one without the lease."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)

    assert await call(rig, "heartbeat") == ["NONE"]


async def test_none_when_the_number_went_to_another(rig: Rig) -> None:
    """A record that outlived its lease keeps nothing alive: owner and fence are compared."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    number = await rig.lease(pool, "bob")

    assert await call(rig, "heartbeat") == ["NONE"]
    assert await rig.lease(pool, "bob") == number


async def test_none_for_somebody_unknown(rig: Rig) -> None:
    """A heartbeat gives nobody a number."""
    pool = await rig.pool(1)

    assert await call(rig, "heartbeat") == ["NONE"]
    assert await rig.execute("EXISTS", rig.shards.pool(pool.id).visitors + "ann") == 0


async def test_stale_when_the_pool_was_edited(rig: Rig) -> None:
    """The caller must read the new limits first."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    await rig.edit(pool, idle_limit_s=60)

    assert await call(rig, "heartbeat") == ["STALE"]


async def test_gone_without_the_pool(rig: Rig) -> None:
    """A deleted pool keeps nothing alive."""
    assert await call(rig, "heartbeat") == ["GONE"]
