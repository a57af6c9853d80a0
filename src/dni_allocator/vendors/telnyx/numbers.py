"""Telnyx' shop: available_phone_numbers, number_orders, phone_numbers, texml_applications (v2).

By the public reference, https://developers.telnyx.com/api-reference. An order carries our own as
its `customer_reference` and is found by it when in doubt. Calls are answered by the TeXML
application that the numbers are bound to: the configured one, or one of our own that is made when
first needed.
"""

from collections.abc import Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Final

import orjson
from pydantic import BaseModel, BeforeValidator, Field

from dni_allocator.domain.errors import VendorRefused, VendorUnavailable
from dni_allocator.domain.number import NumberType, parse_number
from dni_allocator.domain.place import place_of
from dni_allocator.domain.shop import Holding, Offer, Price, Standing, VoiceTarget, Wanted
from dni_allocator.vendors.rest import Patience, Refused, Rest

API: Final = "https://api.telnyx.com/v2"
APPLICATION: Final = "dni-allocator"
"""Name of the TeXML application that is made."""

_PAGE: Final = 250
_MOST_PAGES: Final = 400
_TYPES: Final = {NumberType.LOCAL: "local", NumberType.TOLL_FREE: "toll_free"}
_STANDINGS: Final = {
    "success": Standing.OWNED, "pending": Standing.PENDING, "failure": Standing.FAILED,
}  # fmt: skip


def _text(value: object) -> object:
    return "" if value is None else str(value)


Text = Annotated[str, BeforeValidator(_text)]


class _Cost(BaseModel):
    currency: str = "USD"
    monthly_cost: Decimal
    upfront_cost: Decimal = Decimal(0)


class _Region(BaseModel):
    region_name: Text = ""
    region_type: Text = ""


class _Feature(BaseModel):
    name: Text = ""


class _Available(BaseModel):
    phone_number: str
    cost_information: _Cost | None = None
    region_information: list[_Region] = []
    features: list[_Feature] = []


class _AvailablePage(BaseModel):
    data: list[_Available]


class _OrderedNumber(BaseModel):
    id: Text = ""
    phone_number: str
    status: Text = "pending"
    requirements_met: bool | None = None


class _Order(BaseModel):
    id: str
    customer_reference: Text = ""
    phone_numbers: list[_OrderedNumber] = []


class _OneOrder(BaseModel):
    data: _Order


class _Meta(BaseModel):
    total_pages: int = 1


class _Listed(BaseModel):
    """An order as the list has it: without what became of its numbers."""

    id: str = Field(pattern=r"^[\w-]+$")
    customer_reference: Text = ""


class _Orders(BaseModel):
    data: list[_Listed]
    meta: _Meta = _Meta()


class _Owned(BaseModel):
    id: str
    phone_number: str
    status: Text = ""
    customer_reference: Text = ""


class _OwnedPage(BaseModel):
    data: list[_Owned]
    meta: _Meta = _Meta()


class _Application(BaseModel):
    id: Text
    friendly_name: str
    voice_url: Text = ""


class _OneApplication(BaseModel):
    data: _Application


class _Applications(BaseModel):
    data: list[_Application]


class TelnyxNumbers:
    """See `domain.shop.Shop`."""

    name = "telnyx"

    def __init__(
        self,
        *,
        api_key: str,
        voice: VoiceTarget,
        connection_id: str | None = None,
        api_url: str = API,
        patience: Patience | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"}
        # A slash at the end, or httpx would take `/v2` for the name of a file.
        self._rest = Rest(
            api_url.rstrip("/") + "/", vendor="Telnyx", headers=headers, patience=patience
        )
        self._voice = voice
        self._connection_id = connection_id

    async def close(self) -> None:
        """Close every connection."""
        await self._rest.close()

    async def search(self, wanted: Wanted, *, limit: int) -> Sequence[Offer]:
        """Stock with voice. Near a number: its area code, and what Telnyx holds close to it."""
        params = [
            (f"filter[{name}]", value) for name, value in _search_of(wanted, limit=limit).items()
        ]
        page = await self._rest.read("available_phone_numbers", _AvailablePage, params=params)
        return [
            Offer(number=each.phone_number, price=_price(each), facts=_facts(each))
            for each in page.data
            if not each.features or any(feature.name == "voice" for feature in each.features)
        ]

    async def order(self, numbers: Sequence[str], *, reference: str) -> Sequence[Holding]:
        """One order for all. Where Telnyx refuses it as a whole, one for each: some may be good."""
        try:
            connection_id = await self._connection()
            return await self._place(numbers, reference=reference, connection_id=connection_id)
        except Refused as refused:
            if refused.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise
            if len(numbers) == 1:
                detail = _code(refused)
                return [Holding(numbers[0], Standing.FAILED, reference=reference, detail=detail)]
        return [
            holding
            for number in numbers
            for holding in await self.order([number], reference=reference)
        ]

    async def look_up(self, reference: str) -> Sequence[Holding]:
        """The lines of all orders under the reference; of a number in several the best one.

        The list names the orders; only an order read by itself says what became of its numbers.
        """
        found: dict[str, Holding] = {}
        for order_id in await self._orders_of(reference):
            order = await self._rest.read(f"number_orders/{order_id}", _OneOrder)
            for holding in _holdings(order.data):
                known = found.get(holding.number)
                if known is None or known.standing is Standing.FAILED:
                    found[holding.number] = holding
        return list(found.values())

    async def _orders_of(self, reference: str) -> list[str]:
        found: list[str] = []
        for number in range(1, _MOST_PAGES + 1):
            params = [("filter[customer_reference]", reference), *_page(number)]
            page = await self._rest.read("number_orders", _Orders, params=params)
            found += [each.id for each in page.data if each.customer_reference == reference]
            if number >= page.meta.total_pages:
                break
        return found

    async def release(self, number: str) -> None:
        """Find the number's record and delete it."""
        params = [("filter[phone_number]", number), *_page(1)]
        page = await self._rest.read("phone_numbers", _OwnedPage, params=params)
        for each in page.data:
            if each.phone_number == number and each.status != "deleted":
                await self._rest.drop(f"phone_numbers/{each.id}")

    async def owned(self) -> Sequence[Holding]:
        """All records of the account, 250 a page; those that left it are left out."""
        found = []
        for number in range(1, _MOST_PAGES + 1):
            page = await self._rest.read("phone_numbers", _OwnedPage, params=_page(number))
            for each in page.data:
                if each.status not in {"deleted", "ported-out", "purchase-failed", "port-failed"}:
                    pending = each.status.endswith("pending") and each.status != "port-out-pending"
                    standing = Standing.PENDING if pending else Standing.OWNED
                    found.append(
                        Holding(each.phone_number, standing, each.id, each.customer_reference)
                    )
            if number >= page.meta.total_pages:
                return found
        raise VendorRefused(f"Telnyx lists more than {_MOST_PAGES * _PAGE:,} numbers.")

    async def _place(
        self, numbers: Sequence[str], *, reference: str, connection_id: str
    ) -> list[Holding]:
        body = {
            "phone_numbers": [{"phone_number": number} for number in numbers],
            "connection_id": connection_id,
            "customer_reference": reference,
        }
        try:
            placed = await self._rest.act("number_orders", _OneOrder, json=body)
        except VendorUnavailable:
            return [Holding(number, Standing.UNKNOWN, reference=reference) for number in numbers]
        return _holdings(placed.data)

    async def _connection(self) -> str:
        """The application that answers calls: found by its name, made or mended where need be.

        Two that make it at once make two of one name; either will do.
        """
        if self._connection_id is None:
            params = [("filter[friendly_name]", APPLICATION)]
            listed = await self._rest.read("texml_applications", _Applications, params=params)
            ours = [each for each in listed.data if each.friendly_name == APPLICATION]
            body = {
                "friendly_name": APPLICATION,
                "voice_url": self._voice.voice_url,
                "voice_method": "post",
                "status_callback": self._voice.status_url,
                "status_callback_method": "post",
            }
            if not ours:
                made = await self._rest.act("texml_applications", _OneApplication, json=body)
                ours = [made.data]
            elif ours[0].voice_url != self._voice.voice_url:
                path = f"texml_applications/{ours[0].id}"
                await self._rest.act(path, _OneApplication, json=body, method="PATCH")
            self._connection_id = ours[0].id
        return self._connection_id


def _search_of(wanted: Wanted, *, limit: int) -> dict[str, str]:
    """The filters. An area outside the stock is left to `Wanted.fits`."""
    filters = {
        "country_code": wanted.country,
        "phone_number_type": _TYPES.get(wanted.type, "mobile"),
        "limit": str(limit),
        "exclude_held_numbers": "true",
    }
    if wanted.prefix:
        filters["phone_number][starts_with"] = wanted.prefix
    if wanted.area_code:
        filters["national_destination_code"] = wanted.area_code
    elif wanted.near and not wanted.prefix:
        near = place_of(parse_number(wanted.near, country=wanted.country))
        filters["national_destination_code"] = near.area_code
        filters["best_effort"] = "true"
    if wanted.rate_centre:
        filters["rate_center"] = wanted.rate_centre
    if wanted.region:
        filters["administrative_area"] = wanted.region
    return filters


def _page(number: int) -> list[tuple[str, str]]:
    return [("page[size]", str(_PAGE)), ("page[number]", str(number))]


def _price(each: _Available) -> Price | None:
    cost = each.cost_information
    if cost is None:
        return None
    return Price(cost.monthly_cost, cost.upfront_cost, cost.currency.upper())


def _facts(each: _Available) -> dict[str, object]:
    told = {region.region_type: region.region_name for region in each.region_information}
    facts = {"rate_centre": told.get("rate_center"), "region": told.get("state")}
    return {name: value for name, value in facts.items() if value}


def _holdings(order: _Order) -> list[Holding]:
    return [
        Holding(
            number=each.phone_number,
            standing=_STANDINGS.get(each.status, Standing.PENDING),
            vendor_id=each.id,
            reference=order.customer_reference,
            detail="requirements" if each.requirements_met is False else "",
        )
        for each in order.phone_numbers
    ]


def _code(refused: Refused) -> str:
    """The code of Telnyx' first error; else the status."""
    try:
        told = orjson.loads(refused.body)
        return str(told["errors"][0]["code"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return str(refused.status)
