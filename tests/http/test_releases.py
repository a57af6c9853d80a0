"""Numbers on their way back to their vendor, and what an account holds against what pools hold."""

from collections.abc import AsyncIterator

import pytest
import redis

from dni_allocator.store.keys import ShardKeys
from tests.http.test_bad_input import assert_problem
from tests.support import invariants
from tests.support.buying import Json, Market, trading
from tests.support.rig import fictional
from tests.support.service import Site
from tests.support.vendors.standin import Fault, selling

ONE, TWO, THREE = fictional(3)
VENDORS = pytest.mark.parametrize("vendor_name", ["twilio", "telnyx"])


@pytest.fixture
async def market(redis_url: str) -> AsyncIterator[Market]:
    """The service and its vendor; the invariants are checked when the test is over."""
    async with selling() as vendor, trading(redis_url, vendor) as market:
        yield market
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)


async def bought(market: Market, *numbers: str, vendor: str = "twilio") -> Site:
    """A pool with numbers that were bought."""
    market.vendor.put(*numbers)
    site = await market.service.pool()
    made = await market.order(site.pool_id, vendor=vendor, quantity=len(numbers))
    assert (await market.until_closed(made))["state"] == "done"
    return site


async def give_back(market: Market, site: Site, number: str, **body: object) -> Json:
    """Ask for a number to be given back."""
    answer = await market.service.admin(
        "POST", f"/pools/{site.pool_id}/numbers/{number}/release", body
    )
    assert answer.status_code == 202, answer.text
    found: Json = answer.json()
    assert answer.headers["location"] == f"/releases/{found['id']}"
    return found


async def state(market: Market, made: Json) -> str:
    """Where a release is."""
    return str((await market.read(f"/releases/{made['id']}"))["state"])


@VENDORS
async def test_a_number_leaves_the_pool_and_then_the_account(
    market: Market, vendor_name: str
) -> None:
    """Nobody leases it, nobody pays for it."""
    site = await bought(market, ONE, TWO, vendor=vendor_name)

    made = await give_back(market, site, ONE)
    await market.round()

    assert await state(market, made) == "done"
    assert list(market.vendor.sold) == [TWO]
    assert list(await market.numbers(site.pool_id)) == [TWO]


async def test_a_number_rests_first_and_is_kept_when_it_is_called_off(market: Market) -> None:
    """While it rests nobody is given it; it comes back in an instant."""
    site = await bought(market, ONE)
    made = await give_back(market, site, ONE, rest_s=3600)
    await market.round()
    (resting,) = await site.view("ann")
    assert (resting.status, await state(market, made)) == ("original", "resting")

    await market.service.admin("POST", f"/releases/{made['id']}/cancel")
    await market.round(after_s=7200)

    assert await state(market, made) == "cancelled"
    assert await site.number("ann") == ONE
    assert list(market.vendor.sold) == [ONE]


async def test_a_visitor_keeps_the_number_until_they_leave(market: Market) -> None:
    """It is given back after its lease, and not a moment before."""
    site = await bought(market, ONE)
    assert await site.number("ann") == ONE
    made = await give_back(market, site, ONE)
    await market.round()
    during = await state(market, made)
    late = await market.service.admin("POST", f"/releases/{made['id']}/cancel")

    await market.round(after_s=301)

    assert during == "leaving"
    assert_problem(late, 409, "purchase-closed")
    assert await state(market, made) == "done"
    assert market.vendor.sold == {}


async def test_a_vendor_that_is_away_is_asked_again(market: Market) -> None:
    """The number has left the pool already; the account follows."""
    site = await bought(market, ONE)
    market.vendor.faults["look_up"] = [Fault.BROKEN] * 3
    made = await give_back(market, site, ONE)
    await market.round()
    during = await market.read(f"/releases/{made['id']}")

    await market.round(after_s=60)

    assert (during["state"], during["problem"]) == ("releasing", "vendor-unavailable")
    assert await state(market, made) == "done"


async def test_a_number_that_somebody_attached_again_is_not_given_back(market: Market) -> None:
    """It is needed: whoever attached it would lose its calls."""
    site = await bought(market, ONE)
    market.vendor.faults["look_up"] = [Fault.BROKEN] * 3
    made = await give_back(market, site, ONE)
    await market.round()
    await market.service.pool(ONE)

    await market.round(after_s=60)

    assert await state(market, made) == "cancelled"
    assert list(market.vendor.sold) == [ONE]


async def test_asking_twice_is_asking_once(market: Market) -> None:
    """The second answer is the release that is under way."""
    site = await bought(market, ONE)

    first = await give_back(market, site, ONE, rest_s=60)
    second = await give_back(market, site, ONE, rest_s=60)

    assert first["id"] == second["id"]
    listed = await market.read(f"/releases?pool={site.pool_id}")
    assert [each["id"] for each in listed["releases"]] == [first["id"]]


async def test_a_number_of_no_known_vendor_needs_one_named(market: Market) -> None:
    """Attached by hand: nobody said whose it is."""
    site = await market.service.pool(ONE)
    path = f"/pools/{site.pool_id}/numbers/{ONE}/release"

    assert_problem(await market.service.admin("POST", path, {}), 422, "invalid-request")
    unknown = await market.service.admin("POST", path.replace(ONE, TWO), {"vendor": "twilio"})
    assert_problem(unknown, 404, "number-unknown")
    assert (await give_back(market, site, ONE, vendor="twilio"))["vendor"] == "twilio"


@VENDORS
async def test_reconcile_shows_both_differences(market: Market, vendor_name: str) -> None:
    """What is paid for and serves nobody; what is shown and does not ring."""
    site = await bought(market, ONE, TWO, vendor=vendor_name)
    market.vendor.put(THREE)
    market.vendor.sell(THREE, reference="bought by hand", told={})
    del market.vendor.sold[TWO]

    found = await market.read(f"/vendors/{vendor_name}/reconcile")

    assert (found["owned"], found["matched"]) == (2, 1)
    assert [(each["number"], each["reference"]) for each in found["unattached"]] == [
        (THREE, "bought by hand")
    ]
    assert found["unknown_to_vendor"] == [{"number": TWO, "pool": site.pool_id}]


async def test_a_pool_deleted_meanwhile_does_not_end_a_reconciliation(
    market: Market, redis_url: str
) -> None:
    """Its id was listed, and it is gone when it is looked at: its numbers are in no pool."""
    site = await bought(market, ONE)
    del market.vendor.sold[ONE]
    with redis.Redis.from_url(redis_url) as client:
        client.sadd(ShardKeys(0).pools, "pool_gone")

        found = await market.read("/vendors/twilio/reconcile")

        client.srem(ShardKeys(0).pools, "pool_gone")
    assert found["unknown_to_vendor"] == [{"number": ONE, "pool": site.pool_id}]


async def test_vendors_say_what_they_lack(market: Market) -> None:
    """An operator sees at once what to set."""
    found = {each["name"]: each for each in (await market.read("/vendors"))["vendors"]}

    assert {name for name, each in found.items() if each["configured"]} == {
        "sandbox", "telnyx", "twilio",
    }  # fmt: skip
