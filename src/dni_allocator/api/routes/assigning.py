"""Assign on visitors' behalf: many at once, or for a page that a backend renders."""

from datetime import UTC, datetime
from typing import Annotated

import orjson
import structlog
from fastapi import APIRouter, Depends, Request

from dni_allocator.api.assignments import AssignmentJson, assignment_json
from dni_allocator.api.auth import opens
from dni_allocator.api.backend_schemas import (
    BackendAssignBody,
    BulkOut,
    BulkRowBody,
    RenderedOut,
)
from dni_allocator.api.caller import Caller as Browser
from dni_allocator.api.context import MetricsDep, Services, ServicesDep
from dni_allocator.api.rows import answered, body_of, rows_of
from dni_allocator.domain.robots import is_prefetch, is_refused
from dni_allocator.metrics import Metrics
from dni_allocator.services.access import Caller, Scope

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/assign", tags=["assign"])
Assigner = Annotated[Caller, Depends(opens(Scope.ASSIGN, within=True))]


@router.post(
    "/bulk",
    summary="Assign for many visitors",
    openapi_extra=body_of("BulkRowBody"),
)
async def assign_bulk(
    request: Request, caller: Assigner, services: ServicesDep, metrics: MetricsDep
) -> BulkOut:
    """Answer up to 1,000 assign requests in their order; a bad row spoils none of the others.

    Every row is answered as `/assign` would, and as safe to repeat; the batch is not one step.
    """

    async def answer(body: BulkRowBody) -> dict[str, object]:
        _, assignment = await _assign(body, caller, services, metrics)
        return {"assignment": assignment}

    results = await answered(rows_of(await request.body()), BulkRowBody, answer)
    return BulkOut.model_validate({"results": results})


@router.post("/rendered", summary="Assign for a page you render")
async def assign_rendered(
    body: BackendAssignBody, caller: Assigner, services: ServicesDep, metrics: MetricsDep
) -> RenderedOut:
    """Assign for one visitor, and give the element with which the tag goes on from there.

    Put `embed` into the page beside the numbers, and let no cache keep that page: an element older
    than a minute, or one made for another visitor, is ignored by the tag.
    """
    key, answer = await _assign(body, caller, services, metrics)
    handed_over = {
        **answer,
        "key": key,
        "issued_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    # Within a script element only "</" and "<!--" could end it early: no "<" at all, then.
    text = orjson.dumps(handed_over).decode().replace("<", "\\u003c")
    embed = f'<script type="application/json" data-dni-lease>{text}</script>'
    return RenderedOut.model_validate({**answer, "embed": embed})


async def _assign(
    body: BackendAssignBody, caller: Caller, services: Services, metrics: Metrics
) -> tuple[str, AssignmentJson]:
    key = body.key
    if body.pool_id:
        caller.must_reach(body.pool_id)
        key = (await services.pools.read(body.pool_id)).key
    elif caller.pools is not None:
        caller.must_reach(*(pool.id for pool in await services.sites.read(key)))
    assignment = await services.allocation.assign(
        body,
        site_key=key,
        origin=None,
        browser=Browser(
            origin=None,
            robot=is_refused(body.user_agent),
            prefetch=is_prefetch(body.purpose),
            forwarded=None,
            client=(body.address, 0),
        ),
    )
    return key, assignment_json(assignment, metrics)
