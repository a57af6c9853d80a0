"""sweep.lua and drained_forget.lua and due_pools.lua: housekeeping."""

from dni_allocator.services.inventory import NumberRow
from dni_allocator.store.directory import Entry, Role
from tests.support.raw import WINDOW_MS, call
from tests.support.rig import Rig, fictional


async def test_done_ends_what_is_over_once(rig: Rig) -> None:
    """Each lease ends at its deadline, with one event; a second sweep finds nothing."""
    pool = await rig.pool(3)
    ends = rig.clock.now_ms + 300_000
    for visitor in ("ann", "bob"):
        await rig.lease(pool, visitor)
    rig.clock.advance(seconds=1000)

    assert await call(rig, "sweep") == ["DONE", "2", "0"]
    assert await call(rig, "sweep") == ["DONE", "0", "0"]

    ended = [event for event in await rig.events(pool) if event["t"] == "lease.ended"]
    assert [event["w"] for event in ended] == [str(ends)] * 2


async def test_more_when_the_limit_was_reached(rig: Rig) -> None:
    """A sweep is bounded, so that no page waits behind it; it asks to be run again."""
    pool = await rig.pool(5)
    for at in range(5):
        await rig.lease(pool, f"v{at}")
    rig.clock.advance(seconds=300)

    assert await call(rig, "sweep", limit=2) == ["MORE", "2", "0"]
    assert await call(rig, "sweep", limit=2) == ["MORE", "2", "0"]
    assert await call(rig, "sweep", limit=2) == ["DONE", "1", "0"]


async def test_done_forgets_holders_at_the_end_of_the_window(rig: Rig) -> None:
    """Nobody is remembered a millisecond longer than the attribution window says."""
    pool = await rig.pool(2)
    number = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    await call(rig, "sweep")

    rig.clock.advance(ms=WINDOW_MS - 1)
    assert await call(rig, "sweep") == ["DONE", "0", "0"]
    rig.clock.advance(ms=1)
    assert await call(rig, "sweep") == ["DONE", "0", "1"]
    assert await call(rig, "sweep") == ["DONE", "0", "0"]

    assert await rig.execute("HEXISTS", rig.shards.pool(pool.id).holders, number) == 0


async def test_a_clock_that_went_back_keeps_no_holder_for_ever(rig: Rig) -> None:
    """Ends before the mark of what was forgotten come again; they are forgotten in their time."""
    pool = await rig.pool(2)
    await rig.lease(pool, "ann")
    rig.clock.advance(ms=300_000 + WINDOW_MS)
    await call(rig, "sweep")
    await call(rig, "sweep")
    rig.clock.advance(ms=-300_000 - WINDOW_MS)
    number = await rig.lease(pool, "bob")
    assert (await call(rig, "close", visitor_id="bob", delay=0))[0] == "CLOSED"

    rig.clock.advance(ms=WINDOW_MS)
    await call(rig, "sweep")

    assert await rig.execute("HEXISTS", rig.shards.pool(pool.id).holders, number) == 0


async def test_forgetting_is_bounded_and_misses_nobody(rig: Rig) -> None:
    """Many leases that ended in one instant are forgotten together, over several runs."""
    pool = await rig.pool(7)
    for at in range(7):
        await rig.lease(pool, f"v{at}")
    rig.clock.advance(ms=300_000 + WINDOW_MS)
    status = "MORE"
    while status == "MORE":
        status = (await call(rig, "sweep", limit=3))[0]

    assert await rig.execute("HLEN", rig.shards.pool(pool.id).holders) == 0


async def test_drained_numbers_are_named_until_the_directory_knows(rig: Rig) -> None:
    """A detached number leaves with its lease; a sweeper that dies in between loses nothing."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, number, force=False)
    rig.clock.advance(seconds=300)

    assert await call(rig, "sweep") == ["DONE", "1", "0", number]
    assert await call(rig, "sweep") == ["DONE", "0", "0", number]
    assert await call(rig, "drained_forget", rest=[number]) == ["OK"]
    assert await call(rig, "drained_forget", rest=[number]) == ["OK"]
    assert await call(rig, "sweep") == ["DONE", "0", "0"]
    await rig.directory.release(number, Entry(role=Role.INVENTORY, pool_id=pool.id))


async def test_gone_clears_the_agenda(rig: Rig) -> None:
    """A pool that is no more is not looked at again."""
    await rig.execute("ZADD", rig.shards.pool("pool_a").shard.due, 1, "pool_a")

    assert await call(rig, "sweep") == ["GONE"]
    assert await call(rig, "due_pools") == ["OK", rig.clock()]


async def test_due_pools_are_those_with_something_to_do_now(rig: Rig) -> None:
    """Idle pools cost nothing: a pool is named from its first deadline on, and not before."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")

    rig.clock.advance(ms=299_999)
    assert await call(rig, "due_pools") == ["OK", rig.clock()]
    rig.clock.advance(ms=1)
    assert await call(rig, "due_pools") == ["OK", rig.clock(), "pool_a"]
    await call(rig, "sweep")
    assert await call(rig, "due_pools") == ["OK", rig.clock()]
    rig.clock.advance(ms=WINDOW_MS)
    assert await call(rig, "due_pools") == ["OK", rig.clock(), "pool_a"]
    await call(rig, "sweep")
    rig.clock.advance(ms=100 * WINDOW_MS)
    assert await call(rig, "due_pools") == ["OK", rig.clock()]


async def test_due_pools_are_bounded(rig: Rig) -> None:
    """At most as many pools as asked for."""
    due = rig.shards.pool("pool_a").shard.due
    for name in "bcd":
        await rig.execute("ZADD", due, 1, f"pool_{name}")

    assert len(await call(rig, "due_pools", limit=2)) == 4


async def test_the_sweeper_tells_the_directory(rig: Rig) -> None:
    """When the draining number has left, another pool may have it."""
    number = fictional(1)[0]
    first = await rig.pool([number])
    await rig.lease(first, "ann")
    await rig.inventory.detach(first.id, number, force=False)
    rig.clock.advance(seconds=300)

    await rig.sweeper.sweep_once()

    second = await rig.pool([number], pool_id="pool_b")
    assert await rig.lease(second, "bob") == number


async def test_a_number_attached_again_before_the_sweeper_came_stays(rig: Rig) -> None:
    """The sweeper must not tell the directory that a number left which is back by then."""
    number = fictional(1)[0]
    pool = await rig.pool([number])
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, number, force=True)
    await rig.pool([], pool_id="pool_b")
    await rig.inventory.attach(pool.id, [_row(number)], all_or_nothing=False)

    await rig.sweeper.sweep_once()

    result = await rig.inventory.attach("pool_b", [_row(number)], all_or_nothing=False)
    assert [row.code for row in result.rejected] == ["number-taken"]


def _row(number: str) -> NumberRow:
    return NumberRow(number)


async def test_due_pools_notes_that_another_server_is_asked(rig: Rig) -> None:
    """The first one is no news; another one is, from then on."""
    pool = await rig.pool(1)
    server = rig.shards.pool(pool.id).shard.server
    await call(rig, "due_pools")
    first = await rig.execute("HGET", server, "id")
    assert await rig.execute("HGET", server, "since") == b"0"

    await rig.execute("HSET", server, "id", "0" * 40)
    await call(rig, "due_pools")
    noted = rig.clock()
    rig.clock.advance(seconds=1)
    await call(rig, "due_pools")

    assert await rig.execute("HGET", server, "id") == first
    assert await rig.execute("HGET", server, "since") == noted.encode()
