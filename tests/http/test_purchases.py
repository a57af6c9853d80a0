"""Orders of numbers, from the request to numbers that serve, against a vendor that misbehaves."""

import random
from collections.abc import AsyncIterator

import pytest
import redis

from tests.http.test_bad_input import assert_problem
from tests.support import invariants
from tests.support.buying import Market, trading
from tests.support.rig import fictional
from tests.support.service import POOL
from tests.support.vendors.standin import Fault, selling

ONE, TWO, THREE, FOUR = fictional(4)
VENDORS = pytest.mark.parametrize("vendor_name", ["twilio", "telnyx"])


@pytest.fixture
async def market(redis_url: str) -> AsyncIterator[Market]:
    """The service and its vendor; the invariants are checked when the test is over."""
    async with selling() as vendor, trading(redis_url, vendor) as market:
        yield market
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)


@VENDORS
async def test_what_is_ordered_is_bought_attached_and_leased(
    market: Market, vendor_name: str
) -> None:
    """From the order to a visitor's number, with what the vendor knows of it."""
    market.vendor.put(ONE, TWO, THREE)
    site = await market.service.pool()

    made = await market.order(site.pool_id, vendor=vendor_name, quantity=2, area_code="602")
    assert made["state"] == "searching"
    ended = await market.until_closed(made)

    assert (ended["state"], ended["attached"], ended["problem"]) == ("done", 2, None)
    assert market.vendor.sales == [ONE, TWO]
    facts = (await market.numbers(site.pool_id))[ONE]["facts"]
    assert facts["rate_centre"] == "PHOENIX"
    assert (facts["vendor"], facts["purchase_id"], facts["monthly_cost"]) == (
        vendor_name, made["id"], "1.15",
    )  # fmt: skip
    assert await site.number("ann") in {ONE, TWO}


@VENDORS
@pytest.mark.parametrize("fault", [Fault.SILENT_AFTER, Fault.BROKEN_AFTER, Fault.NONSENSE])
async def test_an_order_without_an_answer_is_looked_up_and_bought_once(
    market: Market, vendor_name: str, fault: Fault
) -> None:
    """The timeout after success: the vendor has sold, and we were not told."""
    market.vendor.put(ONE, TWO)
    market.vendor.faults["order"] = [fault]
    site = await market.service.pool()

    ended = await market.until_closed(await market.order(site.pool_id, vendor=vendor_name))

    assert (ended["state"], ended["attached"]) == ("done", 1)
    assert market.vendor.sales == [ONE]


@VENDORS
async def test_an_order_that_never_arrived_is_placed_again_for_the_same_number(
    market: Market, vendor_name: str
) -> None:
    """The look-up finds nothing, so nothing was bought."""
    market.vendor.put(ONE, TWO)
    market.vendor.faults["order"] = [Fault.SILENT, Fault.BROKEN]
    site = await market.service.pool()

    ended = await market.until_closed(await market.order(site.pool_id, vendor=vendor_name))

    assert ended["state"] == "done"
    assert market.vendor.sales == [ONE]


async def test_a_sale_that_shows_late_is_not_replaced_by_another(market: Market) -> None:
    """It is "not available" because it is being sold to us: two minutes are waited for."""
    market.vendor.put(ONE, TWO)
    market.vendor.faults["order"] = [Fault.SILENT]
    site = await market.service.pool()
    made = await market.order(site.pool_id)
    await market.round()
    market.vendor.gone.add(ONE)
    await market.round(after_s=10)
    in_doubt = await market.purchase(made)

    market.vendor.gone.clear()
    market.vendor.sell(ONE, reference=made["id"], told={})
    ended = await market.until_closed(made)

    assert [line["state"] for line in in_doubt["lines"]] == ["asked"]
    assert ended["state"] == "done"
    assert market.vendor.sales == [ONE]


async def test_a_number_that_is_surely_not_to_be_had_is_replaced(market: Market) -> None:
    """Once the doubt has settled, the order goes on with another number."""
    market.vendor.put(ONE, TWO)
    market.vendor.faults["order"] = [Fault.SILENT]
    site = await market.service.pool()
    made = await market.order(site.pool_id)
    await market.round()
    market.vendor.gone.add(ONE)

    ended = await market.until_closed(made)

    assert ended["state"] == "done"
    assert [(line["number"], line["state"]) for line in ended["lines"]] == [
        (ONE, "failed"),
        (TWO, "attached"),
    ]
    assert market.vendor.sales == [TWO]


@VENDORS
async def test_partial_success_is_said_as_such(market: Market, vendor_name: str) -> None:
    """Two of three: the two serve, and the event says what is missing."""
    market.vendor.put(ONE, TWO)
    site = await market.service.pool()

    made = await market.order(site.pool_id, vendor=vendor_name, quantity=3)
    ended = await market.until_closed(made)

    assert (ended["state"], ended["attached"], ended["problem"]) == ("partial", 2, "out_of_stock")
    (event,) = [
        each
        for each in (await market.read("/events?type=purchase.ended"))["events"]
        if each["data"]["purchase_id"] == made["id"]
    ]
    assert event["data"] == {
        "event_id": event["data"]["event_id"], "pool_id": site.pool_id,
        "purchase_id": made["id"], "vendor": vendor_name, "reason": "partial",
        "quantity": "3", "attached": "2", "problem": "out_of_stock",
    }  # fmt: skip


@pytest.mark.parametrize(("fails", "state"), [(False, "done"), (True, "partial")])
async def test_a_pending_order_is_followed_to_the_end(
    market: Market, *, fails: bool, state: str
) -> None:
    """What came at once serves at once; the rest when the vendor is done with it."""
    market.vendor.put(ONE, TWO)
    market.vendor.pending_looks = 3
    market.vendor.pending_fails = {ONE} if fails else set()
    site = await market.service.pool()
    made = await market.order(site.pool_id, vendor="telnyx", quantity=2)
    await market.round()

    pending = await market.purchase(made)
    ended = await market.until_closed(made)

    assert pending["state"] == "pending"
    assert (ended["state"], ended["attached"]) == (state, 1 if fails else 2)


@VENDORS
async def test_nothing_dearer_than_the_ceiling_is_bought(market: Market, vendor_name: str) -> None:
    """Cheaper ones are."""
    market.vendor.put(ONE, TWO, monthly="4.00")
    site = await market.service.pool()

    dear = await market.order(site.pool_id, vendor=vendor_name, price_ceiling="3.99")
    ended = await market.until_closed(dear)
    assert (ended["state"], ended["problem"]) == ("failed", "over_ceiling")

    fair = await market.order(site.pool_id, vendor=vendor_name, price_ceiling="4.00")
    assert (await market.until_closed(fair))["state"] == "done"
    assert market.vendor.sales == [ONE]


async def test_a_ceiling_in_another_currency_buys_nothing(market: Market) -> None:
    """Four of what? Better none than a guess."""
    market.vendor.put(ONE)
    site = await market.service.pool()

    made = await market.order(site.pool_id, price_ceiling="100", currency="SEK")

    assert (await market.until_closed(made))["problem"] == "over_ceiling"


async def test_a_dry_run_says_what_would_be_ordered_and_buys_nothing(market: Market) -> None:
    """With prices, so that somebody can decide."""
    market.vendor.put(ONE, TWO)
    site = await market.service.pool()

    ended = await market.until_closed(await market.order(site.pool_id, dry_run=True, quantity=2))

    assert ended["state"] == "done"
    assert [(line["number"], line["state"], line["monthly_cost"]) for line in ended["lines"]] == [
        (ONE, "offered", "1.15"),
        (TWO, "offered", "1.15"),
    ]
    assert market.vendor.sales == []


async def test_wrong_credentials_end_an_order_before_anything_was_bought(market: Market) -> None:
    """An operator has to act; waiting does not help."""
    market.vendor.put(ONE)
    market.vendor.faults["search"] = [Fault.REFUSED]
    site = await market.service.pool()

    ended = await market.until_closed(await market.order(site.pool_id))

    assert (ended["state"], ended["problem"]) == ("failed", "vendor-refused")


async def test_a_vendor_that_is_away_is_waited_for(market: Market) -> None:
    """The order stands, says why, and goes on by itself."""
    market.vendor.put(ONE)
    market.vendor.faults["search"] = [Fault.BROKEN] * 3
    site = await market.service.pool()
    made = await market.order(site.pool_id)
    await market.round()

    waiting = await market.purchase(made)
    ended = await market.until_closed(made)

    assert (waiting["state"], waiting["problem"]) == ("searching", "vendor-unavailable")
    assert (ended["state"], ended["problem"]) == ("done", None)


async def test_a_cancelled_order_buys_nothing_more(market: Market) -> None:
    """One that has asked for nothing ends at once; a second call is told so."""
    market.vendor.put(ONE)
    site = await market.service.pool()
    made = await market.order(site.pool_id)

    cancelled = await market.service.admin("POST", f"/purchases/{made['id']}/cancel")
    await market.round()

    assert cancelled.json()["state"] == "cancelled"
    assert market.vendor.sales == []
    again = await market.service.admin("POST", f"/purchases/{made['id']}/cancel")
    assert_problem(again, 409, "purchase-closed")


async def test_a_cancelled_order_in_doubt_keeps_what_was_bought(market: Market) -> None:
    """Money that was spent is not thrown away, and the number serves."""
    market.vendor.put(ONE, TWO)
    market.vendor.faults["order"] = [Fault.SILENT_AFTER]
    site = await market.service.pool()
    made = await market.order(site.pool_id, quantity=2)
    await market.round()
    await market.service.admin("POST", f"/purchases/{made['id']}/cancel")

    ended = await market.until_closed(made)

    assert (ended["state"], ended["attached"]) == ("partial", 1)
    assert market.vendor.sales == [ONE]


async def test_auto_buy_fills_a_new_pool(market: Market) -> None:
    """Dialics' form: country, prefix, quantity."""
    market.vendor.put(ONE, TWO, "+12125550100")
    body = {**POOL, "vendor": "twilio", "auto_buy": {"prefix": "+1602", "quantity": 2}}

    made = await market.service.admin("POST", "/pools", body)
    assert made.status_code == 201, made.text
    pool = made.json()
    ended = await market.until_closed({"id": pool["purchase_id"]})

    assert (ended["origin"], ended["state"]) == ("auto_buy", "done")
    assert sorted(await market.numbers(pool["id"])) == [ONE, TWO]


async def test_auto_buy_that_cannot_be_leaves_no_pool_behind(market: Market) -> None:
    """Bad input: nothing written."""
    for auto_buy, code in (
        ({"quantity": 2, "vendor": "acme"}, "vendor-unknown"),
        ({"quantity": 2, "vendor": "twilio", "prefix": "+44"}, "invalid-request"),
        ({"quantity": 2}, "invalid-request"),
    ):
        answer = await market.service.admin("POST", "/pools", {**POOL, "auto_buy": auto_buy})
        assert answer.json()["code"] == code

    assert (await market.read("/pools"))["pools"] == []


@pytest.mark.parametrize(
    ("wishes", "status", "code"),
    [
        ({"quantity": 0}, 422, "invalid-request"),
        ({"quantity": 501}, 422, "invalid-request"),
        ({"pool": "pool_none"}, 404, "pool-unknown"),
        ({"vendor": "acme"}, 404, "vendor-unknown"),
        ({"country": "GB"}, 422, "invalid-request"),
        ({"near": "nowhere"}, 422, "invalid-number"),
        ({"price_ceiling": "-1"}, 422, "invalid-request"),
        ({"colour": "red"}, 422, "invalid-request"),
        ({"area_code": "602", "prefix": "212"}, 422, "invalid-request"),
        ({"quantity": 3}, 422, "invalid-request"),
        ({"type": "toll_free"}, 422, "invalid-request"),
    ],
)
async def test_an_order_that_cannot_be_is_refused_with_a_clear_problem(
    market: Market, wishes: dict[str, object], status: int, code: str
) -> None:
    """The last two: more than max_size, and a kind that the pool does not take."""
    site = await market.service.pool(max_size=2, number_type="local")
    body = {"pool": site.pool_id, "vendor": "twilio", "quantity": 1, **wishes}
    before = market.service.contents()

    answer = await market.service.admin("POST", "/purchases", body)

    assert_problem(answer, status, code)
    assert market.service.contents() == before


async def test_numbers_a_pool_cannot_have_are_not_paid_for(market: Market) -> None:
    """One is attached elsewhere already, one is a destination of the pool."""
    market.vendor.put(ONE, TWO, THREE)
    await market.service.pool(ONE)
    site = await market.service.pool(destinations=[TWO])

    ended = await market.until_closed(await market.order(site.pool_id))

    assert [line["number"] for line in ended["lines"]] == [THREE]
    assert market.vendor.sales == [THREE]


async def test_orders_are_listed_newest_first_and_paged(market: Market) -> None:
    """Over all shards, without gaps or repetitions; of one pool on request."""
    sites = [await market.service.pool() for _ in range(3)]
    made = []
    for at in range(7):
        made.append((await market.order(sites[at % 3].pool_id))["id"])
        market.service.clock.advance(seconds=1)

    listed: list[str] = []
    query = ""
    while len(listed) < 20:
        page = await market.read(f"/purchases?limit=2{query}")
        listed += [each["id"] for each in page["purchases"]]
        if page["next_cursor"] is None:
            break
        query = f"&cursor={page['next_cursor']}"

    assert listed == made[::-1]
    of_one = await market.read(f"/purchases?pool={sites[0].pool_id}")
    assert [each["id"] for each in of_one["purchases"]] == [made[6], made[3], made[0]]
    assert_problem(await market.service.admin("GET", "/purchases?cursor=x"), 422, "invalid-request")
    assert_problem(await market.service.admin("GET", "/purchases/pur_x_y"), 404, "purchase-unknown")


async def test_a_pool_that_is_deleted_meanwhile_costs_nothing_more(market: Market) -> None:
    """The order finds nobody to buy for."""
    market.vendor.put(ONE)
    site = await market.service.pool()
    made = await market.order(site.pool_id)
    await market.service.admin("DELETE", f"/pools/{site.pool_id}")

    ended = await market.until_closed(made)

    assert ended["state"] == "failed"
    assert market.vendor.sales == []


async def test_an_order_sent_twice_with_one_key_is_one_order(market: Market) -> None:
    """The client lost our answer; with `max_size` reached the second is no refusal either."""
    market.vendor.put(ONE, TWO)
    site = await market.service.pool(max_size=1)
    body = {"pool": site.pool_id, "vendor": "twilio", "quantity": 1}
    key = {"Idempotency-Key": "order-7"}

    first = await market.service.admin("POST", "/purchases", body, **key)
    await market.until_closed(first.json())
    second = await market.service.admin("POST", "/purchases", body, **key)
    other = await market.service.admin("POST", "/purchases", {**body, "quantity": 2}, **key)

    assert (second.status_code, second.json()["id"]) == (202, first.json()["id"])
    assert second.json()["state"] == "done"
    assert_problem(other, 422, "invalid-request")
    assert market.vendor.sales == [ONE]


async def test_one_process_at_a_time_buys(market: Market, redis_url: str) -> None:
    """Another finds the lock taken, until it is given back."""
    market.vendor.put(ONE)
    site = await market.service.pool()
    made = await market.order(site.pool_id)
    async with trading(redis_url, market.vendor, clock=market.service.clock) as other:
        await market.round()
        assert not await other.service.app.services.buyer.once()

    assert (await market.purchase(made))["state"] == "done"
    assert market.vendor.sales == [ONE]


@VENDORS
@pytest.mark.parametrize("seed", range(2))
async def test_whatever_fails_no_order_buys_more_than_it_wants(
    market: Market, vendor_name: str, seed: int
) -> None:
    """Faults by chance in every kind of call: what was sold is what was wanted, and serves."""
    chance = random.Random(seed)  # noqa: S311 -- a simulation, with a seed
    faults = [Fault.BUSY, Fault.BROKEN, Fault.BROKEN_AFTER, Fault.NONSENSE]
    vendor = market.vendor
    site = await market.service.pool()
    for _ in range(3):
        stock = fictional(1000)
        vendor.put(*(number for number in chance.sample(stock, 12) if number not in vendor.sold))
        vendor.gone = set(chance.sample(sorted(vendor.stock), 3))
        vendor.pending_looks = chance.randrange(3)
        for operation in ("search", "order", "look_up"):
            vendor.faults[operation] = chance.choices(faults, k=chance.randrange(7))
        before, quantity = len(vendor.sales), chance.randint(1, 6)

        made = await market.order(site.pool_id, vendor=vendor_name, quantity=quantity)
        ended = await market.until_closed(made, rounds=60)

        sold = vendor.sales[before:]
        served = {line["number"] for line in ended["lines"] if line["state"] == "attached"}
        assert len(sold) <= quantity
        assert served == set(sold)
        assert ended["state"] == "done" or ended["problem"]
    assert len(vendor.sales) == len(set(vendor.sales)) > 2
    assert set(await market.numbers(site.pool_id)) == set(vendor.sales)


@VENDORS
async def test_calls_to_a_bought_number_are_sent_where_they_are_answered(
    market: Market, redis_url: str, vendor_name: str
) -> None:
    """The addresses the vendor is given are routes of this service."""
    market.vendor.put(ONE)
    more = {"telnyx_connection_id": None}
    async with trading(redis_url, market.vendor, more=more) as ours:
        site = await ours.service.pool()
        await ours.until_closed(await ours.order(site.pool_id, vendor=vendor_name))
        paths = ours.service.app.api.openapi()["paths"]

    told = (
        market.vendor.sold[ONE].told if vendor_name == "twilio" else market.vendor.applications[0]
    )
    names = {"twilio": ("VoiceUrl", "StatusCallback"), "telnyx": ("voice_url", "status_callback")}
    for name in names[vendor_name]:
        address = told[name]
        assert address.startswith("https://dni.example/telephony/")
        assert "post" in paths[address.removeprefix("https://dni.example")]
