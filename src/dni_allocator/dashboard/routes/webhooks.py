"""Webhook endpoints: how they do, what they were sent, sending it again."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dni_allocator.api.routes import webhooks as api
from dni_allocator.api.schemas_webhooks import EndpointCreate, EndpointEdit
from dni_allocator.dashboard.access import Operator, PageRoute, Viewer, in_all_pools
from dni_allocator.dashboard.page import render

router = APIRouter(prefix="/dashboard/webhooks", route_class=PageRoute, include_in_schema=False)

_AT_ONCE = 50


@router.get("")
async def list_endpoints(request: Request, person: Viewer) -> Response:
    """All endpoints and how they stand."""
    in_all_pools(person)
    services = person.services
    endpoints = await services.endpoints.all()
    standings = await asyncio.gather(*(services.deliveries.standing(each.id) for each in endpoints))
    return render(
        request,
        "webhooks.html",
        person=person,
        endpoints=list(zip(endpoints, standings, strict=True)),
    )


@router.post("")
async def create(
    person: Operator,
    url: Annotated[str, Form(max_length=2048)],
    event_types: Annotated[str, Form(max_length=2000)] = "",
    description: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Make an endpoint of this address."""
    body = EndpointCreate(
        url=url.strip(), event_types=event_types.split(), description=description.strip()
    )
    made = await api.create_endpoint(body, person.services, Response())
    return _to(made.id, "created")


@router.get("/{endpoint_id}")
async def endpoint_page(request: Request, endpoint_id: str, person: Viewer) -> Response:
    """One endpoint: state, attempts, dead letters."""
    in_all_pools(person)
    services = person.services
    endpoint, standing, attempts, letters = await asyncio.gather(
        api.read_endpoint(endpoint_id, person.caller, services),
        services.deliveries.standing(endpoint_id),
        services.deliveries.attempts(endpoint_id, limit=_AT_ONCE),
        services.deliveries.dead_letters(endpoint_id, limit=_AT_ONCE),
    )
    return render(
        request,
        "webhook.html",
        person=person,
        endpoint=endpoint,
        standing=standing,
        attempts=attempts,
        letters=letters,
    )


@router.post("/{endpoint_id}/test")
async def test(endpoint_id: str, person: Operator) -> Response:
    """Send a test now."""
    await person.services.deliveries.try_out(endpoint_id)
    return _to(endpoint_id, "tested")


@router.post("/{endpoint_id}/replay")
async def replay(
    endpoint_id: str, person: Operator, event_id: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Send one event again, or all dead letters."""
    deliveries = person.services.deliveries
    if event_id:
        await deliveries.replay_ids(endpoint_id, [event_id])
    else:
        await deliveries.replay_dead_letters(endpoint_id)
    return _to(endpoint_id, "replayed")


@router.post("/{endpoint_id}/state")
async def switch(
    endpoint_id: str, person: Operator, state: Annotated[str, Form(max_length=20)]
) -> Response:
    """Switch an endpoint on or off."""
    edit = EndpointEdit.model_validate({"state": state})
    await api.edit_endpoint(endpoint_id, edit, person.services)
    return _to(endpoint_id, "saved")


@router.post("/{endpoint_id}/delete")
async def delete(endpoint_id: str, person: Operator) -> Response:
    """Forget an endpoint and what waits for it."""
    await person.services.endpoints.delete(endpoint_id)
    return RedirectResponse("/dashboard/webhooks?done=deleted", 303)


def _to(endpoint_id: str, done: str) -> Response:
    return RedirectResponse(f"/dashboard/webhooks/{endpoint_id}?done={done}", 303)
