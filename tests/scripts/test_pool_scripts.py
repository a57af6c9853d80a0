"""pool_create.lua, pool_edit.lua, pool_delete.lua."""

from dni_allocator.store.directory import Entry, Role
from tests.support.raw import call
from tests.support.rig import Rig, fictional


async def test_created_once(rig: Rig) -> None:
    """The same pool made again is left as it is."""
    assert await call(rig, "pool_create", doc="{}") == ["CREATED"]
    assert await call(rig, "pool_create", doc="other") == ["EXISTS"]

    assert await rig.execute("HGET", rig.shards.pool("pool_a").conf, "doc") == b"{}"
    assert await rig.pools.ids(rig.shards.pool("pool_a").shard) == ["pool_a"]


async def test_edit_ok_and_its_repetition(rig: Rig) -> None:
    """Each edit makes a new revision; the same edit sent again is no conflict and no new one."""
    await call(rig, "pool_create", doc="one")

    assert await call(rig, "pool_edit", rev=1, doc="two") == ["OK", "2"]
    assert await call(rig, "pool_edit", rev=1, doc="two") == ["OK", "2"]


async def test_edit_conflict(rig: Rig) -> None:
    """Who was slower learns it, and overwrites nothing."""
    await call(rig, "pool_create", doc="one")
    await call(rig, "pool_edit", rev=1, doc="two")

    assert await call(rig, "pool_edit", rev=1, doc="three") == ["CONFLICT", "2"]
    assert await rig.execute("HGET", rig.shards.pool("pool_a").conf, "doc") == b"two"


async def test_edit_gone(rig: Rig) -> None:
    """An edit makes no pool."""
    assert await call(rig, "pool_edit", rev=1, doc="two") == ["GONE"]


async def _forget(rig: Rig, numbers: list[str]) -> None:
    for number in numbers:
        await rig.directory.release(number, Entry(role=Role.INVENTORY, pool_id="pool_a"))


async def test_delete_in_use_unless_forced(rig: Rig) -> None:
    """Visitors hold numbers: their pool is not pulled from under them by mistake."""
    pool = await rig.pool(2)
    number = await rig.lease(pool, "ann")

    assert await call(rig, "pool_delete") == ["IN_USE", "1"]
    assert await rig.lease(pool, "ann") == number
    status, *numbers = await call(rig, "pool_delete", force=1)

    assert status == "MORE"
    assert sorted(numbers) == fictional(2)
    assert await call(rig, "pool_delete", rest=numbers) == ["DONE"]
    assert (await rig.events(pool))[-1]["r"] == "pool_deleted"
    await _forget(rig, numbers)


async def test_delete_more_then_done_then_gone(rig: Rig) -> None:
    """A big pool goes in parts; from the first part on it is unknown to everybody else."""
    await rig.pool(5)
    dropped: list[str] = []

    status, *numbers = await call(rig, "pool_delete", limit=2)
    assert status == "MORE"
    assert await call(rig, "assign") == ["GONE"]
    while status == "MORE":
        dropped += numbers
        status, *numbers = await call(rig, "pool_delete", limit=2, rest=numbers)

    assert (sorted(dropped), numbers) == (fictional(5), [])
    assert await call(rig, "pool_delete") == ["GONE"]
    left = await rig.execute("KEYS", "*:pool_a:*")
    assert left == []
    await _forget(rig, dropped)


async def test_numbers_of_a_lost_reply_are_handed_over_again(rig: Rig) -> None:
    """Until the caller says that the directory has heard of them."""
    await rig.pool(5)
    lost = await call(rig, "pool_delete", limit=2)

    status, *numbers = await call(rig, "pool_delete", limit=9)

    assert status == "MORE"
    assert sorted(numbers) == fictional(5)
    assert set(lost[1:]) < set(numbers)
    assert await call(rig, "pool_delete", rest=numbers) == ["DONE"]
    await _forget(rig, numbers)


async def test_delete_hands_over_draining_numbers_too(rig: Rig) -> None:
    """A number on its way out is among those the directory must hear of."""
    pool = await rig.pool(2)
    number = await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, number, force=False)

    status, *numbers = await call(rig, "pool_delete", force=1)

    assert status == "MORE"
    assert sorted(numbers) == fictional(2)
    assert await call(rig, "pool_delete", rest=numbers) == ["DONE"]
    await _forget(rig, numbers)


async def test_expired_leases_are_no_use(rig: Rig) -> None:
    """A lease that is over but was not noticed yet does not stop a deletion."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)

    status, *numbers = await call(rig, "pool_delete")

    assert status == "MORE"
    assert await call(rig, "pool_delete", rest=numbers) == ["DONE"]
    await _forget(rig, numbers)
