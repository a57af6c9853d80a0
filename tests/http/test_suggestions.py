"""Numbers that pages show and no pool leases for: perhaps somebody forgot to allow them."""

from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Json, Service, Site

ONE, TWO = fictional(2)
SERVICE, FAX, OFFICE = "+16024961500", "+16024961501", "+16024961502"


async def _suggested(site: Site) -> list[Json]:
    answer = await site.service.admin("GET", f"/pools/{site.pool_id}/suggestions")
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["suggestions"]
    return found


async def _names(site: Site) -> list[object]:
    return [each["destination"] for each in await _suggested(site)]


async def test_what_the_pool_does_not_know_is_suggested_the_latest_first(
    service: Service,
) -> None:
    """With when it was shown last; what the pool knows is none."""
    site = await service.pool(ONE)
    await site.view("ann", destinations=[SERVICE])
    first_seen = service.clock.iso()
    service.clock.advance(seconds=60)
    await site.view("ann", destinations=[SHOP, "(602) 496-1501"])

    assert await _suggested(site) == [
        {"destination": FAX, "last_seen": service.clock.iso()},
        {"destination": SERVICE, "last_seen": first_seen},
    ]


async def test_a_suggestion_is_never_leased_until_it_is_allowed(service: Service) -> None:
    """A page cannot make a pool route calls to a number of its choice (toll fraud)."""
    site = await service.pool(ONE)
    (before,) = await site.view("ann", destinations=[SERVICE])

    await service.admin("PATCH", f"/pools/{site.pool_id}", {"destinations": [SHOP, SERVICE]})
    (after,) = await site.view("ann", destinations=[SERVICE])

    assert (before.status, before.reason) == ("original", "no_match")
    assert (after.number, after.reason) == (ONE, "new")
    assert await _names(site) == []


async def test_a_paused_pool_suggests_nothing(service: Service) -> None:
    """All is answered with the original then; that says nothing of the list."""
    site = await service.pool(ONE, paused=True)

    await site.view("ann", destinations=[SERVICE])

    assert await _names(site) == []


async def test_of_a_site_only_what_no_pool_knows_is_suggested_to_the_first(
    service: Service,
) -> None:
    """A number the second pool leases for is not missing."""
    first = await service.pool(ONE)
    second = await service.pool(TWO, destinations=[SERVICE])
    made = await service.admin(
        "POST", "/sites", {"name": "Shop", "pools": [first.pool_id, second.pool_id]}
    )
    site = Site(service, pool_id="", key=made.json()["key"])

    await site.view("ann", destinations=[SERVICE, FAX])

    assert await _names(first) == [FAX]
    assert await _names(second) == []


async def test_the_latest_hundred_are_kept(service: Service) -> None:
    """A page may show anything: what it shows must not fill the store."""
    site = await service.pool(ONE)
    shown = [f"+1602496{at:04d}" for at in range(1000, 1250)]

    for start in range(0, len(shown), 50):
        await site.view("ann", destinations=shown[start : start + 50])
        service.clock.advance(seconds=1)

    assert set(map(str, await _names(site))) == set(shown[-100:])


async def test_suggestions_of_nobody(service: Service) -> None:
    """Only of a pool that is there, and only for operators."""
    site = await service.pool()

    unknown = await service.admin("GET", "/pools/pool_nobody/suggestions")
    assert_problem(unknown, 404, "pool-unknown")
    secretly = await service.http.get(f"/pools/{site.pool_id}/suggestions")
    assert_problem(secretly, 401, "unauthorized")
