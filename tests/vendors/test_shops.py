"""What both vendors' shops do alike, each in its vendor's own words."""

from decimal import Decimal

import pytest

from dni_allocator.domain.errors import VendorRefused, VendorUnavailable
from dni_allocator.domain.number import NumberType
from dni_allocator.domain.shop import Shop, Standing, Wanted
from tests.support.rig import fictional
from tests.support.vendors.standin import Fault, Vendor

ONE, TWO, THREE = fictional(3)
ELSEWHERE = "+12125550100"
FREE = "+18005550199"
ANY = Wanted(country="US")


async def test_search_finds_numbers_of_an_area_with_price_and_place(
    shop: Shop, vendor: Vendor
) -> None:
    """What the vendor knows of a number goes with it into the pool."""
    vendor.put(ONE, ELSEWHERE)

    (offer,) = await shop.search(Wanted(country="US", area_code="602"), limit=10)

    assert offer.number == ONE
    assert offer.price is not None
    assert (offer.price.monthly, offer.price.currency) == (Decimal("1.15"), "USD")
    assert (offer.facts["rate_centre"], offer.facts["region"]) == ("PHOENIX", "AZ")


async def test_search_by_prefix_and_kind(shop: Shop, vendor: Vendor) -> None:
    """A prefix may be longer than an area code; toll-free numbers are a stock of their own."""
    vendor.put(ONE, ELSEWHERE)
    vendor.put(FREE, toll_free=True)

    local = await shop.search(Wanted(country="US", prefix="212555"), limit=10)
    toll_free = await shop.search(Wanted(country="US", type=NumberType.TOLL_FREE), limit=10)

    assert [offer.number for offer in local] == [ELSEWHERE]
    assert [offer.number for offer in toll_free] == [FREE]


async def test_search_near_a_number_and_in_a_rate_centre(shop: Shop, vendor: Vendor) -> None:
    """Both are questions the vendor's document knows; the stand-in would object otherwise."""
    vendor.put(ONE)

    near = await shop.search(Wanted(country="US", near=ONE), limit=10)
    centre = await shop.search(
        Wanted(country="US", rate_centre="PHOENIX", lata="666" if shop.name == "twilio" else ""),
        limit=10,
    )

    assert [offer.number for offer in near] == [ONE]
    assert [offer.number for offer in centre] == [ONE]


async def test_an_order_buys_and_points_calls_at_this_service(shop: Shop, vendor: Vendor) -> None:
    """Bought under our reference, and ready to ring from the first moment."""
    vendor.put(ONE, TWO)

    holdings = await shop.order([ONE, TWO], reference="pur_1")

    assert {each.number: each.standing for each in holdings} == {
        ONE: Standing.OWNED,
        TWO: Standing.OWNED,
    }
    assert vendor.sales == [ONE, TWO]
    told = vendor.sold[ONE].told
    assert (
        told.get("VoiceUrl") == "https://dni.example/telephony/twilio/voice"
        or told.get("connection_id") == "connection-1"
    )


async def test_one_number_that_is_gone_spoils_none_of_the_others(
    shop: Shop, vendor: Vendor
) -> None:
    """Between search and order somebody else may have been quicker."""
    vendor.put(ONE, TWO, THREE)
    vendor.gone.add(TWO)

    holdings = await shop.order([ONE, TWO, THREE], reference="pur_1")

    standings = {each.number: each.standing for each in holdings}
    assert standings[ONE] is Standing.OWNED
    assert standings[TWO] is Standing.FAILED
    assert standings[THREE] is Standing.OWNED
    assert next(each.detail for each in holdings if each.number == TWO) in {"21422", "85006"}


@pytest.mark.parametrize("fault", [Fault.SILENT_AFTER, Fault.BROKEN_AFTER, Fault.NONSENSE])
async def test_an_answer_that_says_nothing_leaves_doubt_and_is_not_asked_again(
    shop: Shop, vendor: Vendor, fault: Fault
) -> None:
    """The vendor has sold it; only a look at the account tells."""
    vendor.put(ONE)
    vendor.faults["order"] = [fault]

    (holding,) = await shop.order([ONE], reference="pur_1")
    looked = await shop.look_up("pur_1")

    assert holding.standing is Standing.UNKNOWN
    assert vendor.sales == [ONE]
    assert [(each.number, each.standing) for each in looked] == [(ONE, Standing.OWNED)]


async def test_an_overloaded_vendor_is_asked_again(shop: Shop, vendor: Vendor) -> None:
    """429 says that nothing was done, so an order may be repeated; here it works the third time."""
    vendor.put(ONE)
    vendor.faults["order"] = [Fault.BUSY, Fault.BUSY]

    (holding,) = await shop.order([ONE], reference="pur_1")

    assert holding.standing is Standing.OWNED
    assert vendor.sales == [ONE]


async def test_a_search_is_asked_again_after_any_failure_and_then_gives_up(
    shop: Shop, vendor: Vendor
) -> None:
    """Looking costs nothing."""
    vendor.put(ONE)
    vendor.faults["search"] = [Fault.BROKEN, Fault.SILENT]

    assert len(await shop.search(ANY, limit=10)) == 1

    vendor.faults["search"] = [Fault.BROKEN] * 3
    with pytest.raises(VendorUnavailable):
        await shop.search(ANY, limit=10)


async def test_wrong_credentials_are_told_as_such(shop: Shop, vendor: Vendor) -> None:
    """Nobody should wait for that to pass."""
    vendor.put(ONE)
    vendor.faults["search"] = [Fault.REFUSED]
    vendor.faults["order"] = [Fault.REFUSED]

    with pytest.raises(VendorRefused):
        await shop.search(ANY, limit=10)
    with pytest.raises(VendorRefused):
        await shop.order([ONE], reference="pur_1")


async def test_look_up_finds_what_was_bought_under_a_reference_only(
    shop: Shop, vendor: Vendor
) -> None:
    """Other numbers of the account are none of the order's business."""
    vendor.put(ONE, TWO)
    await shop.order([ONE], reference="pur_1")
    await shop.order([TWO], reference="pur_2")

    assert [each.number for each in await shop.look_up("pur_2")] == [TWO]
    assert await shop.look_up("pur_3") == []


async def test_release_gives_back_that_number_and_can_be_repeated(
    shop: Shop, vendor: Vendor
) -> None:
    """A lost answer must not make it an error."""
    vendor.put(ONE, TWO)
    await shop.order([ONE, TWO], reference="pur_1")
    vendor.faults["release"] = [Fault.BROKEN_AFTER]

    await shop.release(ONE)
    await shop.release(ONE)

    assert list(vendor.sold) == [TWO]


async def test_owned_walks_all_pages(shop: Shop, vendor: Vendor) -> None:
    """An account with thousands of numbers is read to its end."""
    numbers = fictional(7)
    vendor.put(*numbers)
    await shop.order(numbers, reference="pur_1")
    vendor.page_size = 3

    owned = await shop.owned()

    assert sorted(each.number for each in owned) == sorted(numbers)
    assert {each.reference for each in owned} == {"pur_1"}
