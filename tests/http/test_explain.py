"""Why would this visitor be shown that number? And what is said is what the next page gets."""

from collections.abc import Mapping
from typing import Any

import pytest

from dni_allocator.services.access import Scope
from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Service, Shown, Site, shown

ONE, TWO, THREE = fictional(3)
PHOENIX, MESA, TUCSON, MANHATTAN = "+16025550100", "+14805550100", "+15205550100", "+12125550100"
SHARED = "+18005550100"
SERVICE = "+16024961500"
PERSON = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PAID = {"field": "utm_medium", "operator": "equals", "values": ["cpc"]}
HERE = "203.0.113.1"


async def _explain(site: Site, **who: str) -> dict[str, Any]:
    answer = await site.service.http.get(
        f"/pools/{site.pool_id}/explain",
        params=who,
        headers={"Authorization": f"Bearer {site.service.secret(Scope.READ)}"},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _asks(site: Site, **who: str) -> Shown:
    """The page view that `explain` was told of."""
    headers = {"User-Agent": who.pop("user_agent", PERSON)}
    headers["Sec-Purpose"] = who.pop("purpose", "")
    headers["X-Forwarded-For"] = who.pop("address", HERE)
    body: dict[str, object] = {name: who.pop(name) for name in ("url", "referrer") if name in who}
    if "destination" in who:
        body["destinations"] = [who.pop("destination")]
    visitor = who.pop("visitor_id", "somebody")
    body |= {"key": site.key, "visitor_id": visitor, "page_id": "page", "fields": who}
    (row,) = shown(await site.service.tag("/assign", body, headers=headers))
    return row


async def _agree(site: Site, **who: str) -> dict[str, Any]:
    """Ask why, then let the visitor come; both say the same. Returns the explanation."""
    before = {k: v for k, v in site.service.contents().items() if not k.endswith(":orders")}
    said = await _explain(site, **who)
    after = {k: v for k, v in site.service.contents().items() if not k.endswith(":orders")}
    # The key it was asked with is the one thing that is new.
    before["dni:admin-keys"] = after["dni:admin-keys"]
    assert after == before
    row = await _asks(site, **who)
    assert (said["status"], said["reason"]) == (row.status, row.reason)
    if row.status == "leased":
        assert said["number"] == row.number
    else:
        assert said["number"] is None
    return said


def _failed(said: Mapping[str, Any]) -> list[str]:
    return [check["name"] for check in said["checks"] if not check["passed"]]


# --- each reason ----------------------------------------------------------------------------------


async def test_a_new_lease(service: Service) -> None:
    """Which number, of which shelf, and that nothing stands in the way."""
    site = await service.pool(ONE)

    said = await _agree(site, visitor_id="ann")

    assert (said["reason"], said["number"], said["destination"]) == ("new", ONE, SHOP)
    assert _failed(said) == []
    assert [check["name"] for check in said["checks"]] == [
        "paused", "destination", "robot", "prefetch", "serves", "rate_limits", "reserve", "number",
    ]  # fmt: skip
    (shelf,) = said["shelves"]
    assert (shelf["tier"], shelf["available"], shelf["next_number"]) == ("any", 1, ONE)
    assert said["pool"] == {
        "circulating": 1, "leased": 0, "quarantined": 0, "about_to_end": 0,
        "idle_limit_in_force_s": 300, "kept_for_reserve": 0,
    }  # fmt: skip


async def test_a_visitor_who_holds_a_number(service: Service) -> None:
    """Whatever else is asked: a lease is renewed."""
    site = await service.pool(ONE, serves=[PAID], visitor_rate=1, overflow_numbers=[SHARED])
    await _asks(site, visitor_id="ann", utm_medium="cpc")

    said = await _agree(site, visitor_id="ann", user_agent=GOOGLEBOT, purpose="prefetch")

    assert (said["reason"], said["number"]) == ("renewed", ONE)


async def test_a_visitor_who_comes_back(service: Service) -> None:
    """The number they had, while nobody else had it since."""
    site = await service.pool(ONE, TWO)
    number = await site.number("ann")
    service.clock.advance(seconds=400)

    said = await _agree(site, visitor_id="ann")

    assert (said["reason"], said["number"]) == ("returned", number)


async def test_an_empty_pool(service: Service) -> None:
    """Exhausted, and what is shown instead."""
    site = await service.pool(ONE, overflow_numbers=[SHARED])
    await site.view("ann")

    said = await _agree(site, visitor_id="bob")

    assert (said["status"], said["reason"]) == ("overflow", "exhausted")
    assert _failed(said) == ["number"]


@pytest.mark.parametrize(
    ("settings", "who", "reason", "check"),
    [
        ({"paused": True}, {}, "paused", "paused"),
        ({}, {"destination": "(602) 496-1501"}, "no_match", "destination"),
        ({}, {"user_agent": GOOGLEBOT}, "bot", "robot"),
        ({}, {"purpose": "prefetch"}, "prefetch", "prefetch"),
        ({"serves": [PAID]}, {"utm_medium": "email"}, "not_served", "serves"),
        ({"reserve_share": 0.5, "reserve_for": [PAID]}, {}, "reserved", "reserve"),
        ({"reserve_share": 0.5, "reserve_for": [PAID], "match": "area",
          "match_fallback": "original"}, {}, "reserved", "reserve"),
        ({"match": "area"}, {"destination": "+12125550142"}, "unmatched", "number"),
        ({"match": "area", "match_fallback": "original"}, {"destination": "+12125550142"},
         "unmatched", "number"),
        ({"visitor_rate": 1}, {"visitor_id": "ann", "destination": SERVICE}, "rate_limited",
         "rate_limits"),
        ({"address_rate": 1}, {"address": HERE}, "rate_limited", "rate_limits"),
        ({"address_leases": 1}, {"address": HERE}, "rate_limited", "rate_limits"),
    ],
    ids=["paused", "no_match", "bot", "prefetch", "not_served", "reserved", "reserved-original",
         "unmatched", "unmatched-original", "visitor", "network", "cap"],
)  # fmt: skip
@pytest.mark.parametrize("more", [
    {}, {"overflow_numbers": [SHARED]}, {"overflow_numbers": [SHARED], "refused_see": "overflow"},
], ids=["no-shared", "shared", "shared-for-refused"])  # fmt: skip
async def test_why_there_is_no_number(  # noqa: PLR0917 - pytest passes by name
    service: Service,
    settings: dict[str, object],
    who: dict[str, str],
    reason: str,
    check: str,
    more: dict[str, object],
) -> None:
    """The check that stands in the way, and the number that is shown instead, as on the page."""
    destinations = [SHOP, SERVICE, "+12125550142"]
    site = await service.pool(ONE, TWO, destinations=destinations, **more)
    await _asks(site, visitor_id="ann", utm_medium="cpc")
    path = f"/pools/{site.pool_id}"
    assert (await service.admin("PATCH", path, settings)).status_code == 200
    if "rate" in str(settings) or "address" in str(settings):
        # What came before the limit was set counts for nothing: one more, and it is reached.
        service.clock.advance(seconds=301)
        await _asks(site, visitor_id="ann")

    said = await _agree(site, **{"visitor_id": "bob", **who})

    assert said["reason"] == reason
    assert _failed(said) == [check]


async def test_the_reserve_for_whom_it_is(service: Service) -> None:
    """The same pool, another visitor."""
    site = await service.pool(ONE, TWO, reserve_share=0.5, reserve_for=[PAID])
    await site.view("ann")

    said = await _agree(site, visitor_id="bob", utm_medium="cpc")

    assert said["reason"] == "new"
    assert said["pool"]["kept_for_reserve"] == 1


async def test_conditions_see_the_url(service: Service) -> None:
    """As on the page: the tag may not have captured the parameter yet."""
    site = await service.pool(ONE, serves=[PAID])

    said = await _agree(site, visitor_id="ann", url="https://shop.example/?utm_medium=cpc")

    assert said["reason"] == "new"


# --- shelves --------------------------------------------------------------------------------------


async def test_shelves_in_the_order_they_are_tried(service: Service) -> None:
    """With the reason for each, the distance, and what it has to give."""
    site = await service.pool(MANHATTAN, TUCSON, MESA, PHOENIX, match="area", match_fallback="any")

    said = await _agree(site, visitor_id="ann")

    shelves = said["shelves"]
    assert [each["next_number"] for each in shelves] == [PHOENIX, MESA, TUCSON, MANHATTAN]
    assert [each["tier"] for each in shelves] == ["area_code", "nearest", "nearest", "any"]
    assert [each["rank"] for each in shelves] == [0, 1, 2, 3]
    # Between the middles of the area codes 602, and 480, 520.
    assert 15 < shelves[1]["distance_km"] < 25
    assert 170 < shelves[2]["distance_km"] < 190
    assert shelves[0]["place"]["region"] == "AZ"
    for number in (MESA, TUCSON, MANHATTAN):
        assert (await _agree(site, visitor_id=number[1:]))["number"] == number


async def test_numbers_whose_lease_is_over_count(service: Service) -> None:
    """Nobody has swept yet, and the next visitor gets the number."""
    site = await service.pool(PHOENIX, TUCSON, match="area")
    await site.number("ann")
    service.clock.advance(seconds=300)

    said = await _agree(site, visitor_id="bob")

    assert (said["number"], said["pool"]["about_to_end"]) == (PHOENIX, 1)


async def test_of_several_that_are_free_the_least_recently_released(service: Service) -> None:
    """Also of several whose lease is over."""
    site = await service.pool(ONE, TWO, THREE)
    for visitor in ("ann", "bob", "cyd"):
        await site.number(visitor)
        service.clock.advance(seconds=10)
    service.clock.advance(seconds=400)

    for visitor in ("dan", "eve", "fay"):
        await _agree(site, visitor_id=visitor)


async def test_where_chance_decides_no_number_is_named(service: Service) -> None:
    """Selection at random: any of the shelf."""
    site = await service.pool(ONE, TWO, selection="random")

    said = await _explain(site, visitor_id="ann")

    assert (said["status"], said["reason"], said["number"]) == ("leased", "new", None)


async def test_quarantined_numbers_do_not_count(service: Service) -> None:
    """They are shown as what they are."""
    site = await service.pool(ONE, TWO)
    await service.admin(
        "PUT", f"/pools/{site.pool_id}/numbers/{ONE}/quarantine", {"reason": "spam"}
    )

    said = await _agree(site, visitor_id="ann")

    assert said["number"] == TWO
    assert (said["pool"]["circulating"], said["pool"]["quarantined"]) == (1, 1)


# --- pressure -------------------------------------------------------------------------------------

PRESSED = {"pressure_threshold": 0.5, "pressure_idle_limit_s": 60}


async def test_a_silent_lease_gives_way_in_a_full_pool(service: Service) -> None:
    """The idle limit in force is the short one, and who was silent for longer is over."""
    site = await service.pool(ONE, **PRESSED)
    await site.number("ann")
    service.clock.advance(seconds=61)

    said = await _agree(site, visitor_id="bob")

    assert (said["reason"], said["number"]) == ("new", ONE)
    assert said["pool"]["idle_limit_in_force_s"] == 60


async def test_what_is_over_makes_room_before_anybody_gives_way(service: Service) -> None:
    """Two leases ran out: the pool is half empty, so the silent third one stays."""
    site = await service.pool(ONE, TWO, THREE, match="area", **PRESSED)
    await site.number("ann")
    await site.number("bob")
    service.clock.advance(seconds=200)
    held = await site.number("cyd")
    service.clock.advance(seconds=101)

    said = await _agree(site, visitor_id="dan")

    assert said["number"] != held
    assert said["pool"]["about_to_end"] == 2
    assert (await site.heartbeat("cyd"))["expires_in_s"] == 300


async def test_a_far_better_number_of_a_lease_that_gives_way_late(service: Service) -> None:
    """However many silent leases there are, what is said is what is given."""
    numbers = [TUCSON.replace("0100", f"01{at:02d}") for at in range(12)]
    site = await service.pool(*numbers, PHOENIX, match="area", match_fallback="any", **PRESSED)
    held = [await site.number(f"v{at}") for at in range(13)]
    # The one in Phoenix is the least silent of all.
    await service.app.sweeper().sweep_once()
    for at in range(1, 13):
        service.clock.advance(seconds=1)
        await site.heartbeat(f"v{at}")
    service.clock.advance(seconds=1)
    await site.heartbeat("v0")
    service.clock.advance(seconds=61)

    assert held[0] == PHOENIX
    await _agree(site, visitor_id="new")


# --- who may ask ----------------------------------------------------------------------------------


async def test_bad_questions(service: Service) -> None:
    """A nonsense destination, an unknown pool, an origin that may not use the key, no key."""
    site = await service.pool(ONE)
    path = f"/pools/{site.pool_id}/explain"

    assert_problem(await service.admin("GET", f"{path}?destination=x"), 422, "invalid-number")
    assert_problem(await service.admin("GET", f"{path}?visitor_id=a%20b"), 422, "invalid-request")
    elsewhere = await service.admin("GET", f"{path}?origin=https://evil.example")
    assert_problem(elsewhere, 403, "origin-not-allowed")
    assert_problem(await service.admin("GET", "/pools/pool_no/explain"), 404, "pool-unknown")
    assert_problem(await service.http.get(path), 401, "unauthorized")
    calls = f"Bearer {service.secret(Scope.CALLS)}"
    assert_problem(await service.admin("GET", path, Authorization=calls), 403, "forbidden")
