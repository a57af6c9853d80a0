"""Pools that match: shelves, their order, and what happens when either changes."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dni_allocator.domain.errors import EditConflict
from dni_allocator.domain.lease import Leased, Original, Overflow, PageRequest, Reason
from dni_allocator.domain.matching import Match, MatchFallback
from dni_allocator.domain.pool import Pool, Selection
from dni_allocator.services.inventory import NumberRow
from dni_allocator.store.leases import Unordered
from dni_allocator.store.pools import InventoryRow
from tests.support.rig import SERVICE, SETTINGS, SHARED, SHOP, Rig, fictional

# The shop is in Phoenix (602). Its own area, New York, and no area at all.
PHOENIX, NEW_YORK = fictional(3), fictional(3, start=100)
TOLL_FREE = "+18005550199"
BY_AREA = replace(SETTINGS, match=Match.AREA)
BY_TYPE = replace(SETTINGS, match=Match.TYPE)


async def _shelves(rig: Rig, pool: Pool) -> dict[str, str]:
    """Number -> the shelf its record names."""
    found, _ = await rig.pools.inventory(pool.id, cursor="0", limit=1000)
    return {each.number: each.shelf for each in found}


async def _keyspace(rig: Rig) -> dict[bytes, object]:
    names = await rig.execute("KEYS", "*")
    assert isinstance(names, list)
    return {name: await rig.execute("DUMP", name) for name in sorted(names)}


async def _release_in_order(rig: Rig, pool: Pool, numbers: list[str]) -> Pool:
    """The same pool, its numbers released in this order, a second between two."""
    holder: dict[str, str] = {}
    for _ in numbers:
        visitor = f"former-{len(holder)}"
        holder[await rig.lease(pool, visitor)] = visitor
    for number in numbers:
        rig.clock.advance(seconds=1)
        await rig.leases.close(pool, visitor_id=holder[number], page_id="page")
    rig.clock.advance(seconds=60)
    await rig.sweeper.sweep_once()
    return pool


async def test_a_visitor_gets_a_number_of_the_destinations_area(rig: Rig) -> None:
    """However long numbers of elsewhere have been free."""
    pool = await rig.pool([*PHOENIX, *NEW_YORK], settings=BY_AREA)

    given = {await rig.lease(pool, f"v{n}") for n in range(len(PHOENIX))}

    assert given == set(PHOENIX)


async def test_an_area_that_is_used_up_gives_nothing_of_another(rig: Rig) -> None:
    """Exhausted, not unmatched: the pool has such numbers, they are taken."""
    pool = await rig.pool([PHOENIX[0], NEW_YORK[0]], settings=BY_AREA)
    await rig.lease(pool, "ann")

    (answer,) = await rig.assign(pool, "bob")

    assert answer == Original(SHOP, Reason.EXHAUSTED)


async def test_a_kind_of_number_the_pool_never_had_is_unmatched(rig: Rig) -> None:
    """The operator is told to buy some, not more of the same."""
    pool = await rig.pool([*NEW_YORK, TOLL_FREE], settings=BY_AREA)

    (answer,) = await rig.assign(pool, "ann")

    assert answer == Original(SHOP, Reason.UNMATCHED)
    totals = (await rig.pools.occupancy(pool.id)).totals
    assert totals == {"unmatched": 1, "turned_away": 1}


async def test_who_finds_no_match_sees_what_the_pool_falls_back_to(rig: Rig) -> None:
    """The shared number, the original, or any number there is."""
    settings = replace(BY_AREA, overflow_numbers=(SHARED,))
    pool = await rig.pool(NEW_YORK, settings=settings)

    (shared,) = await rig.assign(pool, "ann")
    pool = await rig.edit(pool, match_fallback=MatchFallback.ORIGINAL)
    (original,) = await rig.assign(pool, "ann")
    pool = await rig.edit(pool, match_fallback=MatchFallback.ANY)
    (other,) = await rig.assign(pool, "ann")

    assert isinstance(shared, Overflow)
    assert (shared.formats.e164, shared.reason) == (SHARED, Reason.UNMATCHED)
    assert original == Original(SHOP, Reason.UNMATCHED)
    assert isinstance(other, Leased)
    assert other.formats.e164 in NEW_YORK


async def test_among_shelves_of_equal_rank_the_longest_free_number_wins(rig: Rig) -> None:
    """As if they were one shelf."""
    pool = await rig.pool([*PHOENIX, *NEW_YORK], settings=BY_TYPE)
    order = [NEW_YORK[1], PHOENIX[0], PHOENIX[2], NEW_YORK[0], PHOENIX[1], NEW_YORK[2]]
    await _release_in_order(rig, pool, order)

    given = [await rig.lease(pool, f"v{n}") for n in range(len(order))]

    assert len(set((await _shelves(rig, pool)).values())) == 2
    assert given == order


async def test_random_draws_from_all_shelves_of_equal_rank(rig: Rig) -> None:
    """A shelf is drawn by how many numbers it has; none of them is left out."""
    settings = replace(BY_TYPE, selection=Selection.RANDOM, idle_limit_s=5)
    pool = await rig.pool([*PHOENIX, NEW_YORK[0]], settings=settings)
    drawn: Counter[str] = Counter()

    for turn in range(120):
        drawn[await rig.lease(pool, f"v{turn}")] += 1
        rig.clock.advance(seconds=5)
        await rig.sweeper.sweep_once()

    assert drawn.keys() == {*PHOENIX, NEW_YORK[0]}


async def test_random_never_draws_from_a_worse_rank(rig: Rig) -> None:
    """Chance decides among equals only."""
    settings = replace(BY_AREA, selection=Selection.RANDOM, match_fallback=MatchFallback.ANY)
    pool = await rig.pool([*PHOENIX, *NEW_YORK], settings=settings)

    first = {await rig.lease(pool, f"v{n}") for n in range(3)}
    second = {await rig.lease(pool, f"w{n}") for n in range(3)}

    assert (first, second) == (set(PHOENIX), set(NEW_YORK))


async def test_an_expired_lease_of_the_right_area_beats_a_free_number_of_another(rig: Rig) -> None:
    """What is over is free, whether somebody has swept or not."""
    pool = await rig.pool(
        [PHOENIX[0], *NEW_YORK], settings=replace(BY_AREA, match_fallback=MatchFallback.ANY)
    )
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)

    assert await rig.lease(pool, "bob") == PHOENIX[0]


async def test_without_an_order_nothing_is_written(rig: Rig) -> None:
    """Neither lease nor page nor counter, also where one of two destinations has its order."""
    pool = await rig.pool(PHOENIX, settings=BY_AREA)
    await rig.shelving.order(pool, [SHOP])
    before = await _keyspace(rig)

    page = PageRequest("ann", "page", (SHOP, SERVICE), {}, data='{"a":1}')
    answer = await rig.leases.assign(pool, page)

    assert answer == Unordered((SERVICE,))
    assert await _keyspace(rig) == before


async def test_numbers_of_a_new_area_are_found_by_the_next_page(rig: Rig) -> None:
    """The order that did not know them is dropped as they arrive."""
    pool = await rig.pool(NEW_YORK, settings=BY_AREA)
    (before,) = await rig.assign(pool, "ann")
    await rig.inventory.attach(pool.id, [NumberRow(PHOENIX[0])], all_or_nothing=True)

    assert before.reason is Reason.UNMATCHED
    assert await rig.lease(pool, "ann") == PHOENIX[0]


async def test_orders_are_made_anew_after_an_edit(rig: Rig) -> None:
    """An order made for another way of matching is never used."""
    pool = await rig.pool([TOLL_FREE, NEW_YORK[0]], settings=BY_AREA)
    (before,) = await rig.assign(pool, "ann")
    pool = await rig.edit(pool, match=Match.TYPE)

    assert before.reason is Reason.UNMATCHED
    assert await rig.lease(pool, "ann") == NEW_YORK[0]


async def test_an_order_for_an_older_revision_is_not_put(rig: Rig) -> None:
    """Who is late notices nothing, and spoils nothing."""
    pool = await rig.pool(PHOENIX, settings=BY_AREA)
    await rig.edit(pool, match=Match.TYPE)

    await rig.shelving.order(pool, [SHOP])

    assert await rig.execute("EXISTS", rig.shards.pool(pool.id).orders) == 0


async def test_many_pages_that_miss_the_order_all_get_a_number(rig: Rig) -> None:
    """Each may put the order; it is the same one."""
    pool = await rig.pool(PHOENIX, settings=BY_AREA)

    given = await asyncio.gather(*(rig.lease(pool, f"v{n}") for n in range(3)))

    assert sorted(given) == PHOENIX


async def test_a_pool_that_begins_to_match_puts_its_numbers_on_shelves(rig: Rig) -> None:
    """Free, held and resting ones; each keeps its visitor, its rest, its place in the queue."""
    pool = await rig.pool([*PHOENIX, *NEW_YORK])
    held = await rig.lease(pool, "ann")
    resting = next(number for number in PHOENIX if number != held)
    await rig.shelves.quarantine(pool.id, resting, until_ms=None, reason="x")
    pool = await rig.edit(pool, match=Match.AREA)

    await rig.shelving.reshelve(pool)
    await rig.shelving.reshelve(pool)

    shelves = await _shelves(rig, pool)
    assert len({shelves[number] for number in PHOENIX}) == 1
    assert len({shelves[number] for number in NEW_YORK}) == 1
    assert len(set(shelves.values())) == 2
    assert Counter(shelves.values()) == await rig.shelves.counts(pool.id)
    assert await rig.lease(pool, "ann") == held
    rest = {number for number in PHOENIX if number not in {held, resting}}
    assert {await rig.lease(pool, f"v{n}") for n in range(len(rest))} == rest
    (none_left,) = await rig.assign(pool, "last")
    assert none_left.reason is Reason.EXHAUSTED


async def test_a_pool_that_ceases_to_match_is_one_shelf_again(rig: Rig) -> None:
    """Any number for anybody, the longest free one first."""
    pool = await rig.pool([*PHOENIX, *NEW_YORK], settings=BY_TYPE)
    order = [NEW_YORK[2], PHOENIX[1], NEW_YORK[0], PHOENIX[0], NEW_YORK[1], PHOENIX[2]]
    await _release_in_order(rig, pool, order)
    pool = await rig.edit(pool, match=Match.NONE)

    await rig.shelving.reshelve(pool)

    assert set((await _shelves(rig, pool)).values()) == {"any"}
    assert [await rig.lease(pool, f"v{n}") for n in range(len(order))] == order


async def test_a_returning_visitor_gets_their_number_whatever_its_shelf_is_now(rig: Rig) -> None:
    """A number on a page that is still open in some other tab fits better than any area."""
    pool = await rig.pool([*PHOENIX, *NEW_YORK])
    number = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    pool = await rig.edit(pool, match=Match.AREA)
    await rig.shelving.reshelve(pool)

    (answer,) = await rig.assign(pool, "ann")

    assert isinstance(answer, Leased)
    assert (answer.reason, answer.formats.e164) == (Reason.RETURNED, number)


async def test_facts_that_move_a_number_move_it_to_another_shelf(rig: Rig) -> None:
    """Attached again with what the vendor knows: it belongs elsewhere, and keeps its release."""
    pool = await rig.pool([NEW_YORK[0]], settings=BY_AREA)
    (before,) = set((await _shelves(rig, pool)).values())
    row = NumberRow(NEW_YORK[0], {"rate_centre": "YONKERS"})

    await rig.inventory.attach(pool.id, [row], all_or_nothing=True)

    (after,) = set((await _shelves(rig, pool)).values())
    assert after != before
    assert await rig.shelves.counts(pool.id) == {after: 1}


async def test_an_area_whose_last_number_left_is_unmatched_again(rig: Rig) -> None:
    """Not exhausted: what a pool does not have it is not out of. Detached, drained, or moved."""
    pool = await rig.pool([*PHOENIX, NEW_YORK[0]], settings=BY_AREA)
    await rig.lease(pool, "ann")
    for number in PHOENIX:
        await rig.inventory.detach(pool.id, number, force=False)
    (drying,) = await rig.assign(pool, "bob")
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()

    (dry,) = await rig.assign(pool, "bob")

    assert (drying.reason, dry.reason) == (Reason.EXHAUSTED, Reason.UNMATCHED)
    assert (await rig.shelves.read(pool.id)).places.keys() == (
        await rig.shelves.counts(pool.id)
    ).keys()
    elsewhere = NumberRow(NEW_YORK[0], facts={"rate_centre": "PHOENIX", "region": "AZ"})
    await rig.inventory.attach(pool.id, [elsewhere], all_or_nothing=True)
    assert len((await rig.shelves.read(pool.id)).places) == 1
    assert await rig.lease(pool, "bob") == NEW_YORK[0]


async def test_a_page_that_sees_the_last_number_of_a_shelf_go_gets_the_next_best(rig: Rig) -> None:
    """Its lease ends in the very step that looks for another, and takes the orders along."""
    settings = replace(BY_AREA, match_fallback=MatchFallback.ANY)
    pool = await rig.pool([PHOENIX[0], NEW_YORK[0]], settings=settings)
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, PHOENIX[0], force=False)
    rig.clock.advance(seconds=300)

    assert await rig.lease(pool, "bob") == NEW_YORK[0]


async def test_numbers_attached_during_an_edit_lie_where_they_are_looked_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shelves chosen by the settings of before are refused; the attach chooses again."""
    pool = await rig.pool(0)
    attach = rig.pools.attach
    edited: list[Pool] = []

    async def attach_after_an_edit(seen: Pool, inventory: Sequence[InventoryRow]) -> list[str]:
        if not edited:
            edited.append(await rig.edit(seen, match=Match.AREA))
        return await attach(seen, inventory)

    monkeypatch.setattr(rig.pools, "attach", attach_after_an_edit)

    result = await rig.inventory.attach(pool.id, [NumberRow(PHOENIX[0])], all_or_nothing=True)

    assert result.attached == (PHOENIX[0],)
    assert (await _shelves(rig, pool))[PHOENIX[0]] != "any"
    assert await rig.lease(edited[0], "ann") == PHOENIX[0]


async def test_an_attach_during_edits_without_end_says_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not go on for ever, and attaches nothing."""
    pool = await rig.pool(0)
    attach = rig.pools.attach

    async def attach_after_an_edit(seen: Pool, inventory: Sequence[InventoryRow]) -> list[str]:
        await rig.edit(seen, min_hold_s=seen.revision)
        return await attach(seen, inventory)

    monkeypatch.setattr(rig.pools, "attach", attach_after_an_edit)

    with pytest.raises(EditConflict):
        await rig.inventory.attach(pool.id, [NumberRow(PHOENIX[0])], all_or_nothing=True)

    assert await _shelves(rig, pool) == {}


@pytest.mark.parametrize("moved_before", [0, 2], ids=["before any", "in the middle"])
async def test_a_move_to_other_shelves_that_was_cut_off_is_finished(
    rig: Rig, moved_before: int
) -> None:
    """The process died between the edit and the last number: the next sweep does the rest."""
    pool = await rig.pool([*PHOENIX, *NEW_YORK])
    edited = await rig.pools.edit(replace(pool, settings=BY_AREA), unshelves=True)
    rows = [(number, "602", '{"type":"local"}') for number in PHOENIX[:moved_before]]
    assert await rig.shelves.reshelve(edited, rows, done=False)

    await rig.sweeper.sweep_once()

    shelves = await _shelves(rig, pool)
    assert len({shelves[number] for number in PHOENIX}) == 1
    assert len(set(shelves.values())) == 2
    assert "any" not in shelves.values()
    assert not (await rig.pools.read(pool.id)).unshelved
    assert await rig.lease(edited, "ann") in PHOENIX
    await rig.sweeper.sweep_once()
    assert await rig.leases.due_pools(rig.shards.pool(pool.id).shard) == []
