"""Who is shown no number of their own, why, and that who has one keeps it whatever happens."""

import httpx
import pytest

from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Service, Shown, Site, shown

ONE, TWO, THREE, FOUR = fictional(4)
SHARED = "+18005550100"
SERVICE = "+16024961500"

GOOGLEBOT = {
    "User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
}
PERSON = {
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
}
HEADLESS = {"User-Agent": PERSON["User-Agent"].replace("Chrome", "HeadlessChrome")}
IN_ADVANCE = {**PERSON, "Sec-Purpose": "prefetch;prerender"}

PAID = {"field": "utm_medium", "operator": "equals", "values": ["cpc"]}


def _from(address: str) -> dict[str, str]:
    """Headers of a visitor behind the proxy in front of the service."""
    return {**PERSON, "X-Forwarded-For": address}


async def _totals(site: Site) -> dict[str, int]:
    pool = (await site.service.admin("GET", f"/pools/{site.pool_id}")).json()
    totals: dict[str, int] = pool["occupancy"]["totals"]
    return totals


def _assert_limited(answer: httpx.Response, *, retry_after: int, number: str = SHOP) -> None:
    """A problem document, with the answer in it: a page shows something all the same."""
    assert_problem(answer, 429, "rate-limited")
    assert answer.headers["retry-after"] == str(retry_after)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "retry-after"
    (row,) = shown(answer)
    assert (row.number, row.reason, row.lease_id) == (number, "rate_limited", None)


# --- robots and pages nobody looks at -------------------------------------------------------------


@pytest.mark.parametrize("headers", [GOOGLEBOT, HEADLESS], ids=["googlebot", "headless"])
async def test_a_robot_sees_the_original(service: Service, headers: dict[str, str]) -> None:
    """A crawler takes no number from a person, and indexes the number the page was written with."""
    site = await service.pool(ONE, overflow_numbers=[SHARED])

    answer = await site.ask("robot", headers=headers)

    assert answer.status_code == 200
    assert shown(answer) == [Shown(SHOP, "original", "bot", None)]
    assert answer.json()["heartbeat_s"] is None
    assert shown(await site.ask("ann", headers=PERSON))[0].number == ONE
    assert (await _totals(site))["bot"] == 1


async def test_the_operator_may_show_robots_the_shared_number_or_serve_them(
    service: Service,
) -> None:
    """Two settings: what the refused see, and whether robots are refused at all."""
    site = await service.pool(ONE, overflow_numbers=[SHARED], refused_see="overflow")
    assert shown(await site.ask("robot", headers=GOOGLEBOT)) == [
        Shown(SHARED, "overflow", "bot", None)
    ]

    await service.admin("PATCH", f"/pools/{site.pool_id}", {"serve_robots": True})

    assert shown(await site.ask("robot", headers=GOOGLEBOT))[0].number == ONE


async def test_a_page_loaded_in_advance_gets_its_number_when_somebody_looks(
    service: Service,
) -> None:
    """Chrome may load a page that nobody ever sees."""
    site = await service.pool(ONE)

    advance = shown(await site.ask("ann", headers=IN_ADVANCE))
    looked = shown(await site.ask("ann", headers=PERSON))

    assert advance == [Shown(SHOP, "original", "prefetch", None)]
    assert (looked[0].number, looked[0].reason) == (ONE, "new")


async def test_a_page_loaded_in_advance_shows_what_the_visitor_holds(service: Service) -> None:
    """Else the number on the page would change when it is shown."""
    site = await service.pool(ONE)
    await site.view("ann")

    (row,) = shown(await site.ask("ann", "next", headers=IN_ADVANCE))

    assert (row.number, row.reason) == (ONE, "renewed")


async def test_a_backends_library_is_no_robot(service: Service) -> None:
    """Customers call from their own programs, and say no name of a crawler."""
    site = await service.pool(ONE)

    assert shown(await site.ask("ann", headers={"User-Agent": "curl/8.5.0"}))[0].number == ONE


# --- limits ---------------------------------------------------------------------------------------


async def test_a_visitor_has_so_many_new_leases_a_minute(service: Service) -> None:
    """The answer says when to ask again, in header and by the number to show meanwhile."""
    site = await service.pool(ONE, TWO, destinations=[SHOP, SERVICE], visitor_rate=1)
    await site.view("ann", destinations=[SERVICE])

    _assert_limited(await site.ask("ann", destinations=[SHOP]), retry_after=60)
    service.clock.advance(seconds=40.5)
    _assert_limited(await site.ask("ann", destinations=[SHOP]), retry_after=20)
    service.clock.advance(seconds=19.5)

    (row,) = await site.view("ann", destinations=[SHOP])
    assert row.reason == "new"


async def test_a_page_with_a_number_is_no_problem_whatever_else_it_lacks(
    service: Service,
) -> None:
    """429 only when nothing is leased: the tag has a lease to keep alive."""
    site = await service.pool(ONE, TWO, destinations=[SHOP, SERVICE], visitor_rate=1)

    rows = await site.view("ann", destinations=[SHOP, SERVICE])

    assert [(row.status, row.reason) for row in rows] == [
        ("leased", "new"), ("original", "rate_limited"),
    ]  # fmt: skip
    assert "expires_in_s" in await site.heartbeat("ann")


async def test_a_network_has_so_many_new_leases_a_minute(service: Service) -> None:
    """Counted by /24, behind the proxy that says so; another network is not touched."""
    site = await service.pool(ONE, TWO, THREE, FOUR, address_rate=2)
    for visitor, address in (("ann", "203.0.113.1"), ("bob", "203.0.113.2")):
        assert (await site.ask(visitor, headers=_from(address))).status_code == 200

    _assert_limited(await site.ask("cyd", headers=_from("203.0.113.3")), retry_after=30)
    other = await site.ask("dan", headers=_from("198.51.100.3"))
    service.clock.advance(seconds=30)
    later = await site.ask("cyd", headers=_from("203.0.113.3"))

    assert (other.status_code, later.status_code) == (200, 200)
    assert (await _totals(site))["rate_limited"] == 1


async def test_ipv6_counts_by_the_64_that_a_household_has(service: Service) -> None:
    """Whoever has one address of a /64 has all of them."""
    site = await service.pool(ONE, TWO, address_rate=1)
    await site.ask("ann", headers=_from("2001:db8:0:1::1"))

    same = await site.ask("bob", headers=_from("2001:db8:0:1:ffff::1"))
    other = await site.ask("bob", headers=_from("2001:db8:0:2::1"))

    assert (same.status_code, other.status_code) == (429, 200)


async def test_a_network_holds_so_many_numbers_at_once(service: Service) -> None:
    """When one of them is given back, the next visitor of the network gets one."""
    site = await service.pool(ONE, TWO, address_leases=1)
    await site.ask("ann", headers=_from("203.0.113.1"))

    _assert_limited(await site.ask("bob", headers=_from("203.0.113.2")), retry_after=1)
    await site.close("ann")
    service.clock.advance(seconds=30)

    assert (await site.ask("bob", headers=_from("203.0.113.2"))).status_code == 200


async def test_who_is_limited_may_see_the_shared_number(service: Service) -> None:
    """Most limited visitors sit behind one large network: a call is better than none."""
    site = await service.pool(
        ONE, TWO, visitor_rate=1, destinations=[SHOP, SERVICE],
        overflow_numbers=[SHARED], refused_see="overflow",
    )  # fmt: skip
    await site.view("ann", destinations=[SERVICE])

    _assert_limited(await site.ask("ann"), retry_after=60, number=SHARED)


async def test_renewals_are_free(service: Service) -> None:
    """Limits are about new leases: who browses fast keeps the number and counts as nothing."""
    site = await service.pool(
        ONE, TWO, visitor_rate=1, address_rate=1, address_leases=1, serves=[PAID]
    )
    (first,) = shown(await site.ask("ann", headers=PERSON, fields={"utm_medium": "cpc"}))

    for headers in [PERSON] * 20 + [IN_ADVANCE, GOOGLEBOT]:
        answer = await site.ask("ann", headers=headers)
        assert answer.status_code == 200
        (row,) = shown(answer)
        assert (row.number, row.reason) == (first.number, "renewed")


# --- whom the pool is for -------------------------------------------------------------------------


async def test_a_pool_serves_whom_its_conditions_are_about(service: Service) -> None:
    """By a captured field, or by the address of the page before the tag has captured anything."""
    site = await service.pool(ONE, TWO, overflow_numbers=[SHARED], serves=[PAID])

    assert await site.view("ann") == [Shown(SHOP, "original", "not_served", None)]
    captured = await site.number("bob", fields={"utm_medium": "CPC"})
    in_url = await site.number("cyd", url="https://shop.example/?utm_medium=cpc")

    assert {captured, in_url} == {ONE, TWO}


async def test_all_conditions_hold_and_any_value_of_each(service: Service) -> None:
    """Conditions are joined by and, values of one by or."""
    site = await service.pool(
        ONE, TWO,
        serves=[
            {"field": "utm_medium", "operator": "equals", "values": ["cpc", "ppc"]},
            {"field": "url.path", "operator": "starts_with", "values": ["/sale"]},
        ],
    )  # fmt: skip
    ppc = {"utm_medium": "ppc"}

    (home,) = await site.view("ann", url="https://shop.example/", fields=ppc)
    (sale,) = await site.view("ann", url="https://shop.example/sale/1", fields=ppc)
    (unpaid,) = await site.view("bob", url="https://shop.example/sale/1")

    assert [each.reason for each in (home, sale, unpaid)] == ["not_served", "new", "not_served"]


async def test_a_condition_that_means_nothing_is_refused(service: Service) -> None:
    """An operator's typing error must not switch a pool off in silence."""
    site = await service.pool()
    bad = [
        {"field": "url.hots", "operator": "equals", "values": ["a"]},
        {"field": "utm_medium", "operator": "equals"},
        {"field": "utm_medium", "operator": "like", "values": ["a"]},
        {"field": "url.path", "operator": "equals", "values": ["sale"]},
    ]

    for condition in bad:
        answer = await service.admin("PATCH", f"/pools/{site.pool_id}", {"serves": [condition]})
        assert_problem(answer, 422, "invalid-request")


async def test_the_reserve_is_kept_for_whom_it_is(service: Service) -> None:
    """The last half of the pool is for paid clicks; who holds a number already keeps it."""
    site = await service.pool(
        ONE, TWO, overflow_numbers=[SHARED], reserve_share=0.5, reserve_for=[PAID]
    )
    (ann,) = await site.view("ann")

    (bob,) = await site.view("bob")
    (cyd,) = await site.view("cyd", fields={"utm_medium": "cpc"})
    (again,) = await site.view("ann")

    assert (bob.number, bob.status, bob.reason) == (SHARED, "overflow", "reserved")
    assert {ann.number, cyd.number} == {ONE, TWO}
    assert again.reason == "renewed"
    assert (await _totals(site))["reserved"] == 1


async def test_bad_settings_are_refused(service: Service) -> None:
    """Each out of its range; nothing of the pool changes."""
    site = await service.pool()
    before = service.contents()
    bad: list[dict[str, object]] = [
        {"visitor_rate": 0}, {"address_rate": -1}, {"address_leases": 0}, {"match": "near"},
        {"match_fallback": "none"}, {"pressure_threshold": 1.1}, {"provisional_s": 5},
        {"reserve_share": 0.95}, {"spam_signals": -1}, {"refused_see": "nothing"},
        {"max_lease_age_s": 1}, {"serve_robots": "maybe"},
    ]  # fmt: skip

    for settings in bad:
        answer = await service.admin("PATCH", f"/pools/{site.pool_id}", settings)
        assert_problem(answer, 422, "invalid-request")
    assert service.contents() == before
