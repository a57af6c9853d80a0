"""Autoscale: rules of pools, decisions, and a person's word on them."""

from fastapi import APIRouter, Depends

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.routes.pools import CursorQuery, LimitQuery
from dni_allocator.api.routes.purchases import PoolQuery
from dni_allocator.api.scaling_schemas import (
    DecisionOut,
    DecisionPageOut,
    ScalingBody,
    ScalingOut,
    decision_out,
    rules_out,
    spending_out,
    verdict_out,
)
from dni_allocator.services.access import Scope

router = APIRouter(tags=["buying"])
admin = Depends(opens(Scope.ADMIN))
reader = Depends(opens(Scope.READ))


@router.get("/pools/{pool_id}/autoscale", summary="Read how a pool scales", dependencies=[reader])
async def read_scaling(pool_id: str, services: ServicesDep) -> ScalingOut:
    """Read rules, spending this month, and what would be decided this moment."""
    upkeep = await services.scaling.rules(pool_id)
    verdict = await services.scaling.verdict(pool_id)
    return ScalingOut(
        rules=None if upkeep.rules is None else rules_out(upkeep.rules),
        now=None if verdict is None else verdict_out(verdict),
        spending=spending_out(upkeep.spending),
    )


@router.put("/pools/{pool_id}/autoscale", summary="Let a pool scale", dependencies=[admin])
async def put_scaling(pool_id: str, body: ScalingBody, services: ServicesDep) -> ScalingOut:
    """Put rules in the place of those before. Least and greatest size are the pool's own."""
    await services.scaling.put_rules(pool_id, body.rules(""))
    return await read_scaling(pool_id, services)


@router.delete(
    "/pools/{pool_id}/autoscale",
    status_code=204,
    summary="Scale a pool no more",
    dependencies=[admin],
)
async def delete_scaling(pool_id: str, services: ServicesDep) -> None:
    """Forget the rules; what is under way comes to its end."""
    await services.scaling.put_rules(pool_id, None)


@router.get("/autoscale", summary="List decisions to scale", dependencies=[reader])
async def list_decisions(
    services: ServicesDep,
    pool: PoolQuery = None,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> DecisionPageOut:
    """List decisions, the newest first. The last 2,000 or so of each shard are kept."""
    page = await services.scaling.page(cursor=cursor, limit=limit, pool_id=pool)
    return DecisionPageOut(
        decisions=[decision_out(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get("/autoscale/{decision_id}", summary="Read a decision", dependencies=[reader])
async def read_decision(decision_id: str, services: ServicesDep) -> DecisionOut:
    """Read one decision."""
    return decision_out(await services.scaling.read(decision_id))


@router.post("/autoscale/{decision_id}/approve", summary="Approve", dependencies=[admin])
async def approve_decision(decision_id: str, services: ServicesDep) -> DecisionOut:
    """Let a proposal be carried out, in the background."""
    decision = await services.scaling.approve(decision_id)
    services.buyer.nudge()
    return decision_out(decision)


@router.post("/autoscale/{decision_id}/reject", summary="Reject", dependencies=[admin])
async def reject_decision(decision_id: str, services: ServicesDep) -> DecisionOut:
    """Let a proposal be."""
    return decision_out(await services.scaling.reject(decision_id))
