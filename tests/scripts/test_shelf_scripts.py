"""shelves_read.lua, order_put.lua, numbers_reshelve.lua; and what drops the orders."""

from dni_allocator.store.directory import Entry, Role
from dni_allocator.store.scripts import Value
from tests.support.raw import call
from tests.support.rig import SERVICE, SHOP, Rig, fictional

ONE, TWO = fictional(2)


async def _attach(rig: Rig, number: str, shelf: str, place: str = "{}") -> list[str]:
    await rig.directory.claim(number, Entry(role=Role.INVENTORY, pool_id="pool_a"))
    return await call(rig, "numbers_attach", rest=[number, shelf, place, "\t\t", "7"])


async def _put(rig: Rig, order: str = "near", **given: int) -> list[str]:
    _, rev, shelving, *_ = await call(rig, "shelves_read")
    values: dict[str, Value] = {"rev": rev, "shelving": shelving, **given}
    return await call(rig, "order_put", pool_id="pool_a", rest=[SHOP, order], **values)


async def _order(rig: Rig, destination: str = SHOP) -> object:
    return await rig.execute("HGET", rig.shards.pool("pool_a").orders, destination)


async def test_shelves_ok_names_revision_changes_and_places(rig: Rig) -> None:
    """What an order is made from, and by what it is known later whether that still holds."""
    await rig.pool(0)
    assert await call(rig, "shelves_read") == ["OK", "1", "0"]

    await _attach(rig, ONE, "near", '{"a":1}')
    await _attach(rig, TWO, "far", '{"a":2}')

    status, rev, shelving, *places = await call(rig, "shelves_read")
    assert (status, rev, shelving) == ("OK", "1", "2")
    assert dict(zip(places[::2], places[1::2], strict=True)) == {
        "near": '{"a":1}', "far": '{"a":2}',
    }  # fmt: skip


async def test_shelves_gone(rig: Rig) -> None:
    """A deleted pool has no shelves."""
    assert await call(rig, "shelves_read") == ["GONE"]


async def test_put_ok_and_its_repetition(rig: Rig) -> None:
    """The order is remembered per destination; a later one replaces it."""
    await rig.pool(0)
    await _attach(rig, ONE, "near")
    await _attach(rig, TWO, "far")

    assert await _put(rig, "near") == ["OK"]
    assert await _put(rig, "near|far") == ["OK"]

    assert await _order(rig) == b"near|far"
    assert await _order(rig, SERVICE) is None


async def test_put_stale_after_an_edit(rig: Rig) -> None:
    """An order made by settings that were replaced is not remembered."""
    pool = await rig.pool(0)
    await _attach(rig, ONE, "near")
    await rig.edit(pool, idle_limit_s=60)

    assert await _put(rig, rev=1) == ["STALE"]
    assert await _order(rig) is None


async def test_put_stale_after_a_new_shelf(rig: Rig) -> None:
    """An order that leaves out a shelf would hide its numbers until the next edit."""
    await rig.pool(0)
    await _attach(rig, ONE, "near")
    await _attach(rig, TWO, "far")

    assert await _put(rig, shelving=1) == ["STALE"]
    assert await _order(rig) is None


async def test_put_gone(rig: Rig) -> None:
    """A deleted pool remembers nothing."""
    assert await call(rig, "order_put", shelving=0, rest=[SHOP, ""]) == ["GONE"]


async def test_an_edit_drops_the_orders(rig: Rig) -> None:
    """They were made from the settings."""
    pool = await rig.pool(0)
    await _attach(rig, ONE, "near")
    await _put(rig)

    await rig.edit(pool, idle_limit_s=60)

    assert await _order(rig) is None


async def test_a_new_shelf_drops_the_orders_and_a_known_one_does_not(rig: Rig) -> None:
    """Importing numbers onto shelves that are known costs nobody a look."""
    await rig.pool(0)
    await _attach(rig, ONE, "near")
    await _put(rig)

    await _attach(rig, TWO, "near")
    assert await _order(rig) == b"near"

    await _attach(rig, TWO, "far")
    assert await _order(rig) is None


async def test_the_one_shelf_of_a_pool_that_does_not_match_has_no_place(rig: Rig) -> None:
    """No place, no order: such a pool never asks for one."""
    await rig.pool([ONE])

    assert await call(rig, "shelves_read") == ["OK", "1", "0"]


async def test_reshelve_ok_counts_what_it_moved(rig: Rig) -> None:
    """Numbers change shelves, each with its release; again there is nothing left to do."""
    await rig.pool([ONE, TWO])
    at = rig.shards.pool("pool_a")
    released = await rig.execute("ZSCORE", at.free + "any", ONE)
    rows = [ONE, "near", "{}", TWO, "far", "{}"]

    assert await call(rig, "numbers_reshelve", rest=rows) == ["OK", "2"]
    assert await call(rig, "numbers_reshelve", rest=rows) == ["OK", "0"]

    assert await rig.execute("ZSCORE", at.free + "near", ONE) == released
    assert await rig.execute("HMGET", at.shelves, "any", "near", "far") == [None, b"1", b"1"]


async def test_reshelve_passes_over_what_left_meanwhile(rig: Rig) -> None:
    """A number that was detached does not come back."""
    await rig.pool([ONE])

    assert await call(rig, "numbers_reshelve", rest=[TWO, "near", "{}"]) == ["OK", "0"]
    assert await call(rig, "shelves_read") == ["OK", "1", "0"]


async def test_reshelve_moves_held_and_resting_numbers_when_they_come_back(rig: Rig) -> None:
    """The visitor notices nothing; the number goes to its new shelf when it is free again."""
    pool = await rig.pool([ONE, TWO])
    held = await rig.lease(pool, "ann")
    (resting,) = {ONE, TWO} - {held}
    await call(rig, "number_quarantine", number=resting, ends_at="+inf", reason='"x"')

    rows = [held, "near", "{}", resting, "near", "{}"]
    assert await call(rig, "numbers_reshelve", rest=rows) == ["OK", "2"]
    assert await rig.lease(pool, "ann") == held

    await call(rig, "number_acquit", number=resting)
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    found = await rig.execute("ZRANGE", rig.shards.pool(pool.id).free + "near", 0, -1)
    assert found == [resting.encode(), held.encode()]


async def test_reshelve_keeps_a_draining_number_draining(rig: Rig) -> None:
    """It leaves from its new shelf."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, ONE, force=False)

    assert await call(rig, "numbers_reshelve", rest=[ONE, "near", "{}"]) == ["OK", "1"]

    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    assert await rig.pools.present(pool.id, [ONE]) == set()


async def test_reshelve_stale_and_gone(rig: Rig) -> None:
    """Nothing is moved by settings that were replaced, or in a pool that is no more."""
    rows = [ONE, "near", "{}"]
    assert await call(rig, "numbers_reshelve", rest=rows) == ["GONE"]
    pool = await rig.pool([ONE])
    await rig.edit(pool, idle_limit_s=60)

    assert await call(rig, "numbers_reshelve", rest=rows) == ["STALE"]

    assert await call(rig, "shelves_read") == ["OK", "2", "0"]
