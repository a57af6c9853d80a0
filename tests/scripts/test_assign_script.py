"""assign.lua: {OK, now, rows…}, {STALE}, {UNORDERED, destinations…}, {GONE}."""

import json
from dataclasses import replace

from dni_allocator.domain.lease import Leased, Original, Overflow, Reason
from dni_allocator.domain.matching import Match
from dni_allocator.domain.pool import Pool
from dni_allocator.services.inventory import NumberRow
from dni_allocator.store.directory import Entry, Role
from dni_allocator.store.policies import packed_policy
from tests.support.raw import call, row
from tests.support.rig import SERVICE, SETTINGS, SHARED, SHOP, Rig, fictional

ONE, TWO, THREE = fictional(3)
MATCHING = packed_policy(replace(SETTINGS, match=Match.TYPE))


async def _on_shelves(rig: Rig, **shelves: list[str]) -> Pool:
    """A pool with these numbers on these shelves."""
    pool = await rig.pool(0)
    for shelf, numbers in shelves.items():
        for at, number in enumerate(numbers):
            await rig.directory.claim(number, Entry(role=Role.INVENTORY, pool_id=pool.id))
            await call(rig, "numbers_attach", rest=[number, shelf, "{}", "\t\t", str(at)])
    await rig.execute("HSET", rig.shards.pool(pool.id).places, "empty", "{}")
    return pool


async def _put(rig: Rig, order: str) -> None:
    shelving = (await call(rig, "shelves_read"))[2]
    assert await call(rig, "order_put", shelving=shelving, rest=[SHOP, order]) == ["OK"]


async def _everything(rig: Rig) -> dict[bytes, object]:
    """The keyspace of the pool, as it is serialised."""
    names = await rig.execute("KEYS", "*")
    assert isinstance(names, list)
    return {name: await rig.execute("DUMP", name) for name in sorted(names)}


async def test_ok_new_names_number_fence_deadline_and_formats(rig: Rig) -> None:
    """A free number is leased until the idle limit; its display forms come along.

    The international one is empty where it follows from the national one.
    """
    await rig.pool([ONE])

    reply = await call(rig, "assign", rest=row())

    now = rig.clock.now_ms
    assert reply == [
        "OK", str(now), "leased", "new", ONE, "1", str(now + 300_000),
        "(602) 555-0100", "",
    ]  # fmt: skip


async def test_ok_renewed_keeps_the_lease_and_moves_its_end(rig: Rig) -> None:
    """The second run of the same call gives the same lease: nothing new is written but time."""
    await rig.pool([ONE, TWO])
    first = await call(rig, "assign", rest=row())
    rig.clock.advance(seconds=10)

    second = await call(rig, "assign", rest=row())

    assert second[3] == "renewed"
    assert second[4:6] == first[4:6]
    assert int(second[6]) == int(first[6]) + 10_000


async def test_a_number_given_away_while_leased_is_counted(rig: Rig) -> None:
    """No script does that; where data were changed by hand, somebody must hear of it."""
    pool = await rig.pool([ONE])
    at = rig.shards.pool(pool.id)
    await rig.lease(pool, "bob")
    assert await rig.execute("HGET", at.stats, "conflicts") is None
    shelves = await rig.execute("HKEYS", at.shelves)
    assert isinstance(shelves, list)
    await rig.execute("ZADD", at.free + shelves[0].decode(), 1, ONE)

    reply = await call(rig, "assign", rest=row())

    assert reply[2:5] == ["leased", "new", ONE]
    assert await rig.execute("HGET", at.stats, "conflicts") == b"1"


async def test_ok_returned_after_the_lease_ended(rig: Rig) -> None:
    """Who comes back before anybody took the number gets it back, as a new lease."""
    pool = await rig.pool([ONE, TWO, THREE])
    number = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=301)

    reply = await call(rig, "assign", rest=row())

    assert reply[3:6] == ["returned", number, "2"]


async def test_ok_none_when_all_numbers_are_taken(rig: Rig) -> None:
    """Exhaustion is an answer: nothing is leased, and it is counted."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "bob")

    reply = await call(rig, "assign", rest=row())

    assert reply[2:] == ["none", "exhausted", "", "", "", "", ""]
    assert (await rig.pools.occupancy(pool.id)).totals == {"new": 1, "turned_away": 1}


async def test_ok_overflow_remembers_the_last_eight_once_each(rig: Rig) -> None:
    """The shared number is shown to anybody; the latest visitors are kept as candidates."""
    pool = await rig.pool(0)

    for visitor in (f"v{n}" for n in range(9)):
        await call(rig, "assign", rest=row(), overflow=SHARED, visitor_id=visitor)
    reply = await call(rig, "assign", rest=row(), overflow=SHARED, visitor_id="v8")

    assert reply[2:5] == ["overflow", "exhausted", SHARED]
    record = await rig.leases.number_record(pool.id, SHARED)
    assert record is not None
    assert [holder.visitor_id for holder in record.holders] == [f"v{n}" for n in range(8, 0, -1)]


async def test_ok_without_rows_writes_nothing(rig: Rig) -> None:
    """A page without destinations only learns that the pool is as the caller thinks."""
    pool = await rig.pool([ONE])

    reply = await call(rig, "assign")

    assert reply == ["OK", rig.clock()]
    assert await rig.events(pool) == []


async def test_stale_when_the_pool_was_edited(rig: Rig) -> None:
    """No decision is made by settings that were replaced; nothing is written."""
    pool = await rig.pool([ONE])
    await rig.edit(pool, idle_limit_s=60)

    assert await call(rig, "assign", rest=row(), rev=1) == ["STALE"]
    assert await rig.events(pool) == []


async def test_gone_without_the_pool(rig: Rig) -> None:
    """A pool that was deleted gives nothing."""
    assert await call(rig, "assign", rest=row()) == ["GONE"]


async def test_all_destinations_of_a_page_in_one_step(rig: Rig) -> None:
    """Each destination has a number of its own, answered in order; the last finds none."""
    pool = await rig.pool([ONE, TWO])

    shop, service, third = await rig.assign(
        pool, "ann", destinations=(SHOP, SERVICE, "+16024961501")
    )

    assert isinstance(shop, Leased)
    assert isinstance(service, Leased)
    assert shop.formats != service.formats
    assert third == Original("+16024961501", Reason.EXHAUSTED)


async def test_a_page_view_renews_also_what_the_page_does_not_show(rig: Rig) -> None:
    """A sign of life is the visitor's: the number of the page before stays locked as well."""
    pool = await rig.pool([ONE, TWO])
    await rig.assign(pool, "ann", destinations=(SHOP,), data='{"url":"shop"}')
    rig.clock.advance(seconds=299)
    await rig.assign(pool, "ann", destinations=(SERVICE,), data='{"url":"service"}')
    rig.clock.advance(seconds=299)

    (answer,) = await rig.assign(pool, "ann", destinations=(SHOP,))

    assert answer.reason is Reason.RENEWED
    holders = await rig.execute("HVALS", rig.shards.pool(pool.id).holders)
    assert isinstance(holders, list)
    assert sorted(json.loads(packed.rsplit(b"\t", 1)[1])["url"] for packed in holders) == [
        "service", "shop",
    ]  # fmt: skip


async def test_a_page_that_gets_nothing_still_counts_as_open(rig: Rig) -> None:
    """The visitor holds a number: a second page keeps it although the pool has none for it."""
    pool = await rig.pool([ONE])
    await rig.assign(pool, "ann", page_id="1", destinations=(SHOP,))
    await rig.assign(pool, "ann", page_id="2", destinations=(SERVICE,))

    closing = await rig.leases.close(pool, visitor_id="ann", page_id="1")

    assert closing == "others_open"


async def test_least_recently_released_first(rig: Rig) -> None:
    """The number that rested longest goes out first, whatever its digits are."""
    pool = await rig.pool(3)
    got = {visitor: await rig.lease(pool, visitor) for visitor in ("ann", "bob", "cyd")}
    for visitor in ("cyd", "ann", "bob"):
        rig.clock.advance(seconds=1)
        await rig.leases.close(pool, visitor_id=visitor, page_id="page")
    rig.clock.advance(seconds=40)

    order = [await rig.lease(pool, visitor) for visitor in ("dan", "eva", "fox")]

    assert order == [got["cyd"], got["ann"], got["bob"]]


async def test_random_gives_each_number_in_turn(rig: Rig) -> None:
    """The other selection draws from all free numbers: over many draws none is left out."""
    numbers = fictional(4)
    await rig.pool(numbers)
    drawn = set()

    for turn in range(60):
        reply = await call(
            rig, "assign", rest=row(), selection="random", visitor_id=f"v{turn}", idle=1
        )
        drawn.add(reply[4])
        rig.clock.advance(seconds=1)

    assert drawn == set(numbers)


async def test_a_forged_previous_number_is_not_given(rig: Rig) -> None:
    """Only who had a number gets it back; naming somebody else's does not help."""
    pool = await rig.pool([ONE, TWO, THREE])
    number = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=301)

    reply = await call(rig, "assign", rest=row(previous=number), visitor_id="eve")

    assert reply[3] == "new"
    assert reply[4] != number


async def _another_server(rig: Rig) -> None:
    """The shard was on another server process than now when it was last asked."""
    server = rig.shards.pool("pool_a").shard.server
    await call(rig, "due_pools")
    await rig.execute("HSET", server, "id", "0" * 40)
    await call(rig, "due_pools")


async def test_after_another_server_a_page_is_believed(rig: Rig) -> None:
    """A failover may have forgotten whose a number was: who names a free one is given it."""
    await rig.pool([ONE, TWO, THREE])
    await _another_server(rig)

    reply = await call(rig, "assign", rest=row(previous=THREE), visitor_id="eve")

    assert reply[3:5] == ["returned", THREE]


async def test_a_page_is_not_believed_about_what_somebody_holds(rig: Rig) -> None:
    """Exclusive it stays: another number, and the holder keeps theirs."""
    pool = await rig.pool([ONE, TWO, THREE])
    held = await rig.lease(pool, "ann")
    await _another_server(rig)

    reply = await call(rig, "assign", rest=row(previous=held), visitor_id="eve")

    assert reply[3] == "new"
    assert reply[4] != held
    assert await rig.lease(pool, "ann", page_id="p2") == held


async def test_a_page_is_believed_no_longer_than_a_lease_lives(rig: Rig) -> None:
    """What was forgotten would have ended by then."""
    await rig.pool([ONE, TWO, THREE])
    await _another_server(rig)
    rig.clock.advance(seconds=300)

    reply = await call(rig, "assign", rest=row(previous=THREE), visitor_id="eve")

    assert reply[3] == "new"


async def test_a_page_is_not_believed_about_numbers_it_could_not_get(rig: Rig) -> None:
    """Neither one of a shelf that does not fit its destination, nor one of another pool."""
    await _on_shelves(rig, near=[ONE], far=[TWO], other=[THREE])
    await _put(rig, "near|far")
    await _another_server(rig)

    for who, previous, given in (("eve", THREE, ONE), ("mallory", "+16025550177", TWO)):
        reply = await call(
            rig, "assign", rest=row(previous=previous), policy=MATCHING, visitor_id=who
        )
        assert reply[3:5] == ["new", given]


async def test_a_page_is_believed_about_a_number_of_a_fitting_shelf(rig: Rig) -> None:
    """Whichever shelf of its order it lies on."""
    await _on_shelves(rig, near=[ONE], far=[TWO], other=[THREE])
    await _put(rig, "near,far|other")
    await _another_server(rig)

    reply = await call(rig, "assign", rest=row(previous=THREE), policy=MATCHING, visitor_id="eve")

    assert reply[3:5] == ["returned", THREE]


async def test_a_true_previous_number_is_given_when_the_record_is_gone(rig: Rig) -> None:
    """The visitor's own record may be lost; the number still knows whose it was."""
    pool = await rig.pool([ONE, TWO, THREE])
    number = await rig.lease(pool, "ann")
    rig.clock.advance(seconds=301)
    await rig.sweeper.sweep_once()
    await rig.execute("DEL", rig.shards.pool(pool.id).visitors + "ann")

    reply = await call(rig, "assign", rest=row(previous=number))

    assert reply[3:5] == ["returned", number]


async def test_a_number_is_not_returned_after_the_window(rig: Rig) -> None:
    """When the window ends nobody is remembered: not a returning visitor either."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()
    rig.clock.advance(seconds=pool.settings.attribution_window_s)

    assert (await call(rig, "assign", rest=row()))[3] == "new"


async def test_the_first_shelf_that_has_a_number_wins(rig: Rig) -> None:
    """Shelves are tried in the order that was put for the destination."""
    await _on_shelves(rig, near=[ONE], far=[TWO, THREE])
    await _put(rig, "empty,near,far")

    given = [
        (await call(rig, "assign", rest=row(), policy=MATCHING, visitor_id=visitor))[4]
        for visitor in ("ann", "bob", "cyd")
    ]

    assert given == [ONE, TWO, THREE]


async def test_unordered_names_the_destinations_and_writes_nothing(rig: Rig) -> None:
    """A pool that matches gives nothing until somebody has put the order of its shelves."""
    await _on_shelves(rig, near=[ONE])
    await _put(rig, "near")
    with_order = await rig.execute("HGET", rig.shards.pool("pool_a").orders, SHOP)
    await rig.execute("DEL", rig.shards.pool("pool_a").orders)
    before = await _everything(rig)

    rows = [*row(SHOP), *row(SERVICE)]
    reply = await call(rig, "assign", rest=rows, policy=MATCHING)

    assert with_order == b"near"
    assert reply == ["UNORDERED", SHOP, SERVICE]
    assert await _everything(rig) == before
    await _put(rig, "near")
    assert await call(rig, "assign", rest=rows, policy=MATCHING) == ["UNORDERED", SERVICE]
    assert await rig.events(await rig.pools.read("pool_a")) == []


async def test_ok_unmatched_where_no_shelf_fits(rig: Rig) -> None:
    """An empty order is an order: the destination's kind of number is not in the pool."""
    pool = await _on_shelves(rig, near=[ONE])
    await _put(rig, "")

    reply = await call(rig, "assign", rest=row(), policy=MATCHING)

    assert reply[2:] == ["none", "unmatched", "", "", "", "", ""]
    totals = (await rig.pools.occupancy(pool.id)).totals
    assert totals == {"unmatched": 1, "turned_away": 1}


async def test_a_claim_that_outlived_its_number_is_worth_nothing(rig: Rig) -> None:
    """The number left, came back and is another's: owner and fence decide, not the old record."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    await rig.inventory.detach(pool.id, ONE, force=True)
    await rig.inventory.attach(pool.id, [NumberRow(ONE)], all_or_nothing=True)
    await rig.lease(pool, "bob")

    reply = await call(rig, "assign", rest=row())

    assert reply[2:4] == ["none", "exhausted"]
    assert await call(rig, "heartbeat") == ["NONE"]
    assert await rig.lease(pool, "bob") == ONE


async def test_a_claim_that_outlived_its_window_is_worth_nothing(rig: Rig) -> None:
    """Forgotten by the number, remembered by the visitor's record: the number is the truth."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300 + pool.settings.attribution_window_s)
    await rig.sweeper.sweep_once()
    await rig.lease(pool, "bob")

    assert (await call(rig, "assign", rest=row()))[2] == "none"
    assert await call(rig, "heartbeat") == ["NONE"]


async def test_the_fence_tells_two_leases_of_one_visitor_apart(rig: Rig) -> None:
    """The visitor has the number again, for another destination: the old claim is not revived."""
    pool = await rig.pool([ONE])
    await rig.assign(pool, "ann", destinations=(SHOP,))
    await rig.inventory.detach(pool.id, ONE, force=True)
    await rig.inventory.attach(pool.id, [NumberRow(ONE)], all_or_nothing=True)
    await rig.assign(pool, "ann", destinations=(SERVICE,))

    reply = await call(rig, "assign", rest=row(SHOP))

    assert reply[2:4] == ["none", "exhausted"]


async def test_data_are_replaced_by_news_and_kept_without(rig: Rig) -> None:
    """What the page tells last is what is known; a page that tells nothing changes nothing."""
    pool = await rig.pool([ONE])
    for data in ('{"a":1}', '{"a":2}', ""):
        await rig.assign(pool, "ann", data=data)

    record = await rig.leases.number_record(pool.id, ONE)

    assert record is not None
    assert record.holders[0].data == '{"a":2}'


async def test_a_returning_visitor_who_tells_nothing_keeps_what_is_known(rig: Rig) -> None:
    """The new lease of the old number starts with what the old one knew."""
    pool = await rig.pool([ONE])
    await rig.assign(pool, "ann", data='{"a":1}')
    rig.clock.advance(seconds=301)

    await rig.assign(pool, "ann")

    record = await rig.leases.number_record(pool.id, ONE)
    assert record is not None
    assert record.holders[0].data == '{"a":1}'


async def test_expired_leases_of_others_are_taken_without_a_sweeper(rig: Rig) -> None:
    """A page never waits for housekeeping: what is over is freed on the way."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)

    reply = await call(rig, "assign", rest=row(), visitor_id="bob")

    assert reply[2:5] == ["leased", "new", ONE]
    events = [(event["t"], event["v"], event["r"]) for event in await rig.events(pool)]
    assert events == [
        ("number.assigned", "ann", "new"),
        ("lease.ended", "ann", "idle"),
        ("number.assigned", "bob", "new"),
    ]


async def test_a_visitors_record_stays_small(rig: Rig) -> None:
    """A script that opens pages without end cannot make the record grow without end."""
    pool = await rig.pool([ONE])

    for page in range(300):
        await rig.assign(pool, "ann", page_id=f"page-{page}")

    size = await rig.execute("HLEN", rig.shards.pool(pool.id).visitors + "ann")
    assert isinstance(size, int)
    assert size <= 64
    assert await rig.leases.close(pool, visitor_id="ann", page_id="page-299") == "others_open"


async def test_the_history_keeps_eight_earlier_holders(rig: Rig) -> None:
    """Late calls are answered from the last eight holders besides the present one."""
    pool = await rig.pool([ONE])
    for turn in range(11):
        await rig.lease(pool, f"v{turn}")
        rig.clock.advance(seconds=300)

    record = await rig.leases.number_record(pool.id, ONE)

    assert record is not None
    assert [holder.visitor_id for holder in record.holders] == [f"v{n}" for n in range(10, 1, -1)]


async def test_the_history_forgets_who_is_past_the_window(rig: Rig) -> None:
    """A number that changes hands slowly must not carry visitors along for weeks."""
    pool = await rig.pool([ONE])
    for turn in range(4):
        await rig.lease(pool, f"v{turn}")
        rig.clock.advance(seconds=pool.settings.attribution_window_s * 2 // 3)

    past = await rig.execute("LRANGE", rig.shards.pool(pool.id).past + ONE, 0, -1)

    assert isinstance(past, list)
    assert [entry.split(b"\t")[1] for entry in past] == [b"v2"]


async def test_overflow_is_the_same_number_for_a_visitor(rig: Rig) -> None:
    """A visitor who comes again sees the shared number they saw before."""
    others = (SHARED, "+18005550101", "+18005550102")
    pool = await rig.edit(await rig.pool(0), overflow_numbers=others)

    answers = [await rig.assign(pool, visitor) for visitor in ("ann", "ann", "bob", "cyd")]

    shown = [each.formats.e164 for (each,) in answers if isinstance(each, Overflow)]
    assert len(shown) == 4
    assert shown[0] == shown[1]
    assert set(shown) <= set(others)
