"""number_quarantine.lua, number_acquit.lua, number_spam.lua."""

from tests.support.raw import call
from tests.support.rig import Rig, fictional

ONE, TWO = fictional(2)
REASON = '"spam"'


async def _quarantine(rig: Rig, number: str = ONE, *, ends_at: str = "+inf") -> list[str]:
    return await call(rig, "number_quarantine", number=number, ends_at=ends_at, reason=REASON)


async def _spam(rig: Rig, *, enough: int = 3) -> list[str]:
    return await call(rig, "number_spam", number=ONE, length=60_000, enough=enough)


async def _place(rig: Rig, shelf: str, number: str = ONE) -> object:
    return await rig.execute("ZSCORE", rig.shards.pool("pool_a").free + shelf, number)


async def test_quarantined_lies_on_a_shelf_of_its_own(rig: Rig) -> None:
    """Nobody is given the number, and it keeps when it was released; twice is once."""
    await rig.pool([ONE])
    place = await _place(rig, "any")

    assert await _quarantine(rig) == ["QUARANTINED"]
    assert await _quarantine(rig) == ["QUARANTINED"]

    assert place is not None
    assert await _place(rig, "quarantined") == place
    assert await _place(rig, "any") is None


async def test_quarantined_again_replaces_end_and_reason(rig: Rig) -> None:
    """The last word of the operator counts, also when it is a shorter one."""
    await rig.pool([ONE])
    await _quarantine(rig)

    await call(rig, "number_quarantine", number=ONE, ends_at=rig.clock.now_ms + 5, reason='"x"')

    at = rig.shards.pool("pool_a")
    note = await rig.execute("HGET", at.notes, ONE)
    assert note == b'{"reason":"x","since_ms":%d}' % rig.clock.now_ms
    rig.clock.advance(ms=5)
    assert await call(rig, "due_pools") == ["OK", rig.clock(), "pool_a"]


async def test_at_end_while_somebody_holds_it(rig: Rig) -> None:
    """The visitor keeps the number as long as they live; then it rests."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")

    assert await _quarantine(rig) == ["AT_END"]
    assert await rig.lease(pool, "ann") == ONE

    ended = rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    assert await _place(rig, "quarantined") == ended


async def test_draining_numbers_are_not_quarantined(rig: Rig) -> None:
    """A number that leaves with its lease needs no rest."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, ONE, force=False)

    assert await _quarantine(rig) == ["DRAINING"]

    assert await rig.execute("EXISTS", rig.shards.pool("pool_a").notes) == 0


async def test_quarantine_absent(rig: Rig) -> None:
    """A number of another pool is none of this one's business."""
    await rig.pool([ONE])

    assert await _quarantine(rig, TWO) == ["ABSENT"]


async def test_quarantine_gone(rig: Rig) -> None:
    """A deleted pool has nothing to rest."""
    assert await _quarantine(rig) == ["GONE"]


async def test_acquitted_takes_its_old_place(rig: Rig) -> None:
    """Back on its shelf at once, where it was in the queue; asking again finds it free."""
    await rig.pool([ONE])
    place = await _place(rig, "any")
    await _quarantine(rig)

    assert await call(rig, "number_acquit", number=ONE) == ["ACQUITTED"]
    assert await call(rig, "number_acquit", number=ONE) == ["FREE"]

    assert await _place(rig, "any") == place


async def test_acquitted_while_somebody_still_holds_it(rig: Rig) -> None:
    """The lease ends as any other."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await _quarantine(rig)

    assert await call(rig, "number_acquit", number=ONE) == ["ACQUITTED"]

    rig.clock.advance(seconds=300)
    assert await rig.lease(pool, "bob") == ONE


async def test_acquit_free_keeps_a_draining_number_draining(rig: Rig) -> None:
    """Calling off a quarantine that is not does not call off a detach."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, ONE, force=False)

    assert await call(rig, "number_acquit", number=ONE) == ["FREE"]

    assert await call(rig, "number_detach", number=ONE) == ["DRAINING"]


async def test_acquit_absent(rig: Rig) -> None:
    """A number of another pool cannot be acquitted here."""
    await rig.pool([ONE])

    assert await call(rig, "number_acquit", number=TWO) == ["ABSENT"]


async def test_acquit_gone(rig: Rig) -> None:
    """A deleted pool has nothing to acquit."""
    assert await call(rig, "number_acquit", number=ONE) == ["GONE"]


async def test_counted_until_enough_then_quarantined(rig: Rig) -> None:
    """The sign that makes it enough rests the number; later ones only count."""
    await rig.pool([ONE])

    replies = [await _spam(rig) for _ in range(4)]

    assert replies == [["COUNTED", "1"], ["COUNTED", "2"], ["QUARANTINED", "3"], ["COUNTED", "4"]]
    assert await _place(rig, "quarantined") is not None


async def test_counted_for_an_hour(rig: Rig) -> None:
    """The hour runs from the first sign, and the count is gone after it."""
    await rig.pool([ONE])
    await _spam(rig)
    signs = rig.shards.pool("pool_a").limits + f"s:{ONE}"
    first = await rig.execute("PTTL", signs)
    await rig.execute("PEXPIRE", signs, 1_000)

    await _spam(rig)

    second = await rig.execute("PTTL", signs)
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert 3_500_000 < first <= 3_600_000
    assert second <= 1_000


async def test_counted_where_no_number_of_signs_is_enough(rig: Rig) -> None:
    """A pool may leave quarantine to its operator."""
    await rig.pool([ONE])

    assert await _spam(rig, enough=2**53) == ["COUNTED", "1"]


async def test_counted_while_the_number_is_leaving(rig: Rig) -> None:
    """A draining number is not turned into a resting one."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, ONE, force=False)

    assert await _spam(rig, enough=1) == ["COUNTED", "1"]
    assert await call(rig, "number_detach", number=ONE) == ["DRAINING"]


async def test_spam_absent(rig: Rig) -> None:
    """Nothing is counted for numbers of other pools."""
    await rig.pool([TWO])

    assert await _spam(rig) == ["ABSENT"]
    assert await rig.execute("EXISTS", rig.shards.pool("pool_a").limits + f"s:{ONE}") == 0


async def test_spam_gone(rig: Rig) -> None:
    """A deleted pool counts nothing."""
    assert await _spam(rig) == ["GONE"]


async def test_attach_leaves_a_quarantine_as_it_is(rig: Rig) -> None:
    """Facts are updated, the rest goes on; its own shelf is the new one afterwards."""
    await rig.pool([ONE])
    await _quarantine(rig)

    reply = await call(rig, "numbers_attach", rest=[ONE, "near", "{}", "\t\tnew", "7"])

    assert reply == ["OK", "already"]
    assert await _place(rig, "quarantined") is not None
    assert await call(rig, "number_acquit", number=ONE) == ["ACQUITTED"]
    assert await _place(rig, "near") is not None


async def test_detach_takes_a_resting_number_out(rig: Rig) -> None:
    """Nothing of the quarantine stays behind."""
    await rig.pool([ONE, TWO])
    await _quarantine(rig)

    assert await call(rig, "number_detach", number=ONE) == ["DETACHED"]

    at = rig.shards.pool("pool_a")
    assert await rig.execute("EXISTS", at.resting, at.notes, at.free + "quarantined") == 0


async def test_detach_of_a_held_number_replaces_its_quarantine(rig: Rig) -> None:
    """It leaves with its lease instead of resting after it."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await _quarantine(rig)

    assert await call(rig, "number_detach", number=ONE) == ["DRAINING"]

    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    assert await call(rig, "number_acquit", number=ONE) == ["ABSENT"]


async def test_delete_hands_over_resting_numbers_too(rig: Rig) -> None:
    """The directory must hear of every number of a deleted pool."""
    pool = await rig.pool([ONE, TWO])
    await _quarantine(rig)

    numbers, _ = await rig.pools.delete_some(pool, force=False)

    assert sorted(numbers) == [ONE, TWO]
    assert await rig.pools.delete_some(pool, force=False, told=numbers) == ([], False)
    assert await rig.execute("KEYS", "*:pool_a:*") == []
    await rig.execute("DEL", *(f"dni:number:{number}" for number in numbers))


async def test_sweep_ends_what_is_over_and_says_when_there_are_more(rig: Rig) -> None:
    """As with leases: bounded, run again at once, and asleep until the next end."""
    numbers = fictional(5)
    await rig.pool(numbers)
    for number in numbers:
        await _quarantine(rig, number, ends_at=str(rig.clock.now_ms + 1_000))
    rig.clock.advance(seconds=1)

    replies = [await call(rig, "sweep", limit=2) for _ in range(3)]

    assert [reply[0] for reply in replies] == ["MORE", "MORE", "DONE"]
    at = rig.shards.pool("pool_a")
    assert await rig.execute("EXISTS", at.resting, at.notes, at.free + "quarantined") == 0
    assert await rig.execute("ZSCORE", at.shard.due, "pool_a") is None


async def test_past_when_the_end_is_over_already(rig: Rig) -> None:
    """Nothing is written: the number is given to the next visitor."""
    pool = await rig.pool([ONE])

    assert await _quarantine(rig, ends_at=str(rig.clock.now_ms)) == ["PAST"]

    assert await rig.lease(pool, "ann") == ONE
