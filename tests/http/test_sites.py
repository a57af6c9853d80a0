"""Several pools behind one publishable key: tried in order, edited and deleted for everybody."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dni_allocator.services.access import Scope
from tests.http.test_bad_input import assert_problem
from tests.support.clock import ManualClock
from tests.support.rig import fictional
from tests.support.service import ORIGIN, SHOP, Service, Shown, Site, serving

ONE, TWO, THREE = fictional(3)
SHARED = "+18005550100"
SERVICE = "+16024961500"
PAID = {"field": "utm_medium", "operator": "equals", "values": ["cpc"]}


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[tuple[Service, Service]]:
    """Two processes under one clock."""
    clock = ManualClock()
    async with serving(redis_url, clock=clock) as first, serving(redis_url, clock=clock) as second:
        yield first, second


async def _site(*pools: Site) -> Site:
    """A site of these pools; its `pool_id` is the id of the site."""
    service = pools[0].service
    made = await service.admin(
        "POST", "/sites", {"name": "Shop", "pools": [pool.pool_id for pool in pools]}
    )
    assert made.status_code == 201, made.text
    return Site(service, pool_id=made.json()["id"], key=made.json()["key"])


def _at(site: Site, service: Service) -> Site:
    return replace(site, service=service)


async def _edit(site: Site, *pools: Site) -> None:
    body = {"pools": [pool.pool_id for pool in pools]}
    edited = await site.service.admin("PATCH", f"/sites/{site.pool_id}", body)
    assert edited.status_code == 200, edited.text


async def _patch(pool: Site, **settings: object) -> None:
    edited = await pool.service.admin("PATCH", f"/pools/{pool.pool_id}", settings)
    assert edited.status_code == 200, edited.text


# --- which pool -----------------------------------------------------------------------------------


async def test_pools_are_tried_in_order(service: Service) -> None:
    """The second is for when the first has nothing left; a pool's own key opens that pool only."""
    first, second = await service.pool(ONE), await service.pool(TWO)
    site = await _site(first, second)

    shown = [await site.number(visitor) for visitor in ("ann", "bob", "cyd")]

    assert shown == [ONE, TWO, SHOP]
    assert await second.number("cyd") == SHOP


async def test_the_first_pool_whose_conditions_hold(service: Service) -> None:
    """Paid visitors from the pool for them, all others from the next."""
    paid, rest = await service.pool(ONE, serves=[PAID]), await service.pool(TWO)
    site = await _site(paid, rest)

    assert await site.number("ann") == TWO
    assert await site.number("bob", fields={"utm_medium": "cpc"}) == ONE


async def test_each_destination_from_the_pool_that_knows_it(service: Service) -> None:
    """A page that shows two companies' numbers; what no pool knows stays as it is."""
    first = await service.pool(ONE, destinations=[SHOP])
    second = await service.pool(TWO, destinations=[SERVICE])
    site = await _site(first, second)

    shown = await site.view("ann", destinations=[SERVICE, "+16024961599", SHOP])

    assert [each.number for each in shown] == [TWO, "+16024961599", ONE]
    assert shown[1].reason == "no_match"
    lease_pools = [(each.lease_id or "").split("_")[1] for each in (shown[2], shown[0])]
    assert lease_pools == [pool.pool_id.removeprefix("pool_") for pool in (first, second)]


async def test_each_number_in_the_format_of_its_own_pool(service: Service) -> None:
    """A pool says how its numbers are written, and counts them, behind a site's key too."""
    first = await service.pool(ONE, destinations=[SHOP], format="international")
    second = await service.pool(TWO, destinations=[SERVICE], format="e164")
    site = await _site(first, second)

    answer = await site.ask("ann", destinations=[SERVICE, SHOP])

    shown = [(each["number"], each["display"]) for each in answer.json()["numbers"]]
    assert shown == [(TWO, TWO), (ONE, f"+1 {ONE[2:5]}-{ONE[5:8]}-{ONE[8:]}")]
    metrics = (await service.admin("GET", "/metrics")).text
    for pool in (first, second):
        assert f'outcome="leased",pool="{pool.pool_id}",reason="new"}} 1.0' in metrics


async def test_a_shared_number_of_any_pool_beats_the_original(service: Service) -> None:
    """A call that is counted for the site is better than one that is not."""
    site = await _site(await service.pool(), await service.pool(overflow_numbers=[SHARED]))

    (shown,) = await site.view("ann")

    assert shown == Shown(SHARED, "overflow", "exhausted", None)


async def test_a_paused_pool_is_passed_over(service: Service) -> None:
    """As if it were empty; when all are paused, the page is told so."""
    first, second = await service.pool(ONE, paused=True), await service.pool(TWO)
    site = await _site(first, second)

    assert await site.number("ann") == TWO
    await _patch(second, paused=True)
    assert await site.view("bob") == [Shown(SHOP, "original", "paused", None)]


async def test_a_robot_gets_nothing_of_any_pool(service: Service) -> None:
    """Each pool has its own word on robots; one that serves them does so."""
    first, second = await service.pool(ONE), await service.pool(TWO)
    site = await _site(first, second)
    robot = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}

    refused = (await site.ask("robot", headers=robot)).json()["numbers"][0]
    await _patch(second, serve_robots=True)
    served = (await site.ask("robot", headers=robot)).json()["numbers"][0]

    assert (refused["number"], refused["reason"]) == (SHOP, "bot")
    assert served["number"] == TWO


# --- a visitor and their number -------------------------------------------------------------------


async def test_a_number_stays_though_an_earlier_pool_has_one_again(service: Service) -> None:
    """The visitor has seen it; conditions that hold no longer do not take it away either."""
    paid, rest = await service.pool(ONE, serves=[PAID]), await service.pool(TWO)
    site = await _site(paid, rest)
    await site.view("ann", fields={"utm_medium": "cpc"})
    assert await site.number("bob", fields={"utm_medium": "cpc"}) == TWO
    await site.close("ann")
    service.clock.advance(seconds=31)

    (bob,) = await site.view("bob", fields={"utm_medium": "cpc"})
    (cyd,) = await site.view("cyd", fields={"utm_medium": "cpc"})
    (later,) = await site.view("cyd")

    assert (bob.number, bob.reason) == (TWO, "renewed")
    assert (cyd.number, later.number, later.reason) == (ONE, ONE, "renewed")


async def test_heartbeats_keep_the_leases_of_all_pools(service: Service) -> None:
    """One heartbeat for the page; the answer is about the lease that would end first."""
    first = await service.pool(ONE, destinations=[SHOP], idle_limit_s=300)
    second = await service.pool(TWO, destinations=[SERVICE], idle_limit_s=60)
    site = await _site(first, second)
    answer = (await site.ask("ann", destinations=[SHOP, SERVICE])).json()

    service.clock.advance(seconds=50)
    alive = await site.heartbeat("ann")
    service.clock.advance(seconds=50)

    assert answer["heartbeat_s"] == 20
    assert alive == {"expires_in_s": 60, "heartbeat_s": 20}
    rows = await site.view("ann", destinations=[SHOP, SERVICE])
    assert [row.reason for row in rows] == ["renewed", "renewed"]


async def test_a_heartbeat_without_any_lease_says_so(service: Service) -> None:
    """Gone in every pool: the tag asks anew."""
    site = await _site(await service.pool(ONE), await service.pool(TWO))

    assert await site.heartbeat("ann") == {"gone": True}


async def test_a_close_reaches_all_pools(service: Service) -> None:
    """After the closed-browser delay, all of the visitor's numbers are others'."""
    first = await service.pool(ONE, destinations=[SHOP])
    second = await service.pool(TWO, destinations=[SERVICE])
    site = await _site(first, second)
    both = [SHOP, SERVICE]
    await site.view("ann", destinations=both)

    await site.close("ann")
    service.clock.advance(seconds=30)

    assert [row.number for row in await site.view("bob", destinations=both)] == [ONE, TWO]


# --- pages and origins ----------------------------------------------------------------------------


async def test_a_page_is_served_by_the_pools_that_allow_its_origin(service: Service) -> None:
    """Each pool has its own list; the key is refused where no pool allows the page."""
    first = await service.pool(ONE, allowed_origins=["https://other.example"])
    second = await service.pool(TWO)
    site = await _site(first, second)
    body = {"key": site.key, "visitor_id": "ann", "page_id": "page"}

    assert await site.number("ann") == TWO
    refused = await service.tag("/assign", body, origin="https://evil.example")
    assert_problem(refused, 403, "origin-not-allowed")


# --- edits, in every process ----------------------------------------------------------------------


async def test_an_edit_of_the_site_holds_for_the_next_call_everywhere(
    pair: tuple[Service, Service],
) -> None:
    """Order, an added and a removed pool: no process goes on with the pools it remembers."""
    here, there = pair
    first, second = await here.pool(ONE), await here.pool(TWO, THREE)
    site = await _site(first)
    other = _at(site, there)
    assert await other.number("ann") == ONE
    assert await other.number("bob") == SHOP

    await _edit(site, first, second)
    assert await other.number("bob") in {TWO, THREE}

    await _edit(site, second)
    (ann,) = await other.view("ann")
    assert (ann.reason, ann.number in {TWO, THREE}) == ("new", True)


async def test_a_pool_of_the_site_that_is_no_longer_paused_serves_everywhere(
    pair: tuple[Service, Service],
) -> None:
    """A paused pool leases nothing, and all the same it is asked whether it is as we know it."""
    here, there = pair
    first, second = await here.pool(ONE, paused=True), await here.pool(paused=True)
    other = _at(await _site(first, second), there)
    assert await other.view("ann") == [Shown(SHOP, "original", "paused", None)]

    await _patch(first, paused=False)

    assert await other.number("ann") == ONE


async def test_an_origin_that_a_pool_of_the_site_now_allows_is_served_by_it_everywhere(
    pair: tuple[Service, Service],
) -> None:
    """What did not allow the page before is looked at again with the next call."""
    here, there = pair
    first = await here.pool(ONE, allowed_origins=["https://other.example"])
    second = await here.pool(TWO)
    other = _at(await _site(first, second), there)
    assert await other.number("ann") == TWO

    await _patch(first, allowed_origins=[ORIGIN])

    assert await other.number("bob") == ONE


async def test_a_deleted_site_is_unknown_everywhere_at_once(
    pair: tuple[Service, Service],
) -> None:
    """Its key opens nothing; the pools stay and serve under their own keys."""
    here, there = pair
    first, second = await here.pool(ONE), await here.pool(TWO)
    site = await _site(first, second)
    await _at(site, there).number("ann")

    deleted = await here.admin("DELETE", f"/sites/{site.pool_id}")

    assert deleted.status_code == 204
    page = {"key": site.key, "visitor_id": "ann", "page_id": "page"}
    for call in ("/assign", "/heartbeat", "/close"):
        assert_problem(await there.tag(call, page), 403, "unknown-key")
    assert_problem(await here.admin("GET", f"/sites/{site.pool_id}"), 404, "site-unknown")
    assert await _at(first, there).number("ann") == ONE
    assert not [name for name in here.contents() if site.key in name]


async def test_a_deleted_pool_leaves_the_others_of_its_site(
    pair: tuple[Service, Service],
) -> None:
    """The site goes on with what is left, in every process; without any pool it opens nothing."""
    here, there = pair
    first, second = await here.pool(ONE), await here.pool(TWO)
    other = _at(await _site(first, second), there)
    assert await other.number("ann") == ONE

    await here.admin("DELETE", f"/pools/{first.pool_id}?force=true")
    assert await other.number("ann") == TWO

    await here.admin("DELETE", f"/pools/{second.pool_id}?force=true")
    page = {"key": other.key, "visitor_id": "ann", "page_id": "page"}
    assert_problem(await there.tag("/assign", page), 403, "unknown-key")


# --- operators ------------------------------------------------------------------------------------


async def test_a_site_is_made_read_listed_and_renamed(service: Service) -> None:
    """The life of a site; a pool named twice counts once."""
    first, second = await service.pool(ONE), await service.pool(TWO)
    pools = [second.pool_id, first.pool_id]

    made = await service.admin("POST", "/sites", {"name": " Shop ", "pools": [*pools, pools[0]]})
    site = made.json()
    path = f"/sites/{site['id']}"
    renamed = (await service.admin("PATCH", path, {"name": " Shop 2 "})).json()

    assert (made.status_code, made.headers["location"]) == (201, path)
    assert (site["name"], site["pools"]) == ("Shop", pools)
    assert renamed == {**site, "name": "Shop 2"}
    assert (await service.admin("GET", path)).json() == renamed
    assert (await service.admin("GET", "/sites")).json() == {"sites": [renamed]}


async def test_a_site_needs_pools_that_exist(service: Service) -> None:
    """At least one, and each of them known; nothing is written otherwise."""
    pool = await service.pool(ONE)
    before = service.contents()

    for pools in ([], ["pool_nobody"], [pool.pool_id, "pool_nobody"], "x", [1]):
        answer = await service.admin("POST", "/sites", {"name": "Shop", "pools": pools})
        assert_problem(answer, 422, "invalid-request")
    for method in ("GET", "PATCH", "DELETE"):
        answer = await service.admin(method, "/sites/site_nobody", {"name": "x"})
        assert_problem(answer, 404, "site-unknown")
    assert service.contents() == before


async def test_sites_are_for_operators(service: Service) -> None:
    """A key that reads may list them and change nothing."""
    site = await _site(await service.pool(ONE))
    path = f"/sites/{site.pool_id}"
    reading = f"Bearer {service.secret(Scope.READ)}"

    assert (await service.admin("GET", path, Authorization=reading)).status_code == 200
    for method, where in (("POST", "/sites"), ("PATCH", path), ("DELETE", path)):
        body = {"name": "x", "pools": ["pool_x"]}
        refused = await service.admin(method, where, body, Authorization=reading)
        assert_problem(refused, 403, "forbidden")
    assert_problem(await service.http.get("/sites"), 401, "unauthorized")


async def test_the_tag_of_a_site_knows_the_destinations_of_all_its_pools(
    service: Service,
) -> None:
    """One script element for the whole site."""
    first = await service.pool(ONE, destinations=[SHOP])
    second = await service.pool(TWO, destinations=[SERVICE, SHOP])
    site = await _site(first, second)

    script = (await service.http.get("/tag.js", params={"key": site.key})).text

    assert SHOP.removeprefix("+") in script
    assert SERVICE.removeprefix("+") in script


async def test_people_who_edit_a_site_at_once_do_not_undo_each_other(service: Service) -> None:
    """One of them is told to read it again; every key that was shown opens what the record says."""
    first, second = await service.pool(ONE), await service.pool(TWO)
    site = await _site(first)
    path = f"/sites/{site.pool_id}"

    renamed, moved, rotated = await asyncio.gather(
        service.admin("PATCH", path, {"name": "Mine"}),
        service.admin("PATCH", path, {"pools": [second.pool_id]}),
        service.admin("POST", f"{path}/rotate-key", {}),
    )

    kept = (await service.admin("GET", path)).json()
    assert {answer.status_code for answer in (renamed, moved, rotated)} <= {200, 409}
    assert (kept["name"] == "Mine") is (renamed.status_code == 200)
    assert (kept["pools"] == [second.pool_id]) is (moved.status_code == 200)
    assert (kept["key"] != site.key) is (rotated.status_code == 200)
    expected = TWO if moved.status_code == 200 else ONE
    assert await replace(site, key=kept["key"]).number("ann") == expected
    assert await site.number("ann") == expected
