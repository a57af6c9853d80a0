"""attribution.lua: {OK, now, state, deadline, released at, closed at, holder, past…}, {GONE}."""

from tests.support.raw import call
from tests.support.rig import SHARED, SHOP, Rig


async def test_ok_leased(rig: Rig) -> None:
    """A live lease: its holder, its deadline, nothing of an end."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")
    now = rig.clock.now_ms

    reply = await call(rig, "attribution", number=number)

    holder = f"ann\t{SHOP}\t{now}\t1\t"
    assert reply == ["OK", str(now), "leased", str(now + 300_000), "", "", holder]


async def test_ok_leased_and_closing(rig: Rig) -> None:
    """After the last page closed, it says since when."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")
    closed = rig.clock.advance(seconds=3)
    await call(rig, "close")

    assert (await call(rig, "attribution", number=number))[5] == str(closed)


async def test_ok_free_with_its_last_holder_and_the_history(rig: Rig) -> None:
    """A free number knows who had it last and until when, and who had it before."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")
    first_end = rig.clock.advance(seconds=300)
    await rig.lease(pool, "bob")
    second_end = rig.clock.advance(seconds=300)
    await call(rig, "sweep")

    _, _, state, deadline, released_at, _, holder, past = await call(
        rig, "attribution", number=number
    )

    assert (state, deadline, released_at) == ("free", "", str(second_end))
    assert holder.startswith("bob\t")
    assert past.startswith(f"{first_end}\tann\t")


async def test_ok_free_and_never_leased(rig: Rig) -> None:
    """A number nobody had yet has no holder."""
    await rig.pool(["+16025550100"])

    reply = await call(rig, "attribution", number="+16025550100")

    assert reply[2:4] == ["free", ""]
    assert reply[6:] == [""]


async def test_ok_detached_answers_from_the_history(rig: Rig) -> None:
    """Taken out of the pool, a number still knows whom it was shown to."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, number, force=True)

    reply = await call(rig, "attribution", number=number)

    assert reply[2:7] == ["detached", "", "", "", ""]
    assert reply[7].startswith(f"{rig.clock()}\tann\t")


async def test_ok_for_a_shared_number_lists_who_saw_it(rig: Rig) -> None:
    """An overflow number is in no inventory; its history is all there is."""
    await rig.pool(0)
    await call(rig, "assign", rest=[SHOP, ""], overflow=SHARED)

    reply = await call(rig, "attribution", number=SHARED)

    assert reply[7:] == [f"\tann\t{SHOP}\t{rig.clock()}\t0\t"]


async def test_reading_changes_nothing(rig: Rig) -> None:
    """Also a lease that is over is only looked at."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=500)

    assert await call(rig, "attribution", number=number) == await call(
        rig, "attribution", number=number
    )
    assert len(await rig.events(pool)) == 1


async def test_gone_without_the_pool(rig: Rig) -> None:
    """A deleted pool knows nobody."""
    assert await call(rig, "attribution", number="+16025550100") == ["GONE"]
