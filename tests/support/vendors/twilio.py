"""Twilio's side of the stand-in."""

from collections.abc import Callable
from typing import Any

from tests.support.vendors.contract import Contract
from tests.support.vendors.standin import SID, TOKEN, Item, Request, Sold, Vendor, basic

CONTRACT = Contract.read("twilio_numbers.json")

Json = Any
Reply = tuple[int, Json]


def route(vendor: Vendor, request: Request) -> tuple[str, Callable[[], Reply]]:
    """The name of the operation, and what answers it."""
    if request.authorization != basic(SID, TOKEN):
        return "refused", lambda: (401, {"code": 20003, "message": "Authenticate"})
    if request.path.startswith("/v1/PhoneNumbers/Countries/"):
        return "price", lambda: _prices(vendor)
    if "/AvailablePhoneNumbers/" in request.path:
        return "search", lambda: _search(vendor, request)
    if request.method == "POST":
        return "order", lambda: _buy(vendor, request)
    if request.method == "DELETE":
        return "release", lambda: _release(vendor, request)
    return "look_up", lambda: _list(vendor, request)


def _prices(vendor: Vendor) -> Reply:
    local = float(next((item.monthly for item in vendor.stock.values()), "1.15"))
    prices = [
        {"number_type": "local", "base_price": local, "current_price": local},
        {"number_type": "toll free", "base_price": 2.15, "current_price": 2.15},
    ]
    return 200, {"iso_country": "US", "price_unit": "usd", "phone_number_prices": prices}


def _search(vendor: Vendor, request: Request) -> Reply:
    asked, found = request.asked, []
    toll_free = request.path.endswith("/TollFree.json")
    for item in vendor.stock.values():
        national = item.number.removeprefix("+1")
        begins = asked.get("Contains", "").rstrip("*")
        if item.toll_free is not toll_free or not national.startswith(asked.get("AreaCode", "")):
            continue
        if national.startswith(begins) and asked.get("InRegion", item.region) == item.region:
            found.append(_available(item))
    return 200, {"available_phone_numbers": found[: int(asked["PageSize"])]}


def _available(item: Item) -> Json:
    return {
        "phone_number": item.number,
        "friendly_name": item.number,
        "rate_center": item.rate_centre,
        "region": item.region,
        "latitude": item.latitude,
        "longitude": item.longitude,
        "iso_country": "US",
        "capabilities": {"voice": True},
    }


def _buy(vendor: Vendor, request: Request) -> Reply:
    told = request.body
    sold = vendor.sell(told["PhoneNumber"], reference=told.get("FriendlyName", ""), told=told)
    if sold is None:
        return 400, {"code": 21422, "message": "not available", "status": 400}
    return 201, _incoming(sold)


def _incoming(sold: Sold) -> Json:
    return {
        "sid": sold.vendor_id,
        "phone_number": sold.number,
        "friendly_name": sold.reference,
        "status": "in-use",
        "voice_url": sold.told.get("VoiceUrl"),
    }


def _list(vendor: Vendor, request: Request) -> Reply:
    asked = request.asked
    found = [
        sold
        for sold in vendor.sold.values()
        if asked.get("FriendlyName", sold.reference) == sold.reference
        and asked.get("PhoneNumber", sold.number) == sold.number
    ]
    size, page = min(vendor.page_size, int(asked.get("PageSize", 50))), int(asked.get("Page", 0))
    following = None
    if len(found) > (page + 1) * size:
        following = f"{request.path}?PageSize={size}&Page={page + 1}"
    shown = found[page * size : (page + 1) * size]
    return 200, {
        "incoming_phone_numbers": [_incoming(sold) for sold in shown],
        "next_page_uri": following,
        "page": page,
        "page_size": size,
    }


def _release(vendor: Vendor, request: Request) -> Reply:
    sid = request.path.rpartition("/")[2].removesuffix(".json")
    for number, sold in list(vendor.sold.items()):
        if sold.vendor_id == sid:
            del vendor.sold[number]
            return 204, None
    return 404, {"code": 20404}
