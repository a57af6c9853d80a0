"""Numbers that are bought and given back, and what the pools decided about their size."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dni_allocator.api.buying_schemas import PurchaseBody
from dni_allocator.api.routes import purchases as purchases_api
from dni_allocator.api.routes import scaling as scaling_api
from dni_allocator.dashboard.access import Operator, PageRoute, Viewer, in_all_pools
from dni_allocator.dashboard.page import render
from dni_allocator.domain.digits import whole

router = APIRouter(prefix="/dashboard", route_class=PageRoute, include_in_schema=False)

_AT_ONCE = 50
Text = Annotated[str, Form(max_length=200)]


@router.get("/buying")
async def buying(request: Request, person: Viewer) -> Response:
    """Decisions to scale, orders, and what each vendor lacks."""
    in_all_pools(person)
    services = person.services
    decisions, orders, pools = await asyncio.gather(
        services.scaling.page(limit=_AT_ONCE),
        services.purchases.page(limit=_AT_ONCE),
        services.pools.page(cursor=None, limit=200),
    )
    return render(
        request,
        "buying.html",
        person=person,
        decisions=decisions.items,
        orders=orders.items,
        vendors=services.shops.names(),
        pools={pool.id: pool.settings.name for pool in pools.items},
    )


@router.post("/pools/{pool_id}/buy")
async def buy(
    pool_id: str, person: Operator, quantity: Text, prefix: Text = "", vendor: Text = ""
) -> Response:
    """Order numbers for a pool."""
    body: dict[str, object] = {
        "pool": pool_id,
        "quantity": quantity if (typed := whole(quantity)) is None else typed,
    }
    if prefix.strip():
        body["prefix"] = prefix.strip().lstrip("+")
    if vendor:
        body["vendor"] = vendor
    order = PurchaseBody.model_validate(body)
    await purchases_api.order_numbers(order, person.services, Response())
    return RedirectResponse("/dashboard/buying?done=ordered", 303)


@router.post("/buying/{decision_id}/approve")
async def approve(decision_id: str, person: Operator) -> Response:
    """Let a proposal be carried out."""
    await scaling_api.approve_decision(decision_id, person.services)
    return RedirectResponse("/dashboard/buying?done=approved", 303)


@router.post("/buying/{decision_id}/reject")
async def reject(decision_id: str, person: Operator) -> Response:
    """Let a proposal be."""
    await scaling_api.reject_decision(decision_id, person.services)
    return RedirectResponse("/dashboard/buying?done=rejected", 303)
