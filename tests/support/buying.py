"""A service that buys from a stand-in, and its buyer, driven a round at a time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dni_allocator.services.history import Historian
from tests.support.clock import ManualClock
from tests.support.service import Service, serving
from tests.support.vendors.shops import IMPATIENT
from tests.support.vendors.standin import SID, TOKEN, Vendor

Json = dict[str, Any]


def vendor_settings(vendor: Vendor) -> dict[str, str]:
    """Settings that point both vendors at a stand-in, by the names of `Settings`."""
    return {
        "public_url": "https://dni.example",
        "twilio_account_sid": SID,
        "twilio_auth_token": TOKEN,
        "twilio_api_url": vendor.url,
        "twilio_pricing_url": vendor.url,
        "telnyx_api_key": TOKEN,
        "telnyx_api_url": f"{vendor.url}/v2",
        "telnyx_connection_id": "connection-1",
    }


@dataclass(slots=True)
class Market:
    """The service and the vendor it buys from."""

    service: Service
    vendor: Vendor
    historian: Historian = field(init=False)

    def __post_init__(self) -> None:
        """One historian throughout: another would find the shards locked."""
        self.historian = self.service.app.historian()

    async def look(self) -> None:
        """Note what happened and how full the pools are."""
        await self.historian.round()

    async def order(self, pool_id: str, **wishes: object) -> Json:
        """Order one local number of the pool's country, or what is wished."""
        body = {"pool": pool_id, "vendor": "twilio", "quantity": 1, **wishes}
        answer = await self.service.admin("POST", "/purchases", body)
        assert answer.status_code == 202, answer.text
        found: Json = answer.json()
        return found

    async def round(self, *, after_s: float = 0) -> None:
        """Let time pass, then let the buyer go round once."""
        self.service.clock.advance(seconds=after_s)
        assert await self.service.app.services.buyer.once()

    async def read(self, path: str) -> Json:
        """GET as an operator."""
        answer = await self.service.admin("GET", path)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def purchase(self, made: Json) -> Json:
        """An order as it is now."""
        return await self.read(f"/purchases/{made['id']}")

    async def until_closed(self, made: Json, *, rounds: int = 40, step_s: float = 60) -> Json:
        """Go round until the order is closed."""
        seen: Json = {}
        for _ in range(rounds):
            await self.round()
            seen = await self.purchase(made)
            if seen["state"] in {"done", "partial", "failed", "cancelled"}:
                return seen
            self.service.clock.advance(seconds=step_s)
        raise AssertionError(f"the order does not come to an end: {seen}")

    async def numbers(self, pool_id: str) -> dict[str, Json]:
        """The numbers of a pool with their facts."""
        page = await self.read(f"/pools/{pool_id}/numbers?limit=200")
        return {each["number"]: each for each in page["numbers"]}


@asynccontextmanager
async def trading(
    redis_url: str,
    vendor: Vendor,
    *,
    clock: ManualClock | None = None,
    more: Mapping[str, object] | None = None,
) -> AsyncIterator[Market]:
    """A service whose vendors are the stand-in."""
    settings = {**vendor_settings(vendor), **(more or {})}
    async with serving(redis_url, clock=clock, more=settings, patience=IMPATIENT) as service:
        yield Market(service, vendor)
