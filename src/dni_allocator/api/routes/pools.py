"""Pools: make, read, edit, delete."""

from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.pool_schemas import (
    OccupancyOut,
    PoolEdit,
    PoolFields,
    PoolOrder,
    PoolOut,
    PoolPageOut,
    SuggestionOut,
    SuggestionsOut,
)
from dni_allocator.api.routing_schemas import named_in
from dni_allocator.api.schemas_keys import RotateKeyBody, old_keys_out
from dni_allocator.domain.conditions import Condition
from dni_allocator.domain.errors import DniError
from dni_allocator.domain.marketing import entry_of
from dni_allocator.domain.moment import moment
from dni_allocator.domain.pool import Occupancy, Pool, PoolSettings
from dni_allocator.domain.routing import Routing, routing_of
from dni_allocator.services.access import Caller, Scope
from dni_allocator.services.purchases import PurchaseRequest

router = APIRouter(prefix="/pools", tags=["pools"])
admin = Depends(opens(Scope.ADMIN))
reader = Depends(opens(Scope.READ))

LimitQuery = Annotated[int, Query(ge=1, le=200)]
CursorQuery = Annotated[str | None, Query(max_length=200)]
ForceQuery = Annotated[bool, Query(description="Also while visitors hold numbers.")]


@router.post("", status_code=201, summary="Make a pool", dependencies=[admin])
async def create_pool(body: PoolOrder, services: ServicesDep, response: Response) -> PoolOut:
    """Make a pool; the answer holds its id, its publishable key, and the order of `auto_buy`."""
    await services.traffic_sources.must_exist(body.traffic_sources)
    settings = PoolSettings(
        **{name: value for name, value in _values(body).items() if name != "auto_buy"}
    )
    order = body.auto_buy
    if order is None:
        pool = await services.pools.create(settings)
        response.headers["Location"] = f"/pools/{pool.id}"
        return pool_out(pool)
    vendor = order.vendor or settings.vendor or ""
    services.purchases.check_vendor(vendor)
    pool = await services.pools.create(settings)
    try:
        purchase = await services.purchases.place(
            PurchaseRequest(
                pool_id=pool.id,
                wanted=order.wanted(pool.settings.country),
                quantity=order.quantity,
                vendor=vendor,
                origin="auto_buy",
            )
        )
    except DniError:
        # Bad input leaves nothing behind.
        await services.pools.delete(pool.id, force=True)
        raise
    services.buyer.nudge()
    response.headers["Location"] = f"/pools/{pool.id}"
    return pool_out(pool).model_copy(update={"purchase_id": purchase.id})


@router.get("", summary="List pools")
async def list_pools(
    *,
    caller: Annotated[Caller, Depends(opens(Scope.READ, within=True))],
    services: ServicesDep,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> PoolPageOut:
    """List pools by id, a page at a time; those that the key opens."""
    page = await services.pools.page(cursor=cursor, limit=limit, only=caller.pools)
    return PoolPageOut(pools=[pool_out(pool) for pool in page.items], next_cursor=page.next_cursor)


@router.get("/{pool_id}", summary="Read a pool", dependencies=[reader])
async def read_pool(pool_id: str, services: ServicesDep) -> PoolOut:
    """Read a pool's settings and what it holds now."""
    pool = await services.pools.read(pool_id)
    return pool_out(pool, await services.pools.occupancy(pool_id))


@router.patch("/{pool_id}", summary="Edit a pool", dependencies=[admin])
async def edit_pool(pool_id: str, body: PoolEdit, services: ServicesDep) -> PoolOut:
    """Change the named settings; all others stay. In force with the next call of every tag."""
    pool = await services.pools.read(pool_id)
    changes = _values(body, only_set=True)
    await services.traffic_sources.must_exist(
        body.traffic_sources, named=pool.settings.traffic_sources
    )
    if "routing" in changes:
        changes["routing"] = _edited(pool.settings.routing, named_in(body.routing))
    return pool_out(await services.pools.edit(pool, replace(pool.settings, **changes)))


@router.delete("/{pool_id}", status_code=204, summary="Delete a pool", dependencies=[admin])
async def delete_pool(pool_id: str, services: ServicesDep, *, force: ForceQuery = False) -> None:
    """Delete a pool and set its numbers free; 409 while visitors hold some, unless forced."""
    await services.pools.delete(pool_id, force=force)


@router.post("/{pool_id}/rotate-key", summary="Change the publishable key", dependencies=[admin])
async def rotate_pool_key(
    pool_id: str, services: ServicesDep, body: RotateKeyBody | None = None
) -> PoolOut:
    """Give the pool a new publishable key. The one before works on for `overlap_s`."""
    overlap_s = (body or RotateKeyBody()).overlap_s
    return pool_out(await services.pools.rotate_key(pool_id, overlap_s=overlap_s))


@router.get(
    "/{pool_id}/suggestions", summary="Destinations to allow, perhaps", dependencies=[reader]
)
async def list_suggestions(pool_id: str, services: ServicesDep) -> SuggestionsOut:
    """List numbers that pages showed lately and the pool does not know.

    They are answered with the original, and never leased: allow those that are yours.
    """
    pool = await services.pools.read(pool_id)
    return SuggestionsOut(
        suggestions=[
            SuggestionOut(
                destination=each.destination,
                last_seen=moment(each.last_seen_ms),
            )
            for each in await services.suggestions.of(pool)
        ]
    )


def pool_out(pool: Pool, occupancy: Occupancy | None = None) -> PoolOut:
    """A pool as the API shows it."""
    return PoolOut.model_validate(
        {
            **asdict(pool.settings),
            "id": pool.id,
            "key": pool.key,
            "old_keys": old_keys_out(pool.old_keys),
            "revision": pool.revision,
            "created_at": pool.created_at,
            "occupancy": None
            if occupancy is None
            else OccupancyOut(
                numbers=occupancy.attached,
                leased=occupancy.leased,
                free=occupancy.free,
                quarantined=occupancy.resting,
                totals=dict(occupancy.totals),
            ),
        }
    )


def _values(body: PoolFields, *, only_set: bool = False) -> dict[str, Any]:
    """The fields of a body as `PoolSettings` wants them: lists as tuples, conditions as such."""
    values: dict[str, Any] = {
        name: tuple(_entry(name, each) for each in value) if isinstance(value, list) else value
        # Not `exclude_unset`, which would leave the defaults of conditions out as well.
        for name, value in body.model_dump().items()
        if not only_set or name in body.model_fields_set
    }
    if "routing" in values:
        values["routing"] = routing_of(values["routing"])
    return values


def _edited(routing: Routing, changes: dict[str, Any]) -> Routing:
    """Routing with what an edit names; a setting that is itself an object is replaced whole."""
    return routing_of({**asdict(routing), **changes})


def _entry(name: str, told: Any) -> object:  # noqa: ANN401 - what pydantic dumps
    if name == "marketing_fields":
        return entry_of(told)
    if not isinstance(told, dict):
        return told
    return Condition(told["field"], told["operator"], tuple(told["values"]))
