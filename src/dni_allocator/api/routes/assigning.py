"""Assign on visitors' behalf: many at once, or for a page that a backend renders."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import orjson
import structlog
from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from dni_allocator.api.auth import opens
from dni_allocator.api.backend_schemas import (
    BackendAssignBody,
    BulkOut,
    BulkRowBody,
    RenderedOut,
)
from dni_allocator.api.caller import NO_PROXIES, address_of
from dni_allocator.api.context import Services, ServicesDep
from dni_allocator.api.edge import AssignmentJson, assignment_json
from dni_allocator.api.errors import MalformedJson, problem_of, validation_errors
from dni_allocator.domain.errors import DniError, InvalidRequest
from dni_allocator.domain.robots import is_prefetch, is_refused
from dni_allocator.services.access import Caller, Scope
from dni_allocator.services.allocation import Browser

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/assign", tags=["assign"])
Assigner = Annotated[Caller, Depends(opens(Scope.ASSIGN, within=True))]

MOST_ROWS = 1_000
_AT_ONCE = 100
"""Rows under way together: the store's connection carries many more, and pages use it too."""

_BULK_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "array",
                "maxItems": MOST_ROWS,
                "items": {"$ref": "#/components/schemas/BulkRowBody"},
            }
        }
    },
}


@router.post(
    "/bulk",
    summary="Assign for many visitors",
    openapi_extra={"requestBody": _BULK_BODY},
)
async def assign_bulk(request: Request, caller: Assigner, services: ServicesDep) -> BulkOut:
    """Answer up to 1,000 assign requests in their order; a bad row spoils none of the others.

    Every row is answered as `/assign` would, and as safe to repeat; the batch is not one step.
    """
    rows = _rows(await request.body())
    results = []
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        results += await asyncio.gather(*(_answer(row, caller, services) for row in part))
    return BulkOut.model_validate({"results": results})


@router.post("/rendered", summary="Assign for a page you render")
async def assign_rendered(
    body: BackendAssignBody, caller: Assigner, services: ServicesDep
) -> RenderedOut:
    """Assign for one visitor, and give the element with which the tag goes on from there.

    Put `embed` into the page beside the numbers, and let no cache keep that page: an element older
    than a minute, or one made for another visitor, is ignored by the tag.
    """
    key, answer = await _assign(body, caller, services)
    handed_over = {
        **answer,
        "key": key,
        "issued_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    # Within a script element only "</" and "<!--" could end it early: no "<" at all, then.
    text = orjson.dumps(handed_over).decode().replace("<", "\\u003c")
    embed = f'<script type="application/json" data-dni-lease>{text}</script>'
    return RenderedOut.model_validate({**answer, "embed": embed})


def _rows(raw: bytes) -> Sequence[object]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = "The body is no valid JSON."
        raise MalformedJson(message) from error
    rows = body.get("requests") if isinstance(body, dict) else body
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_ROWS:
        message = f"The body is a list of 1 to {MOST_ROWS} assign requests."
        raise InvalidRequest(message)
    return rows


async def _answer(row: object, caller: Caller, services: Services) -> dict[str, object]:
    """One row's result; never raises."""
    told = row.get("request_id") if isinstance(row, dict) else None
    request_id = told if isinstance(told, str) else None
    try:
        body = _parse(row)
        _, answer = await _assign(body, caller, services)
    except DniError as error:
        _, problem, _ = problem_of(error)
        return {"request_id": request_id, "problem": orjson.loads(problem)}
    return {"request_id": request_id, "assignment": answer}


def _parse(row: object) -> BulkRowBody:
    try:
        return BulkRowBody.model_validate(row)
    except ValidationError as error:
        found = validation_errors(
            error.errors(include_url=False, include_context=False, include_input=False)
        )
        detail = "; ".join(f"{each['field'] or 'row'}: {each['detail']}" for each in found[:5])
        raise InvalidRequest(detail, extra={"errors": found}) from error


async def _assign(
    body: BackendAssignBody, caller: Caller, services: Services
) -> tuple[str, AssignmentJson]:
    key = body.key
    if body.pool_id:
        caller.must_reach(body.pool_id)
        key = (await services.pools.read(body.pool_id)).key
    elif caller.pools is not None:
        caller.must_reach(*(pool.id for pool in await services.sites.read(key)))
    pool, assignment = await services.allocation.assign(
        body,
        site_key=key,
        origin=None,
        browser=Browser(
            robot=is_refused(body.user_agent),
            prefetch=is_prefetch(body.purpose),
            network=partial(address_of, (body.address, 0), None, NO_PROXIES),
        ),
    )
    return key, assignment_json(assignment, pool=pool)
