"""`GET /leases`: who holds which number of a pool, now."""

from datetime import datetime, timedelta

from dni_allocator.services.access import Scope
from tests.support.rig import fictional
from tests.support.service import SHOP, Service


async def test_a_lease_is_listed_with_what_the_page_told(service: Service) -> None:
    """The number, the visitor, until when, and where they came from."""
    site = await service.pool("+16025550101")
    (shown,) = await site.view(
        "v1", url="https://shop.example/?gclid=EAIa", fields={"gclid": "EAIa"}
    )

    (lease,) = (await service.admin("GET", f"/leases?pool_id={site.pool_id}")).json()["leases"]

    assert lease["number"] == "+16025550101"
    assert (lease["visitor_id"], lease["destination"]) == ("v1", SHOP)
    assert lease["lease_id"] == shown.lease_id
    assert lease["fields"] == {"gclid": "EAIa"}
    locked = datetime.fromisoformat(lease["expires_at"]) - datetime.fromisoformat(lease["since"])
    assert locked == timedelta(seconds=300)


async def test_a_lease_that_is_over_is_not_listed(service: Service) -> None:
    """Also where nobody has swept yet: the deadline decides, here as everywhere."""
    site = await service.pool("+16025550101")
    await site.view("v1")
    service.clock.advance(seconds=300)

    answer = await service.admin("GET", f"/leases?pool_id={site.pool_id}")

    assert answer.json() == {"leases": [], "next_cursor": None}


async def test_pages_give_every_lease_once(service: Service) -> None:
    """Leases of one instant share their deadline; the place between two pages tells them apart."""
    site = await service.pool(*fictional(7))
    for each in range(7):
        await site.view(f"v{each}")
        if each == 2:
            service.clock.advance(seconds=1)

    found, cursor, pages = [], "", 0
    while True:
        path = f"/leases?pool_id={site.pool_id}&limit=2{cursor}"
        page = (await service.admin("GET", path)).json()
        found += [lease["visitor_id"] for lease in page["leases"]]
        pages += 1
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert sorted(found) == [f"v{each}" for each in range(7)]
    assert set(found[:3]) == {"v0", "v1", "v2"}
    assert pages == 4


async def test_questions_that_make_no_sense_are_refused(service: Service) -> None:
    """An unknown pool, no pool, a cursor of somebody else's."""
    site = await service.pool()

    assert (await service.admin("GET", "/leases?pool_id=pool_none")).status_code == 404
    assert (await service.admin("GET", "/leases")).status_code == 422
    wrong = await service.admin("GET", f"/leases?pool_id={site.pool_id}&cursor=x")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid-request")


async def test_a_key_sees_leases_of_its_pools_only(service: Service) -> None:
    """Visitors' ids are personal: the scope is `read`, and the pool must be one of the key's."""
    mine, other = await service.pool(name="Mine"), await service.pool(name="Other")
    body = {"name": "Ann", "scopes": ["read"], "pools": [mine.pool_id]}
    secret = (await service.admin("POST", "/keys", body)).json()["secret"]
    calls_only = service.secret(Scope.CALLS)

    async def ask(pool_id: str, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return (await service.http.get(f"/leases?pool_id={pool_id}", headers=headers)).status_code

    assert await ask(mine.pool_id, secret) == 200
    assert await ask(other.pool_id, secret) == 403
    assert await ask(mine.pool_id, calls_only) == 403
