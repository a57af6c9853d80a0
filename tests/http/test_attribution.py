"""Attribution over HTTP: who it was, when, and how sure that is."""

import pytest

from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Service

ONE, TWO = fictional(2)
SHARED = "+18005550100"


async def test_a_live_visitor_is_certain(service: Service) -> None:
    """The page is open: the caller is its visitor, with all that is known of them."""
    site = await service.pool(ONE, campaign="spring")
    (shown,) = await site.view(
        "v", url="https://shop.example/?gclid=1", referrer="https://search.example/",
        fields={"gclid": "1"},
    )  # fmt: skip

    found = await service.attribution(ONE)

    assert found["basis"] == "live"
    assert found["confidence"] == 1
    assert (found["visitor_id"], found["lease_id"]) == ("v", shown.lease_id)
    assert found["route_to"] == SHOP
    assert found["url"] == "https://shop.example/?gclid=1"
    assert found["referrer"] == "https://search.example/"
    assert found["fields"] == {"gclid": "1"}
    assert found["pool"] == {"id": site.pool_id, "name": "Shop", "campaign": "spring"}
    assert found["assigned_at"] == "2027-01-15T08:00:00Z"
    assert found["ended_at"] is None


async def test_at_asks_for_an_instant(service: Service) -> None:
    """A call record that comes late is matched to who had the number when it rang."""
    site = await service.pool(ONE)
    await site.view("ann")
    service.clock.advance(seconds=299)
    rang = service.clock.iso()
    service.clock.advance(seconds=1)
    await site.view("bob")

    late = await service.attribution(ONE, at=rang)
    now = await service.attribution(ONE)

    assert (late["visitor_id"], late["basis"], late["at"]) == ("ann", "live", rang)
    assert (now["visitor_id"], now["basis"]) == ("bob", "live")
    candidates = now["candidates"]
    assert isinstance(candidates, list)
    assert [(each["visitor_id"], each["confidence"]) for each in candidates] == [
        ("bob", 1.0), ("ann", 0.45),
    ]  # fmt: skip


async def test_before_anybody_there_is_nobody(service: Service) -> None:
    """An instant before the first lease: the call goes to the default destination."""
    site = await service.pool(ONE)
    await site.view("ann")

    found = await service.attribution(ONE, at=service.clock.iso(seconds_ago=1))

    assert (found["basis"], found["confidence"], found["visitor_id"]) == ("none", 0, None)
    assert found["route_to"] == SHOP
    assert found["candidates"] == []


async def test_other_zones_are_the_same_instant(service: Service) -> None:
    """Any offset will do, as long as there is one."""
    site = await service.pool(ONE)
    await site.view("ann")

    found = await service.attribution(ONE, at="2027-01-15T10:00:00+02:00")

    assert (found["visitor_id"], found["at"]) == ("ann", "2027-01-15T08:00:00Z")


@pytest.mark.parametrize(
    "at",
    ["2027-01-15T08:00:00", "yesterday", "", "2027-13-01T00:00:00Z", "9999-12-31T23:59:59Z",
     "2027-01-15T08:01:01Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
     "1e400"],
)  # fmt: skip
async def test_instants_that_are_none(service: Service, at: str) -> None:
    """Without a zone, not a date, in the future or outside the calendar: refused, never guessed."""
    site = await service.pool(ONE)
    await site.view("ann")

    answer = await service.admin("GET", f"/attribution/{ONE}?at={at.replace('+', '%2B')}")

    assert_problem(answer, 422, "invalid-request")


async def test_a_clock_that_is_a_little_fast_is_forgiven(service: Service) -> None:
    """Up to a minute ahead counts as now."""
    site = await service.pool(ONE)
    await site.view("ann")

    found = await service.attribution(ONE, at="2027-01-15T08:00:59Z")

    assert (found["visitor_id"], found["at"]) == ("ann", "2027-01-15T08:00:00Z")


@pytest.mark.parametrize("dialed", ["+16025550100", "16025550100", "%2B16025550100"])
async def test_the_plus_may_be_left_out(service: Service, dialed: str) -> None:
    """Telephone systems and URLs lose it often."""
    site = await service.pool(ONE)
    await site.view("ann")

    assert (await service.attribution(dialed))["visitor_id"] == "ann"


async def test_a_shared_number_has_as_many_candidates_as_saw_it(service: Service) -> None:
    """Two saw the overflow number: each is as likely, and so is somebody unknown."""
    site = await service.pool(overflow_numbers=[SHARED])
    await site.view("ann")
    service.clock.advance(seconds=1)
    await site.view("bob")

    found = await service.attribution(SHARED)

    assert found["basis"] == "overflow"
    candidates = found["candidates"]
    assert isinstance(candidates, list)
    assert [(each["visitor_id"], each["confidence"]) for each in candidates] == [
        ("bob", 0.3333), ("ann", 0.3333),
    ]  # fmt: skip
    assert found["lease_id"] is None


async def test_a_shared_number_nobody_saw(service: Service) -> None:
    """It is the pool's, and routes to its default destination."""
    await service.pool(overflow_numbers=[SHARED])

    found = await service.attribution(SHARED)

    assert (found["basis"], found["confidence"], found["route_to"]) == ("overflow", 0, SHOP)


async def test_a_detached_number_answers_until_another_pool_has_it(service: Service) -> None:
    """The visitor may still dial what they saw; the next owner's visitors are not mixed up."""
    site = await service.pool(ONE)
    await site.view("ann")
    await service.admin("DELETE", f"/pools/{site.pool_id}/numbers/{ONE}?force=true")

    found = await service.attribution(ONE)
    assert (found["visitor_id"], found["basis"]) == ("ann", "ended")

    other = await service.pool(ONE, name="Other")
    assert (await service.attribution(ONE))["basis"] == "none"
    await other.view("bob")
    assert (await service.attribution(ONE))["visitor_id"] == "bob"


async def test_nobody_is_known_after_the_window(service: Service) -> None:
    """Forgotten with the last millisecond of the window, swept or not."""
    site = await service.pool(ONE, attribution_window_s=3600)
    await site.view("ann")
    service.clock.advance(seconds=300 + 3600, ms=-1)
    assert (await service.attribution(ONE))["visitor_id"] == "ann"

    service.clock.advance(ms=1)
    assert (await service.attribution(ONE))["basis"] == "none"
    await service.app.sweeper().sweep_once()
    assert (await service.attribution(ONE))["basis"] == "none"


async def test_a_deleted_pools_numbers_are_unknown(service: Service) -> None:
    """Nothing is left to answer from."""
    site = await service.pool(ONE)
    await site.view("ann")
    await service.admin("DELETE", f"/pools/{site.pool_id}?force=true")

    answer = await service.admin("GET", f"/attribution/{ONE}")

    assert_problem(answer, 404, "number-unknown")


async def test_a_batch_is_answered_in_its_order(service: Service) -> None:
    """A backend reconciles its call records: a bad row spoils none of the others."""
    site = await service.pool(ONE)
    await site.view("ann")
    service.clock.advance(seconds=300)
    await site.view("bob")
    rows: list[object] = [
        {"request_id": "a", "number": ONE},
        "no row",
        {"request_id": "c", "number": TWO},
        {"request_id": "d", "number": ONE, "at": service.clock.iso(seconds_ago=10)},
        {"number": "nonsense"},
        {"request_id": "f", "number": ONE, "at": "2099-01-01T00:00:00Z"},
        {"request_id": "g", "number": ONE, "more": 1},
        {"request_id": "h", "number": ONE.removeprefix("+"), "caller": "anonymous"},
    ]
    before = service.contents()

    answer = await service.admin("POST", "/attribution/batch", rows)

    results = answer.json()["results"]
    assert [each["request_id"] for each in results] == ["a", None, "c", "d", None, "f", "g", "h"]
    assert [
        each["attribution"]["visitor_id"] if each["attribution"] else each["problem"]["code"]
        for each in results
    ] == [
        "bob", "invalid-request", "number-unknown", "ann", "invalid-number", "invalid-request",
        "invalid-request", "invalid-number",
    ]  # fmt: skip
    assert service.contents() == before


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [([], 422, "invalid-request"), ([{}] * 1001, 422, "invalid-request"),
     ({"a": 1}, 422, "invalid-request"), (None, 400, "malformed-json")],
)  # fmt: skip
async def test_batches_that_are_none(
    service: Service, body: object, status: int, code: str
) -> None:
    """One to a thousand rows in a list, or nothing is answered."""
    assert_problem(await service.admin("POST", "/attribution/batch", body), status, code)


async def test_a_thousand_rows_of_a_batch(service: Service) -> None:
    """Every one has its answer."""
    await service.pool(ONE)

    answer = await service.admin("POST", "/attribution/batch", [{"number": ONE}] * 1000)

    assert len(answer.json()["results"]) == 1000
    assert all(each["attribution"] for each in answer.json()["results"])


async def test_the_limit_of_a_key_holds_for_rows_of_a_batch(service: Service) -> None:
    """Another pool's number is answered as one nobody has."""
    mine = await service.pool(ONE)
    await service.pool(TWO, name="Other")
    made = await service.admin(
        "POST", "/keys", {"name": "CRM", "scopes": ["attribution"], "pools": [mine.pool_id]}
    )

    answer = await service.http.post(
        "/attribution/batch",
        json=[{"number": ONE}, {"number": TWO}],
        headers={"Authorization": f"Bearer {made.json()['secret']}"},
    )

    first, second = answer.json()["results"]
    assert first["attribution"]["basis"] == "none"
    assert second["problem"]["code"] == "number-unknown"
