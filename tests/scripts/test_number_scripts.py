"""numbers_attach.lua and number_detach.lua."""

from dni_allocator.services.inventory import NumberRow
from dni_allocator.store.directory import Entry, Role
from tests.support.raw import call
from tests.support.rig import Rig, fictional

ONE, TWO = fictional(2)


async def _attach(rig: Rig, *numbers: str, facts: str = "n\ti\t{}") -> list[str]:
    for number in numbers:
        await rig.directory.claim(number, Entry(role=Role.INVENTORY, pool_id="pool_a"))
    rows = [part for number in numbers for part in (number, "any", "", facts, "7")]
    return await call(rig, "numbers_attach", rest=rows)


async def test_attach_ok_then_already(rig: Rig) -> None:
    """Each row says what became of it; the same rows again only bring news of their facts."""
    await rig.pool(0)

    assert await _attach(rig, ONE) == ["OK", "attached"]
    assert await _attach(rig, ONE, TWO, facts="n\ti\tnew") == ["OK", "already", "attached"]

    at = rig.shards.pool("pool_a")
    stored, _ = await rig.pools.inventory("pool_a", cursor="0", limit=10)
    assert {each.number: each.facts for each in stored} == {ONE: "new", TWO: "new"}
    assert await rig.execute("HGET", at.shelves, "any") == b"2"


async def test_attach_stale_when_the_pool_was_edited(rig: Rig) -> None:
    """The shelves were chosen by settings of before: nothing is written."""
    pool = await rig.pool([])
    await rig.edit(pool, min_hold_s=1)

    assert await _attach(rig, ONE) == ["STALE"]

    assert await rig.pools.present(pool.id, [ONE]) == set()


async def test_attach_calls_a_draining_off(rig: Rig) -> None:
    """Attached again before its lease ended, the number stays when it does."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await call(rig, "number_detach", number=ONE)

    assert await _attach(rig, ONE) == ["OK", "already"]

    rig.clock.advance(seconds=300)
    assert await rig.lease(pool, "bob") == ONE


async def test_attach_gone(rig: Rig) -> None:
    """Numbers cannot be put into a pool that is no more."""
    assert await call(rig, "numbers_attach", rest=[ONE, "any", "", "\t\t", "7"]) == ["GONE"]


async def test_detach_a_free_number_then_absent(rig: Rig) -> None:
    """A free number leaves at once; detaching it again finds it absent."""
    await rig.pool([ONE, TWO])

    assert await call(rig, "number_detach", number=ONE) == ["DETACHED"]
    assert await call(rig, "number_detach", number=ONE) == ["ABSENT"]


async def test_detach_drains_a_leased_number(rig: Rig) -> None:
    """The visitor keeps the number; nobody gets it after them. Asking twice changes nothing."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")

    assert await call(rig, "number_detach", number=ONE) == ["DRAINING"]
    assert await call(rig, "number_detach", number=ONE) == ["DRAINING"]
    assert await rig.lease(pool, "ann") == ONE

    rig.clock.advance(seconds=300)
    (answer,) = await rig.assign(pool, "bob")
    assert answer.reason == "exhausted"


async def test_detach_by_force_ends_the_lease(rig: Rig) -> None:
    """The operator wants it now: the lease ends with an event that says so."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")

    assert await call(rig, "number_detach", number=ONE, force=1) == ["DETACHED"]

    assert (await rig.events(pool))[-1]["r"] == "detached"
    assert await call(rig, "heartbeat") == ["NONE"]


async def test_detach_of_a_lease_that_is_over(rig: Rig) -> None:
    """A lease nobody noticed the end of ends at its deadline, and the number leaves at once."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    ends = rig.clock.advance(seconds=300)
    rig.clock.advance(seconds=50)

    assert await call(rig, "number_detach", number=ONE) == ["DETACHED"]

    event = (await rig.events(pool))[-1]
    assert (event["r"], event["w"]) == ("idle", str(ends))


async def test_detach_gone(rig: Rig) -> None:
    """A deleted pool has nothing to detach."""
    assert await call(rig, "number_detach", number=ONE) == ["GONE"]


async def test_holders_answer_after_detach_and_attach(rig: Rig) -> None:
    """The history of a number survives its leaving and coming back."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, ONE, force=True)
    await rig.inventory.attach(pool.id, [NumberRow(ONE)], all_or_nothing=True)

    record = await rig.leases.number_record(pool.id, ONE)

    assert record is not None
    assert [holder.visitor_id for holder in record.holders] == ["ann"]
