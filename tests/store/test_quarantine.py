"""Numbers that rest: given to nobody for a while, and still answerable for."""

from dataclasses import replace

from dni_allocator.domain.attribution import Basis
from dni_allocator.domain.lease import Leased, Reason
from dni_allocator.domain.matching import Match
from dni_allocator.domain.pool import Pool
from dni_allocator.store.shelves import Quarantined
from tests.support.raw import WINDOW_MS
from tests.support.rig import SETTINGS, Rig, fictional

ONE, TWO, THREE = fictional(3)
REST_MS = 10 * WINDOW_MS


async def _rest(rig: Rig, number: str = ONE, *, seconds: int | None = None) -> Quarantined:
    until_ms = None if seconds is None else rig.clock.now_ms + seconds * 1000
    return await rig.shelves.quarantine("pool_a", number, until_ms=until_ms, reason="x")


async def _reason(rig: Rig, pool: Pool, visitor: str) -> Reason:
    (answer,) = await rig.assign(pool, visitor)
    return answer.reason


async def _knows_holder(rig: Rig, number: str) -> bool:
    return await rig.execute("HEXISTS", rig.shards.pool("pool_a").holders, number) == 1


async def test_a_free_number_in_quarantine_is_given_to_nobody(rig: Rig) -> None:
    """Not to a new visitor, and not counted as free."""
    pool = await rig.pool([ONE])

    assert await _rest(rig) is Quarantined.QUARANTINED

    assert await _reason(rig, pool, "ann") is Reason.EXHAUSTED
    occupancy = await rig.pools.occupancy(pool.id)
    assert (occupancy.attached, occupancy.free, occupancy.resting) == (1, 0, 1)


async def test_a_leased_number_keeps_its_visitor_until_the_lease_ends(rig: Rig) -> None:
    """The visitor on the page loses nothing; the next one does not get it."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")

    assert await _rest(rig) is Quarantined.AT_END

    rig.clock.advance(seconds=200)
    assert await rig.lease(pool, "ann") == ONE
    rig.clock.advance(seconds=300)
    assert await _reason(rig, pool, "bob") is Reason.EXHAUSTED


async def test_a_draining_number_leaves_instead_of_resting(rig: Rig) -> None:
    """It would have nobody to rest for."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, ONE, force=False)

    assert await _rest(rig) is Quarantined.DRAINING

    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    assert await rig.pools.present(pool.id, [ONE]) == set()


async def test_a_quarantine_with_a_date_ends_on_it(rig: Rig) -> None:
    """The sweeper is woken for it, to the millisecond, and for nothing before."""
    pool = await rig.pool([ONE])
    await _rest(rig, seconds=3600)

    rig.clock.advance(ms=3_599_999)
    await rig.sweeper.sweep_once()
    early = await _reason(rig, pool, "ann")
    rig.clock.advance(ms=1)
    await rig.sweeper.sweep_once()

    assert early is Reason.EXHAUSTED
    assert await rig.lease(pool, "ann") == ONE
    assert await rig.shelves.notes(pool.id, [ONE]) == {}


async def test_a_quarantine_begins_and_ends_by_the_one_clock(rig: Rig) -> None:
    """Redis' time, not that of the process that was asked; an end that is over is refused."""
    await rig.pool([ONE])

    begun = await _rest(rig, seconds=1)
    over = await _rest(rig, seconds=0)

    assert (begun, over) == (Quarantined.QUARANTINED, Quarantined.PAST)
    note, until_ms = (await rig.shelves.notes("pool_a", [ONE]))[ONE]
    assert note == f'{{"reason":"x","since_ms":{rig.clock.now_ms}}}'
    assert until_ms == rig.clock.now_ms + 1_000


async def test_sweeps_for_other_reasons_do_not_lose_the_date(rig: Rig) -> None:
    """The agenda of a pool has one entry: each sweep works out anew what comes first."""
    pool = await rig.pool([ONE, TWO])
    await _rest(rig, seconds=3600)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    assert await rig.sweeper.sweep_once() == 1

    rig.clock.advance(seconds=3300)
    await rig.sweeper.sweep_once()

    assert await rig.shelves.notes(pool.id, [ONE]) == {}


async def test_a_quarantine_without_a_date_ends_when_it_is_called_off(rig: Rig) -> None:
    """No sweeper ever ends it."""
    pool = await rig.pool([ONE])
    await _rest(rig)
    rig.clock.advance(seconds=86_400 * 365)
    await rig.sweeper.sweep_once()
    assert await _reason(rig, pool, "ann") is Reason.EXHAUSTED

    assert await rig.shelves.acquit(pool.id, ONE) is Quarantined.ACQUITTED

    assert await rig.lease(pool, "ann") == ONE


async def test_a_date_that_passes_during_a_lease_leaves_nothing_behind(rig: Rig) -> None:
    """The number was never out of its visitor's hands, and is free after them."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await _rest(rig, seconds=10)
    rig.clock.advance(seconds=10)
    await rig.sweeper.sweep_once()

    rig.clock.advance(seconds=290)

    assert await rig.lease(pool, "bob") == ONE


async def test_an_acquitted_number_takes_its_old_place_in_the_queue(rig: Rig) -> None:
    """It rested longest of all, in quarantine or not."""
    pool = await rig.pool([ONE, TWO])
    first = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    await rig.lease(pool, "bob")
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    await _rest(rig, first)
    rig.clock.advance(seconds=300)
    await rig.shelves.acquit(pool.id, first)

    assert await rig.lease(pool, "cyd") == first


async def test_calls_to_a_resting_number_are_still_attributed(rig: Rig) -> None:
    """Spam or not, its last visitor may call until their window is over."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=301)
    await rig.sweeper.sweep_once()
    await _rest(rig)

    found = await rig.attribution.attribute(ONE, at_ms=None)

    assert (found.candidates[0].holder.visitor_id, found.basis) == ("ann", Basis.ENDED)


async def test_calls_to_a_held_number_in_quarantine_are_live(rig: Rig) -> None:
    """The lease is as good as any."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await _rest(rig)

    found = await rig.attribution.attribute(ONE, at_ms=None)

    assert (found.candidates[0].holder.visitor_id, found.basis) == ("ann", Basis.LIVE)


async def test_the_earlier_holder_does_not_get_a_resting_number_back(rig: Rig) -> None:
    """They get another one; once it is acquitted, it could be theirs again."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    await _rest(rig)

    (denied,) = await rig.assign(pool, "ann", previous={pool.settings.destinations[0]: ONE})
    await rig.shelves.acquit(pool.id, ONE)
    (returned,) = await rig.assign(pool, "ann")

    assert denied.reason is Reason.EXHAUSTED
    assert isinstance(returned, Leased)
    assert (returned.reason, returned.formats.e164) == (Reason.RETURNED, ONE)


async def test_holders_of_resting_numbers_are_forgotten_at_the_end_of_the_window(rig: Rig) -> None:
    """Quarantine keeps numbers, not people."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    await _rest(rig)

    rig.clock.advance(ms=WINDOW_MS - 1)
    await rig.sweeper.sweep_once()
    assert await _knows_holder(rig, ONE)
    rig.clock.advance(ms=1)
    await rig.sweeper.sweep_once()
    assert not await _knows_holder(rig, ONE)


async def test_a_move_behind_what_was_forgotten_already_hides_no_holder(rig: Rig) -> None:
    """A shelf that was forgotten up to an instant receives a number that ended before it.

    The one sweep that would have seen its holder is moved away in front of it.
    """
    pool = await rig.pool([ONE, TWO])
    first = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=1)
    second = await rig.lease(pool, "bob")
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    await _rest(rig, first)
    # The shelf is forgotten up to bob's end; quarantine, with ann's, is kept from being looked at.
    rig.clock.advance(ms=WINDOW_MS)
    at = rig.shards.pool(pool.id)
    await rig.execute("HSET", at.conf, "purged:quarantined", rig.clock.now_ms - WINDOW_MS)
    await rig.sweeper.sweep_once()
    assert not await _knows_holder(rig, second)
    assert await _knows_holder(rig, first)

    await rig.shelves.acquit(pool.id, first)
    await rig.leases.sweep(pool.id, window_ms=pool.window_ms)

    assert not await _knows_holder(rig, first)


async def test_moves_between_shelves_neither_forget_early_nor_keep_long(rig: Rig) -> None:
    """In and out of quarantine, and to other shelves: the window is the window."""
    pool = await rig.pool([ONE, TWO, THREE])
    for visitor in ("ann", "bob", "cyd"):
        await rig.lease(pool, visitor)
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    for turn in range(4):
        for number in (ONE, TWO):
            await _rest(rig, number)
            rig.clock.advance(seconds=60)
            await rig.sweeper.sweep_once()
            await rig.shelves.acquit(pool.id, number)
        match = Match.AREA if turn % 2 else Match.NONE
        pool = await rig.edit(pool, match=match)
        await rig.shelving.reshelve(pool)
        await rig.sweeper.sweep_once()

    rig.clock.advance(ms=WINDOW_MS - 8 * 60_000 - 1)
    await rig.sweeper.sweep_once()
    assert [await _knows_holder(rig, number) for number in (ONE, TWO, THREE)] == [True] * 3
    rig.clock.advance(ms=1)
    await rig.sweeper.sweep_once()
    assert [await _knows_holder(rig, number) for number in (ONE, TWO, THREE)] == [False] * 3


async def test_signs_of_spam_rest_a_number(rig: Rig) -> None:
    """Enough within the hour, until the date that the settings make it."""
    pool = await rig.pool([ONE])
    until_ms = rig.clock.now_ms + 60_000

    signs = [await rig.shelves.spam_sign(pool.id, ONE, rest_ms=60_000, enough=2) for _ in range(2)]

    assert signs == [(Quarantined.COUNTED, 1), (Quarantined.QUARANTINED, 2)]
    assert await rig.shelves.notes(pool.id, [ONE, TWO]) == {
        ONE: (f'{{"reason":"spam","since_ms":{rig.clock.now_ms}}}', until_ms)
    }
    assert await _reason(rig, pool, "ann") is Reason.EXHAUSTED
    rig.clock.advance(seconds=60)
    await rig.sweeper.sweep_once()
    assert await rig.lease(pool, "ann") == ONE


async def test_signs_of_spam_about_a_held_number_rest_it_afterwards(rig: Rig) -> None:
    """The visitor who has it did nothing wrong."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await rig.shelves.spam_sign(pool.id, ONE, rest_ms=REST_MS, enough=1)

    assert await rig.lease(pool, "ann") == ONE

    rig.clock.advance(seconds=300)
    assert await _reason(rig, pool, "bob") is Reason.EXHAUSTED


async def test_signs_of_spam_before_an_acquittal_do_not_count(rig: Rig) -> None:
    """Who calls a quarantine off has judged them; one more sign is the first again."""
    pool = await rig.pool([ONE])
    for _ in range(2):
        await rig.shelves.spam_sign(pool.id, ONE, rest_ms=REST_MS, enough=2)
    await rig.shelves.acquit(pool.id, ONE)

    sign = await rig.shelves.spam_sign(pool.id, ONE, rest_ms=REST_MS, enough=2)

    assert sign == (Quarantined.COUNTED, 1)


async def test_spam_about_a_held_number_says_that_it_rests_later(rig: Rig) -> None:
    """The same answer as on an operator's word."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")

    sign = await rig.shelves.spam_sign(pool.id, ONE, rest_ms=REST_MS, enough=1)

    assert sign == (Quarantined.AT_END, 1)


async def test_a_resting_number_of_a_matching_pool_returns_to_its_area(rig: Rig) -> None:
    """Quarantine is a shelf of its own; the number's record keeps the one it came from."""
    pool = await rig.pool([ONE], settings=replace(SETTINGS, match=Match.AREA))
    (before,), _ = await rig.pools.inventory(pool.id, cursor="0", limit=10)
    await _rest(rig)
    (during,), _ = await rig.pools.inventory(pool.id, cursor="0", limit=10)
    await rig.shelves.acquit(pool.id, ONE)

    assert (during.shelf, during.state) == (before.shelf, "quarantined")
    assert await rig.lease(pool, "ann") == ONE
