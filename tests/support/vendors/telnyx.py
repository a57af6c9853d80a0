"""Telnyx' side of the stand-in."""

from collections.abc import Callable
from typing import Any

from tests.support.vendors.contract import Contract
from tests.support.vendors.standin import TOKEN, Item, Request, Sold, Vendor

CONTRACT = Contract.read("telnyx_numbers.yaml")

Json = Any
Reply = tuple[int, Json]


def route(vendor: Vendor, request: Request) -> tuple[str, Callable[[], Reply]]:
    """The name of the operation, and what answers it."""
    if request.authorization != f"Bearer {TOKEN}":
        return "refused", lambda: (401, {"errors": [{"code": "10009"}]})
    resource = request.path.removeprefix("/v2/").split("/")[0]
    if resource == "texml_applications":
        return "application", lambda: _applications(vendor, request, request.method)
    operation, answer = {
        ("available_phone_numbers", "GET"): ("search", _search),
        ("number_orders", "POST"): ("order", _order),
        ("number_orders", "GET"): ("look_up", _read_orders),
        ("phone_numbers", "DELETE"): ("release", _release),
        ("phone_numbers", "GET"): ("list", _owned),
    }[resource, request.method]
    return operation, lambda: answer(vendor, request)


def _search(vendor: Vendor, request: Request) -> Reply:
    asked = request.asked
    toll_free = asked.get("filter[phone_number_type]") == "toll_free"
    area = asked.get("filter[national_destination_code]", "")
    begins = asked.get("filter[phone_number][starts_with]", "")
    found = [
        item
        for item in vendor.stock.values()
        if item.toll_free is toll_free
        and item.number.removeprefix("+1").startswith(area)
        and item.number.removeprefix("+1").startswith(begins)
        and asked.get("filter[rate_center]", item.rate_centre) == item.rate_centre
    ]
    return 200, {"data": [_available(item) for item in found[: int(asked["filter[limit]"])]]}


def _available(item: Item) -> Json:
    return {
        "phone_number": item.number,
        "cost_information": {
            "currency": "USD", "monthly_cost": item.monthly, "upfront_cost": "1.00",
        },
        "region_information": [
            {"region_type": "rate_center", "region_name": item.rate_centre},
            {"region_type": "state", "region_name": item.region},
        ],
        "features": [{"name": "voice"}, {"name": "sms"}],
    }  # fmt: skip


def _order(vendor: Vendor, request: Request) -> Reply:
    told = request.body
    numbers = [each["phone_number"] for each in told["phone_numbers"]]
    if any(number in vendor.gone or number not in vendor.stock for number in numbers):
        return 422, {"errors": [{"code": "85006", "title": "number not available"}]}
    sold = [
        vendor.sell(
            number,
            reference=told["customer_reference"],
            told={"connection_id": told.get("connection_id", "")},
        )
        for number in numbers
    ]
    return 200, {"data": _one_order([each for each in sold if each])}


def _one_order(sold: list[Sold]) -> Json:
    lines = [
        {"id": each.vendor_id, "phone_number": each.number, "status": _status(each)}
        for each in sold
    ]
    pending = any(line["status"] == "pending" for line in lines)
    return {
        "id": f"order-{sold[0].vendor_id}",
        "customer_reference": sold[0].reference,
        "status": "pending" if pending else "success",
        "phone_numbers": lines,
    }


def _status(sold: Sold) -> str:
    if sold.pending_looks > 0:
        return "pending"
    return "failure" if sold.fails else "success"


def _read_orders(vendor: Vendor, request: Request) -> Reply:
    """The list, which says nothing of what became of the numbers, or one order, which does."""
    if request.path.count("/") == 3:
        for sold in vendor.sold.values():
            if request.path.endswith(f"/order-{sold.vendor_id}"):
                sold.pending_looks -= 1
                return 200, {"data": _one_order([sold])}
        return 404, {"errors": [{"code": "10005"}]}
    reference = request.asked.get("filter[customer_reference]")
    found = []
    for sold in vendor.sold.values():
        if sold.reference == reference:
            order = _one_order([sold])
            lines = [
                {name: line[name] for name in ("id", "phone_number")}
                for line in order["phone_numbers"]
            ]
            found.append({**order, "phone_numbers": lines})
    return 200, {"data": found, "meta": {"total_pages": 1}}


def _owned(vendor: Vendor, request: Request) -> Reply:
    wanted = request.asked.get("filter[phone_number]")
    found = [
        {
            "id": sold.vendor_id,
            "phone_number": sold.number,
            "status": "purchase-pending" if _status(sold) == "pending" else "active",
            "customer_reference": sold.reference,
        }
        for sold in vendor.sold.values()
        if wanted in {None, sold.number}
    ]
    size = min(vendor.page_size, int(request.asked.get("page[size]", 20)))
    page = int(request.asked.get("page[number]", 1))
    pages = max(1, -(-len(found) // size))
    return 200, {"data": found[(page - 1) * size : page * size], "meta": {"total_pages": pages}}


def _release(vendor: Vendor, request: Request) -> Reply:
    vendor_id = request.path.rpartition("/")[2]
    for number, sold in list(vendor.sold.items()):
        if sold.vendor_id == vendor_id:
            del vendor.sold[number]
            record = {"id": vendor_id, "phone_number": number, "status": "deleted"}
            return 200, {"data": record}
    return 404, {"errors": [{"code": "10005"}]}


def _applications(vendor: Vendor, request: Request, method: str) -> Reply:
    if method == "GET":
        return 200, {"data": vendor.applications}
    if method == "POST":
        made = {**request.body, "id": f"app{len(vendor.applications) + 1}"}
        vendor.applications.append(made)
        return 201, {"data": made}
    changed = vendor.applications[0]
    changed.update(request.body)
    return 200, {"data": changed}
