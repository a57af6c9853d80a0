"""Twilio's shop: AvailablePhoneNumbers, IncomingPhoneNumbers and prices of the REST interface.

By the public description, https://github.com/twilio/twilio-oai (api_v2010, pricing_v1). Twilio
takes no idempotency key, so a number is tagged with its order (`FriendlyName`) in the request that
buys it, and an order in doubt is looked up by that tag.
"""

import time
from collections.abc import Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, BeforeValidator, Field

from dni_allocator.domain.errors import VendorRefused, VendorUnavailable
from dni_allocator.domain.number import NumberType
from dni_allocator.domain.shop import Holding, Offer, Price, Standing, VoiceTarget, Wanted
from dni_allocator.vendors.rest import Patience, Refused, Rest

API: Final = "https://api.twilio.com"
PRICING: Final = "https://pricing.twilio.com"

_PRICES_FOR_S: Final = 3600.0
_PAGE: Final = 1000
_MOST_PAGES: Final = 200
_NATIONAL_DIGITS: Final = 10
_AREA_DIGITS: Final = 3
_NANP: Final = frozenset({"US", "CA"})
_PATHS: Final = {NumberType.LOCAL: "Local", NumberType.TOLL_FREE: "TollFree"}
_PRICE_NAMES: Final = {NumberType.LOCAL: "local", NumberType.TOLL_FREE: "toll free"}


def _text(value: object) -> object:
    return "" if value is None else value


Text = Annotated[str, BeforeValidator(_text)]


class _Available(BaseModel):
    phone_number: str
    rate_center: Text = ""
    region: Text = ""
    latitude: float | None = None
    longitude: float | None = None


class _AvailablePage(BaseModel):
    available_phone_numbers: list[_Available]


class _Incoming(BaseModel):
    sid: str = Field(pattern=r"^PN[0-9a-fA-F]{32}$")
    phone_number: str
    friendly_name: Text = ""
    status: Text = ""


class _IncomingPage(BaseModel):
    incoming_phone_numbers: list[_Incoming]
    next_page_uri: str | None = None


class _PriceOfType(BaseModel):
    number_type: str
    current_price: Decimal


class _Prices(BaseModel):
    phone_number_prices: list[_PriceOfType]
    price_unit: str


class TwilioNumbers:
    """See `domain.shop.Shop`."""

    name = "twilio"

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        voice: VoiceTarget,
        api_url: str = API,
        pricing_url: str = PRICING,
        patience: Patience | None = None,
    ) -> None:
        auth = (account_sid, auth_token)
        self._voice = voice
        self._rest = Rest(api_url, vendor="Twilio", auth=auth, patience=patience)
        self._pricing = Rest(pricing_url, vendor="Twilio", auth=auth, patience=patience)
        self._account = f"/2010-04-01/Accounts/{account_sid}"
        self._prices: dict[str, tuple[float, _Prices]] = {}

    async def close(self) -> None:
        """Close every connection."""
        await self._rest.close()
        await self._pricing.close()

    async def search(self, wanted: Wanted, *, limit: int) -> Sequence[Offer]:
        """One page of stock. Near a number: within Twilio's default of 25 miles."""
        kind = _PATHS.get(wanted.type, "Mobile")
        path = f"{self._account}/AvailablePhoneNumbers/{wanted.country}/{kind}.json"
        params = _search_of(wanted) | {"PageSize": min(limit, _PAGE)}
        try:
            page = await self._rest.read(path, _AvailablePage, params=params)
        except Refused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return []  # Twilio sells no numbers of this kind there
            raise
        price = await self._price(wanted)
        return [
            Offer(number=each.phone_number, price=price, facts=_facts(each))
            for each in page.available_phone_numbers
        ]

    async def order(self, numbers: Sequence[str], *, reference: str) -> Sequence[Holding]:
        """Buy one after the other, since Twilio has no orders of several; up to one in doubt."""
        holdings: list[Holding] = []
        for number in numbers:
            holdings.append(await self._buy(number, reference=reference))
            if holdings[-1].standing is Standing.UNKNOWN:
                break
        return holdings

    async def look_up(self, reference: str) -> Sequence[Holding]:
        """Numbers of the account that carry the tag."""
        found = await self._incoming({"FriendlyName": reference})
        return [holding for holding in found if holding.reference == reference]

    async def release(self, number: str) -> None:
        """Find the number's record and delete it."""
        for holding in await self._incoming({"PhoneNumber": number}):
            if holding.number == number:
                await self._rest.drop(
                    f"{self._account}/IncomingPhoneNumbers/{holding.vendor_id}.json"
                )

    async def owned(self) -> Sequence[Holding]:
        """All records of the account, a thousand a page."""
        return await self._incoming({})

    async def _buy(self, number: str, *, reference: str) -> Holding:
        form = {
            "PhoneNumber": number,
            "FriendlyName": reference,
            "VoiceUrl": self._voice.voice_url,
            "VoiceMethod": "POST",
            "StatusCallback": self._voice.status_url,
            "StatusCallbackMethod": "POST",
        }
        path = f"{self._account}/IncomingPhoneNumbers.json"
        try:
            bought = await self._rest.act(path, _Incoming, form=form)
        except Refused as refused:
            if refused.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise
            return Holding(number, Standing.FAILED, reference=reference, detail=_code(refused))
        except VendorUnavailable:
            return Holding(number, Standing.UNKNOWN, reference=reference)
        return _holding(bought)

    async def _incoming(self, params: dict[str, str]) -> list[Holding]:
        path = f"{self._account}/IncomingPhoneNumbers.json"
        page = await self._rest.read(path, _IncomingPage, params=params | {"PageSize": _PAGE})
        found = [_holding(each) for each in page.incoming_phone_numbers]
        for _ in range(_MOST_PAGES):
            if not page.next_page_uri:
                return found
            # Its path and query only: a page that pointed elsewhere would be sent our credentials.
            parts = urlsplit(page.next_page_uri)
            page = await self._rest.read(f"{parts.path}?{parts.query}", _IncomingPage)
            found += [_holding(each) for each in page.incoming_phone_numbers]
        raise VendorRefused(f"Twilio lists more than {_MOST_PAGES * _PAGE:,} numbers.")

    async def _price(self, wanted: Wanted) -> Price | None:
        """The present price of such numbers, remembered for an hour; None: Twilio names none."""
        known_at, prices = self._prices.get(wanted.country, (0.0, None))
        if prices is None or time.monotonic() - known_at > _PRICES_FOR_S:
            try:
                prices = await self._pricing.read(
                    f"/v1/PhoneNumbers/Countries/{wanted.country}", _Prices
                )
            except Refused as refused:
                if refused.status == HTTPStatus.NOT_FOUND:
                    return None
                raise
            self._prices[wanted.country] = (time.monotonic(), prices)
        for each in prices.phone_number_prices:
            if each.number_type == _PRICE_NAMES.get(wanted.type, "mobile"):
                return Price(monthly=each.current_price, currency=prices.price_unit.upper())
        return None


def _search_of(wanted: Wanted) -> dict[str, str | int]:
    """The query: what Twilio has no filter for is sorted out by `Wanted.fits`."""
    params: dict[str, str | int] = {"VoiceEnabled": "true"}
    begins = wanted.prefix or wanted.area_code
    if wanted.country in _NANP and len(begins) >= _AREA_DIGITS:
        params["AreaCode"] = int(begins[:_AREA_DIGITS])
    if wanted.prefix and wanted.country in _NANP:
        params["Contains"] = wanted.prefix.ljust(_NATIONAL_DIGITS, "*")
    elif begins and wanted.country not in _NANP:
        params["Contains"] = f"{wanted.begins_with}%"
    if wanted.near:
        params["NearNumber"] = wanted.near
    if wanted.region:
        params["InRegion"] = wanted.region
    if wanted.rate_centre:
        params["InRateCenter"] = wanted.rate_centre
    if wanted.lata:
        params["InLata"] = wanted.lata
    return params


def _facts(each: _Available) -> dict[str, object]:
    facts = {
        "rate_centre": each.rate_center or None,
        "region": each.region or None,
        "latitude": each.latitude,
        "longitude": each.longitude,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _holding(each: _Incoming) -> Holding:
    pending = each.status.startswith("pending")
    return Holding(
        number=each.phone_number,
        standing=Standing.PENDING if pending else Standing.OWNED,
        vendor_id=each.sid,
        reference=each.friendly_name,
    )


def _code(refused: Refused) -> str:
    """Twilio's own code for its no, such as 21422 (not available); else the status."""
    try:
        told = orjson.loads(refused.body)
    except orjson.JSONDecodeError:
        told = None
    code = told.get("code") if isinstance(told, dict) else None
    return str(code if isinstance(code, int) else refused.status)
