"""Webhook endpoints: where events go."""

from datetime import UTC, datetime

from fastapi import APIRouter, Depends

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.schemas import EndpointCreate, EndpointEdit, EndpointOut, EndpointsOut
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.services.access import Scope

router = APIRouter(
    prefix="/webhooks", tags=["webhooks"], dependencies=[Depends(opens(Scope.ADMIN))]
)


@router.post("", status_code=201, summary="Make an endpoint")
async def create_endpoint(body: EndpointCreate, services: ServicesDep) -> EndpointOut:
    """Make an endpoint; the answer holds the secret its receiver verifies signatures with."""
    endpoint = await services.endpoints.create(
        body.url,
        secret=body.secret,
        event_types=body.event_types,
        description=body.description,
        start=body.start,
    )
    return _out(endpoint)


@router.get("", summary="List endpoints")
async def list_endpoints(services: ServicesDep) -> EndpointsOut:
    """List all endpoints, oldest first."""
    return EndpointsOut(webhooks=[_out(each) for each in await services.endpoints.all()])


@router.get("/{endpoint_id}", summary="Read an endpoint")
async def read_endpoint(endpoint_id: str, services: ServicesDep) -> EndpointOut:
    """Read one endpoint."""
    return _out(await services.endpoints.read(endpoint_id))


@router.patch("/{endpoint_id}", summary="Enable or disable an endpoint")
async def edit_endpoint(endpoint_id: str, body: EndpointEdit, services: ServicesDep) -> EndpointOut:
    """Switch an endpoint on or off; it goes on where it was, as far as events are still kept."""
    return _out(await services.endpoints.switch(endpoint_id, active=body.state == "active"))


@router.delete("/{endpoint_id}", status_code=204, summary="Delete an endpoint")
async def delete_endpoint(endpoint_id: str, services: ServicesDep) -> None:
    """Forget an endpoint and all that waits for it."""
    await services.endpoints.delete(endpoint_id)


def _out(endpoint: Endpoint) -> EndpointOut:
    return EndpointOut(
        id=endpoint.id,
        url=endpoint.url,
        secret=endpoint.secret,
        event_types=list(endpoint.event_types),
        description=endpoint.description,
        state=endpoint.state,
        disabled_reason=endpoint.disabled_reason or None,
        created_at=datetime.fromtimestamp(endpoint.created_ms / 1000, tz=UTC),
    )
