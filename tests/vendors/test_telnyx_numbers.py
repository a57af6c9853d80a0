"""What only Telnyx has: orders that take time, and an application that answers calls."""

import pytest

from dni_allocator.domain.shop import Standing
from tests.support.rig import fictional
from tests.support.vendors.shops import shop_at
from tests.support.vendors.standin import VOICE, Vendor

(ONE,) = fictional(1)


@pytest.mark.parametrize(
    ("fails", "end"), [(False, Standing.OWNED), (True, Standing.FAILED)], ids=["sold", "refused"]
)
async def test_a_pending_order_is_pending_until_the_vendor_decides(
    vendor: Vendor, *, fails: bool, end: Standing
) -> None:
    """Some numbers need documents or a carrier's word first."""
    vendor.put(ONE)
    vendor.pending_looks = 2
    vendor.pending_fails = {ONE} if fails else set()
    shop = shop_at(vendor, "telnyx")

    (ordered,) = await shop.order([ONE], reference="pur_1")
    looks = [(await shop.look_up("pur_1"))[0].standing for _ in range(2)]
    await shop.close()

    assert ordered.standing is Standing.PENDING
    assert looks == [Standing.PENDING, end]


async def test_an_application_that_answers_calls_is_made_once(vendor: Vendor) -> None:
    """Numbers are bound to it; a second process finds the first one's."""
    vendor.put(*fictional(2))
    for number in fictional(2):
        shop = shop_at(vendor, "telnyx", connection_id=None)
        await shop.order([number], reference="pur_1")
        await shop.close()

    (application,) = vendor.applications
    assert application["voice_url"] == f"{VOICE}/telnyx/voice"
    assert {sold.told["connection_id"] for sold in vendor.sold.values()} == {"app1"}


async def test_an_application_of_an_old_address_is_mended(vendor: Vendor) -> None:
    """After a move of the service calls must not ring in the void."""
    vendor.put(ONE)
    vendor.applications.append(
        {"id": "app7", "friendly_name": "dni-allocator", "voice_url": "https://old.example/x"}
    )
    shop = shop_at(vendor, "telnyx", connection_id=None)

    await shop.order([ONE], reference="pur_1")
    await shop.close()

    assert vendor.applications[0]["voice_url"] == f"{VOICE}/telnyx/voice"
