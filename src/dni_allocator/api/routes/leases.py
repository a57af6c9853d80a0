"""Living leases: who holds which number of a pool."""

from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.routes.pools import CursorQuery, LimitQuery
from dni_allocator.domain.moment import moment
from dni_allocator.services.access import Caller, Scope
from dni_allocator.services.live_leases import id_of
from dni_allocator.store.live_leases import LiveLease

router = APIRouter(tags=["pools"])


class LeaseOut(BaseModel):
    """A lease that lives."""

    lease_id: str
    number: str
    visitor_id: str
    destination: str
    since: datetime
    expires_at: datetime
    url: str | None
    referrer: str | None
    fields: dict[str, str]


class LeasePageOut(BaseModel):
    """Some leases, the one that ends first at the top."""

    leases: list[LeaseOut]
    next_cursor: str | None


@router.get("/leases", summary="List living leases")
async def list_leases(
    *,
    caller: Annotated[Caller, Depends(opens(Scope.READ, within=True))],
    services: ServicesDep,
    pool_id: Annotated[str, Query(max_length=64)],
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> LeasePageOut:
    """List who holds a number of the pool now, a page at a time."""
    caller.must_reach(pool_id)
    page = await services.live_leases.page(pool_id, cursor=cursor, limit=limit)
    return LeasePageOut(
        leases=[lease_out(pool_id, each) for each in page.items], next_cursor=page.next_cursor
    )


def lease_out(pool_id: str, lease: LiveLease) -> LeaseOut:
    """A lease as the API shows it."""
    told = orjson.loads(lease.data) if lease.data else {}
    return LeaseOut(
        lease_id=id_of(pool_id, lease),
        number=lease.number,
        visitor_id=lease.visitor_id,
        destination=lease.destination,
        since=moment(lease.from_ms),
        expires_at=moment(lease.deadline_ms),
        url=told.get("url"),
        referrer=told.get("referrer"),
        fields=told.get("fields", {}),
    )
