"""explain.lua: {OK, …}, {UNORDERED}, {GONE}."""

from dataclasses import replace
from typing import NamedTuple

from dni_allocator.domain.call import NewCall
from dni_allocator.domain.matching import Match
from dni_allocator.domain.pool import Pool, PoolSettings
from dni_allocator.store.policies import packed_policy
from tests.support.raw import WINDOW_MS, call
from tests.support.rig import SERVICE, SETTINGS, SHOP, Rig, fictional

ONE, TWO, THREE = fictional(3)
HOME = "192.0.2.0/24"
PRESSED = replace(SETTINGS, pressure_threshold=0.5, pressure_idle_limit_s=60)


class Told(NamedTuple):
    """The reply by the names of the script's header."""

    status: str
    now: str
    circulating: str
    leased: str
    quarantined: str
    over: str
    idle_in_force: str
    kept: str
    own: str
    own_deadline: str
    visitor_wait: str
    network_wait: str
    network_leases: str
    back: str
    order: str
    shelves: tuple[str, ...]


async def _explain(
    rig: Rig, settings: PoolSettings = SETTINGS, *, address: str = "", visitor_id: str = "ann",
    destination: str = SHOP,
) -> Told:  # fmt: skip
    reply = await call(
        rig, "explain", policy=packed_policy(settings, if_none=True), address=address,
        visitor_id=visitor_id, destination=destination,
    )  # fmt: skip
    fixed = dict(zip(Told._fields, reply[:15], strict=False))
    return Told(**fixed, shelves=tuple(reply[15:]))


async def test_ok_of_an_empty_pool(rig: Rig) -> None:
    """Nothing to give, nobody to wait for."""
    await rig.pool(0)

    told = await _explain(rig)

    now = rig.clock()
    assert told == Told(
        "OK", now, "0", "0", "0", "0", "300000", "0", "", "", "0", "0", "0", "", "any", ()
    )


async def test_ok_names_the_head_of_each_shelf_with_something_to_give(rig: Rig) -> None:
    """How many, and the one that was released longest ago: who asks next gets it."""
    pool = await rig.pool([ONE, TWO])
    number = await rig.lease(pool, "bob")
    rest = {ONE, TWO} - {number}

    told = await _explain(rig)

    shelf, available, head, _ = told.shelves
    assert (told.circulating, told.leased, told.own) == ("2", "1", "")
    assert (shelf, available, {head}) == ("any", "1", rest)
    assert await rig.lease(pool, "ann") == head


async def test_ok_counts_leases_that_are_over_as_free(rig: Rig) -> None:
    """Nobody has swept: `assign` would not wait for that either."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "bob")
    over = rig.clock.advance(seconds=300)
    rig.clock.advance(seconds=5)

    told = await _explain(rig)

    assert (told.leased, told.over) == ("1", "1")
    assert told.shelves == ("any", "1", ONE, str(over))


async def test_ok_counts_leases_that_would_give_way_as_free(rig: Rig) -> None:
    """By the same rule: not one's own, not within the hold, not on trial, not near their age."""
    pool = await rig.pool([ONE], settings=PRESSED)
    await rig.lease(pool, "bob")
    rig.clock.advance(seconds=60)

    assert (await _explain(rig, PRESSED)).over == "1"
    assert (await _explain(rig, PRESSED, visitor_id="bob")).over == "0"
    for rules in (
        replace(PRESSED, min_hold_s=61),
        replace(PRESSED, provisional_s=20),
        replace(PRESSED, max_lease_age_s=300),
    ):
        assert (await _explain(rig, rules)).over == "0"


async def test_ok_names_what_the_visitor_holds(rig: Rig) -> None:
    """The number and the end of its lock as it is now; for the destination asked about."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")

    told, other = await _explain(rig), await _explain(rig, destination=SERVICE)

    assert (told.own, told.own_deadline) == (ONE, str(rig.clock.now_ms + 300_000))
    assert (other.own, other.own_deadline) == ("", "")


async def test_ok_names_what_the_visitor_would_get_back(rig: Rig) -> None:
    """From the end of the lease, swept or not, to the end of the window; not from quarantine."""
    pool = await rig.pool([ONE])
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=300)
    unswept = (await _explain(rig)).back
    await rig.leases.sweep(pool.id, window_ms=pool.window_ms)
    swept = (await _explain(rig)).back
    await rig.shelves.quarantine(pool.id, ONE, until_ms=None, reason="x")
    resting = (await _explain(rig)).back
    await rig.shelves.acquit(pool.id, ONE)
    rig.clock.advance(ms=WINDOW_MS)

    assert (unswept, swept, resting, (await _explain(rig)).back) == (ONE, ONE, "", "")


async def test_ok_tells_quarantine_and_reserve(rig: Rig) -> None:
    """What circulates is what does not rest, and the reserve is a share of that."""
    pool = await rig.pool([ONE, TWO, THREE])
    await rig.shelves.quarantine(pool.id, ONE, until_ms=None, reason="x")

    told = await _explain(rig, replace(SETTINGS, reserve_share=0.5))

    assert (told.circulating, told.quarantined, told.kept) == ("2", "1", "1")


async def test_ok_tells_the_waits_of_visitor_and_network(rig: Rig) -> None:
    """And how many live leases the network has."""
    settings = replace(SETTINGS, visitor_rate=1, address_rate=2, address_leases=5)
    pool: Pool = await rig.pool(3, settings=settings)
    for visitor in ("ann", "bob"):
        await rig.assign(pool, visitor, address=HOME)

    ann = await _explain(rig, settings, address=HOME)
    cyd = await _explain(rig, settings, address=HOME, visitor_id="cyd")
    elsewhere = await _explain(rig, settings)

    assert (ann.visitor_wait, ann.network_wait, ann.network_leases) == ("60000", "30000", "2")
    assert (cyd.visitor_wait, cyd.network_wait) == ("0", "30000")
    assert (elsewhere.network_wait, elsewhere.network_leases) == ("0", "0")


async def test_unordered_until_the_order_is_put(rig: Rig) -> None:
    """As `assign`: the caller puts it and asks again."""
    settings = replace(SETTINGS, match=Match.AREA)
    pool = await rig.pool([ONE], settings=settings)
    policy = packed_policy(settings)

    assert await call(rig, "explain", policy=policy) == ["UNORDERED"]
    await rig.shelving.order(pool, [SHOP])

    told = await _explain(rig, settings)
    assert told.order == told.shelves[0]
    assert told.shelves[1:3] == ("1", ONE)


async def test_ok_names_a_held_number_as_the_one_to_get_back(rig: Rig) -> None:
    """It was called and its lease is over: nobody else's, still its visitor's."""
    pool = await rig.edit(await rig.pool([ONE]), hold_after_call_s=600)
    await rig.lease(pool, "ann")
    await rig.calls.start(NewCall(number=ONE))
    rig.clock.advance(seconds=300)
    await rig.sweeper.sweep_once()

    told, others = await _explain(rig), await _explain(rig, visitor_id="bob")

    assert (told.back, told.quarantined, told.shelves) == (ONE, "1", ())
    assert others.back == ""


async def test_gone_without_the_pool(rig: Rig) -> None:
    """Nothing to explain."""
    assert await call(rig, "explain") == ["GONE"]


async def test_looking_changes_nothing(rig: Rig) -> None:
    """Also what is over is only counted."""
    pool = await rig.pool([ONE], settings=PRESSED)
    await rig.lease(pool, "bob")
    rig.clock.advance(seconds=400)

    assert await _explain(rig, PRESSED) == await _explain(rig, PRESSED)
    assert len(await rig.events(pool)) == 1
