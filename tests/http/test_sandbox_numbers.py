"""The vendor of fictional numbers: everything can be tried without an account."""

import pytest

from tests.http.test_bad_input import assert_problem
from tests.support.buying import Market
from tests.support.service import Service
from tests.support.vendors.standin import Vendor


@pytest.fixture
def market(service: Service) -> Market:
    """A service without any settings of vendors."""
    return Market(service, Vendor())


async def test_numbers_of_the_sandbox_are_bought_leased_and_given_back(market: Market) -> None:
    """The whole way, out of the box."""
    site = await market.service.pool()
    made = await market.order(site.pool_id, vendor="sandbox", quantity=3, prefix="480")
    ended = await market.until_closed(made)
    numbers = list(await market.numbers(site.pool_id))

    assert ended["state"] == "done"
    assert sorted(numbers) == ["+14805550100", "+14805550101", "+14805550102"]
    assert await site.number("ann") in numbers

    await market.service.admin(
        "POST", f"/pools/{site.pool_id}/numbers/{numbers[0]}/release", {"vendor": "sandbox"}
    )
    await market.round(after_s=400)
    found = await market.read("/vendors/sandbox/reconcile")
    assert (found["owned"], found["matched"]) == (2, 2)


@pytest.mark.parametrize(
    ("wishes", "country", "begins"),
    [
        ({}, "US", "+1602555"),
        ({"type": "toll_free"}, "US", "+1800555"),
        ({}, "CA", "+1416555"),
        ({}, "GB", "+442079460"),
        ({"near": "+12125550142"}, "US", "+1212555"),
    ],
)
async def test_the_stock_is_fictional_in_each_country(
    market: Market, wishes: dict[str, object], country: str, begins: str
) -> None:
    """Numbers that are set aside for films ring nowhere."""
    destination = {"GB": "+442079460999"}.get(country, "+16023133897")
    site = await market.service.pool(country=country, destinations=[destination])

    made = await market.order(site.pool_id, vendor="sandbox", **wishes)
    (line,) = (await market.until_closed(made))["lines"]

    assert line["number"].startswith(begins)


async def test_two_orders_never_get_one_number(market: Market) -> None:
    """The books say what was sold, whoever sells."""
    sites = [await market.service.pool() for _ in range(2)]
    made = [
        await market.order(site.pool_id, vendor="sandbox", quantity=60, area_code="602")
        for site in sites
    ]

    ended = [await market.until_closed(each) for each in made]

    assert sorted(each["attached"] for each in ended) == [40, 60]
    assert sorted(each["state"] for each in ended) == ["done", "partial"]


async def test_vendors_without_credentials_are_told_apart_from_unknown_ones(
    market: Market,
) -> None:
    """What is missing is said; nothing is ordered."""
    site = await market.service.pool()
    body = {"pool": site.pool_id, "vendor": "twilio", "quantity": 1}

    answer = await market.service.admin("POST", "/purchases", body)

    assert_problem(answer, 409, "vendor-not-configured")
    assert "DNI_TWILIO_ACCOUNT_SID" in answer.json()["detail"]
    (twilio,) = [
        each for each in (await market.read("/vendors"))["vendors"] if each["name"] == "twilio"
    ]
    assert not twilio["configured"]
