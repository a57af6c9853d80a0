"""A vendor that listens, and the shops of ours that buy from it."""

from collections.abc import AsyncIterator

import pytest

from dni_allocator.domain.shop import Shop
from tests.support.vendors.shops import shop_at
from tests.support.vendors.standin import Vendor, selling


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """The far side; every request that its document does not allow fails the test."""
    async with selling() as listening:
        yield listening


@pytest.fixture(params=["twilio", "telnyx"])
async def shop(request: pytest.FixtureRequest, vendor: Vendor) -> AsyncIterator[Shop]:
    """Our client of it, one after the other."""
    client = shop_at(vendor, request.param)
    yield client
    await client.close()
