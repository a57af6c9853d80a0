"""The scripts that erase a visitor: each reply, each part, each twice."""

import orjson

from dni_allocator.store.keys import ShardKeys
from tests.support.raw import WINDOW_MS, call, row
from tests.support.rig import Rig, fictional

SHARD = ShardKeys(0)
WHE = "whe_one"


async def _erase(rig: Rig, *, cursor: str = "0", count: int = 500) -> list[str]:
    return await call(
        rig, "visitor_erase", visitor_id="ann", cursor=cursor, count=count,
        limit=rig.shards.pool("pool_a").limits + "v:ann",
    )  # fmt: skip


async def test_visitor_erase_done_and_again(rig: Rig) -> None:
    """Lease and holder go in the first run; a second one finds nothing."""
    pool = await rig.pool(2)
    await rig.lease(pool, "ann")
    await rig.lease(pool, "bob")

    assert await _erase(rig) == ["DONE", "0", "1", "1"]
    assert await _erase(rig) == ["DONE", "0", "0", "0"]

    (ended,) = [event for event in await rig.events(pool) if event["t"] == "lease.ended"]
    assert (ended["v"], ended["r"], ended["x"]) == ("ann", "erased", "")


async def test_visitor_erase_more(rig: Rig) -> None:
    """A large pool is looked through in parts; a holder without a claim is found there."""
    pool = await rig.pool(800)
    at = rig.shards.pool(pool.id)
    for visitor in range(700):
        await rig.lease(pool, f"v{visitor}")
    await rig.lease(pool, "ann")
    await rig.execute("HDEL", at.visitors + "ann", "l")

    cursor, erased, runs = "0", 0, 0
    while runs == 0 or cursor != "0":
        status, cursor, _, holders = await _erase(rig, cursor=cursor, count=50)
        assert status == ("DONE" if cursor == "0" else "MORE")
        erased, runs = erased + int(holders), runs + 1

    assert erased == 1
    assert runs > 5


async def test_visitor_erase_gone(rig: Rig) -> None:
    """Of a pool that was deleted only the visitor's own record can be left."""
    at = rig.shards.pool("pool_a")
    await rig.execute("HSET", at.visitors + "ann", "l", "")
    await rig.execute("SET", at.limits + "v:ann", "1", "PX", 1000)

    assert await _erase(rig) == ["GONE"]

    assert await rig.execute("EXISTS", at.visitors + "ann", at.limits + "v:ann") == 0


async def test_history_erase(rig: Rig) -> None:
    """Her entries leave, those of others stay in their order."""
    pool = await rig.pool(1)
    number = fictional(1)[0]
    for visitor in ("ann", "bob", "ann", "cyd"):
        assert await rig.lease(pool, visitor) == number
        rig.clock.advance(ms=301_000)
        await rig.sweeper.sweep_once()
        rig.clock.advance(ms=1_000)
    history = rig.shards.pool(pool.id).past + number

    assert await call(rig, "history_erase", rest=[number]) == ["OK", "2"]
    assert await call(rig, "history_erase", rest=[number]) == ["OK", "0"]

    left = await rig.execute("LRANGE", history, 0, -1)
    assert isinstance(left, list)
    assert [entry.split(b"\t")[1] for entry in left] == [b"bob"]
    assert 0 < int(str(await rig.execute("PTTL", history))) <= WINDOW_MS


async def test_caller_erase(rig: Rig) -> None:
    """Only the memories that name her; a caller of whom nothing is left is forgotten."""
    prefix = rig.shards.pool("pool_a").callers
    theirs = ["1\t1.0\tann\t+1\t1\t1\t", "1\t0\t", "1\t1.0\tbob\t+1\t1\t2\t"]
    await rig.execute("HSET", prefix + "one", "+1", theirs[0], "+2", theirs[1], "+3", theirs[2])
    await rig.execute("HSET", prefix + "two", "+1", theirs[0])

    rows = ["one", "two", "none"]
    assert await call(rig, "caller_erase", callers=prefix, rest=rows) == ["OK", "2"]
    assert await call(rig, "caller_erase", callers=prefix, rest=rows) == ["OK", "0"]

    assert await rig.execute("HLEN", prefix + "one") == 2
    assert await rig.execute("EXISTS", prefix + "two") == 0
    await rig.execute("DEL", prefix + "one")


async def _add(rig: Rig, **fields: str) -> str:
    pairs = [text for pair in fields.items() for text in pair]
    reply = await rig.execute("XADD", SHARD.events, "*", *pairs)
    assert isinstance(reply, bytes)
    return reply.decode()


async def _outbox(rig: Rig, *, start: str = "-", count: int = 500) -> list[str]:
    return await call(
        rig, "outbox_erase", events=SHARD.events, cursors=SHARD.cursors, start=start, count=count
    )


async def test_outbox_erase_leaves_what_somebody_has_yet_to_take(rig: Rig) -> None:
    """Taken by all active endpoints: it goes. A disabled endpoint is not waited for."""
    first = await _add(rig, t="number.assigned", v="ann")
    await _add(rig, t="number.assigned", v="bob")
    await _add(rig, t="number.assigned", v="ann")
    await _add(rig, t="visitor.erased", v="ann")
    await rig.execute("HSET", SHARD.cursors, WHE, first, "whe_off", "~0-0")

    assert await _outbox(rig) == ["DONE", "", "1", "1"]
    assert await _outbox(rig) == ["DONE", "", "0", "1"]
    assert await rig.execute("XLEN", SHARD.events) == 3


async def test_outbox_erase_more(rig: Rig) -> None:
    """In parts, each going on behind the last entry of the one before."""
    for _ in range(5):
        await _add(rig, t="number.assigned", v="ann")

    status, start, erased, left = await _outbox(rig, count=3)

    assert (status, erased, left) == ("MORE", "3", "0")
    assert await _outbox(rig, start=start, count=3) == ["DONE", "", "2", "0"]


async def test_parked_erase(rig: Rig) -> None:
    """Dead letters go; a copy that waits for a retry is an event not to be lost."""
    copy = orjson.dumps({"attempts": 1, "note": "", "fields": {"t": "lease.ended", "v": "ann"}})
    other = orjson.dumps({"attempts": 1, "note": "", "fields": {"t": "lease.ended", "v": "bob"}})
    parked, dead = SHARD.parked(WHE), SHARD.dead_letters(WHE)
    for entry, value in (("1-0", copy), ("2-0", copy), ("3-0", other), ("4-0", b"no json")):
        await rig.execute("HSET", parked, entry, value)
    await rig.execute("ZADD", dead, 1, "1-0", 1, "3-0", 1, "4-0")
    await rig.execute("ZADD", SHARD.retries(WHE), 1, "2-0")

    reply = await call(rig, "parked_erase", parked=parked, dead_letters=dead, cursor="0", count=9)

    assert reply == ["DONE", "0", "1", "1"]
    assert await rig.execute("HEXISTS", parked, "1-0") == 0
    assert await rig.execute("ZCARD", dead) == 2


async def test_erasure_end_tells_once(rig: Rig) -> None:
    """The note and the event change hands in one step."""
    given = {"erasing": SHARD.erasing, "events": SHARD.events}
    begun = await call(rig, "erasure_begin", erasing=SHARD.erasing, keep=1000)
    rig.clock.advance(ms=5)
    assert await call(rig, "erasure_begin", erasing=SHARD.erasing, keep=1000) == begun

    assert await call(rig, "erasure_end", **given) == ["TOLD"]
    assert await call(rig, "erasure_end", **given) == ["DONE"]

    assert await rig.execute("XLEN", SHARD.events) == 1


async def test_rows_are_never_mistaken_for_a_visitor(rig: Rig) -> None:
    """An erased visitor who comes back is new, and gets a number as anybody."""
    await rig.pool(1)
    await call(rig, "assign", rest=row())
    await _erase(rig)

    reply = await call(rig, "assign", rest=row())

    assert reply[2:4] == ["leased", "new"]
