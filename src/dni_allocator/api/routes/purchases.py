"""Buy numbers and give them back."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.buying_schemas import (
    PurchaseBody,
    PurchaseOut,
    PurchasePageOut,
    ReconcileOut,
    ReleaseBody,
    ReleaseOut,
    ReleasePageOut,
    UnattachedOut,
    UnknownOut,
    VendorOut,
    VendorsOut,
    purchase_out,
    release_out,
)
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.routes.pools import CursorQuery, LimitQuery
from dni_allocator.domain.number import parse_number
from dni_allocator.services.access import Scope
from dni_allocator.services.ids import record_token_for
from dni_allocator.services.purchases import PurchaseRequest

router = APIRouter(tags=["buying"])
admin = Depends(opens(Scope.ADMIN))
reader = Depends(opens(Scope.READ))

KeyHeader = Annotated[
    str | None,
    Header(min_length=1, max_length=255, description="Yours, new for each order of a pool."),
]
PoolQuery = Annotated[str | None, Query(max_length=64, description="Only of this pool.")]


@router.post("/purchases", status_code=202, summary="Order numbers", dependencies=[admin])
async def order_numbers(
    body: PurchaseBody,
    services: ServicesDep,
    response: Response,
    idempotency_key: KeyHeader = None,
) -> PurchaseOut:
    """Write an order down; it is carried out in the background. Read it again to follow it.

    Sent again with the same `Idempotency-Key` it is the same order, as long as that is kept.
    """
    purchase = await services.purchases.place(
        PurchaseRequest(
            pool_id=body.pool,
            wanted=body.wanted(body.country or ""),
            quantity=body.quantity,
            vendor=body.vendor or "",
            dry_run=body.dry_run,
            token="" if idempotency_key is None else record_token_for(idempotency_key),
        )
    )
    services.buyer.nudge()
    response.headers["Location"] = f"/purchases/{purchase.id}"
    return purchase_out(purchase)


@router.get("/purchases", summary="List orders of numbers", dependencies=[reader])
async def list_purchases(
    services: ServicesDep,
    pool: PoolQuery = None,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> PurchasePageOut:
    """List orders, the newest first. The last 2,000 or so of each shard are kept."""
    page = await services.purchases.page(cursor=cursor, limit=limit, pool_id=pool)
    return PurchasePageOut(
        purchases=[purchase_out(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get("/purchases/{purchase_id}", summary="Read an order of numbers", dependencies=[reader])
async def read_purchase(purchase_id: str, services: ServicesDep) -> PurchaseOut:
    """Read one order, with every number of it."""
    return purchase_out(await services.purchases.read(purchase_id))


@router.post("/purchases/{purchase_id}/cancel", summary="Call an order off", dependencies=[admin])
async def cancel_purchase(purchase_id: str, services: ServicesDep) -> PurchaseOut:
    """Ask for no more numbers; what the vendor was asked for already is followed to the end."""
    purchase = await services.purchases.cancel(purchase_id)
    services.buyer.nudge()
    return purchase_out(purchase)


@router.post(
    "/pools/{pool_id}/numbers/{number}/release",
    status_code=202,
    summary="Give a number back to its vendor",
    dependencies=[admin],
)
async def release_number(
    pool_id: str, number: str, body: ReleaseBody, services: ServicesDep, response: Response
) -> ReleaseOut:
    """Rest, leave the pool when its visitor has left, then be given back. Idempotent."""
    pool = await services.pools.read(pool_id)
    release = await services.releasing.begin(
        pool_id,
        parse_number(number, country=pool.settings.country).e164,
        rest_s=body.rest_s,
        vendor=body.vendor or "",
    )
    services.buyer.nudge()
    response.headers["Location"] = f"/releases/{release.id}"
    return release_out(release)


@router.get("/releases", summary="List numbers on their way back", dependencies=[reader])
async def list_releases(
    services: ServicesDep,
    pool: PoolQuery = None,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> ReleasePageOut:
    """List releases, the newest first."""
    page = await services.releasing.page(cursor=cursor, limit=limit, pool_id=pool)
    return ReleasePageOut(
        releases=[release_out(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get("/releases/{release_id}", summary="Read a release", dependencies=[reader])
async def read_release(release_id: str, services: ServicesDep) -> ReleaseOut:
    """Read one release."""
    return release_out(await services.releasing.read(release_id))


@router.post("/releases/{release_id}/cancel", summary="Keep a number", dependencies=[admin])
async def cancel_release(release_id: str, services: ServicesDep) -> ReleaseOut:
    """Call a rest off; the number serves on. 409 once it is leaving."""
    return release_out(await services.releasing.cancel(release_id))


@router.get("/vendors", summary="List vendors", dependencies=[reader])
async def list_vendors(services: ServicesDep) -> VendorsOut:
    """List vendors, and what each lacks before numbers can be bought from it."""
    return VendorsOut(
        vendors=[
            VendorOut(name=name, configured=not missing, missing=missing or None)
            for name, missing in services.shops.names().items()
        ]
    )


@router.get(
    "/vendors/{vendor}/reconcile", summary="Compare account and pools", dependencies=[reader]
)
async def reconcile_vendor(
    vendor: str, services: ServicesDep, limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000
) -> ReconcileOut:
    """Numbers the vendor bills and no pool has, and numbers of pools the vendor does not have."""
    found = await services.reconciling.compare(vendor)
    return ReconcileOut(
        vendor=found.vendor,
        owned=found.owned,
        matched=found.matched,
        unattached_count=len(found.unattached),
        unattached=[
            UnattachedOut(number=each.number, vendor_id=each.vendor_id, reference=each.reference)
            for each in found.unattached[:limit]
        ],
        unknown_to_vendor_count=len(found.unknown_to_vendor),
        unknown_to_vendor=[
            UnknownOut(number=each.number, pool=each.pool_id)
            for each in found.unknown_to_vendor[:limit]
        ],
    )
