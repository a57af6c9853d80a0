"""Traffic sources: make, list, read, edit, delete."""

from fastapi import APIRouter, Depends, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.pool_schemas import ConditionBody
from dni_allocator.api.schemas_sources import SourceCreate, SourceEdit, SourceOut, SourcesOut
from dni_allocator.domain.conditions import Condition
from dni_allocator.domain.traffic_source import TrafficSource
from dni_allocator.services.access import Scope
from dni_allocator.services.traffic_sources import Wanted

router = APIRouter(prefix="/traffic-sources", tags=["traffic sources"])
admin = Depends(opens(Scope.ADMIN))
reader = Depends(opens(Scope.READ))


@router.post("", status_code=201, summary="Make a traffic source", dependencies=[admin])
async def create_source(body: SourceCreate, services: ServicesDep, response: Response) -> SourceOut:
    """Make a source; pools name it in `traffic_sources`, and conversions are reported for it."""
    source = await services.traffic_sources.create(body.kind, _wanted(body))
    response.headers["Location"] = f"/traffic-sources/{source.id}"
    return _out(source)


@router.get("", summary="List traffic sources", dependencies=[reader])
async def list_sources(services: ServicesDep) -> SourcesOut:
    """List all sources, oldest first."""
    return SourcesOut(traffic_sources=[_out(each) for each in await services.traffic_sources.all()])


@router.get("/{source_id}", summary="Read a traffic source", dependencies=[reader])
async def read_source(source_id: str, services: ServicesDep) -> SourceOut:
    """Read one source."""
    return _out(await services.traffic_sources.read(source_id))


@router.patch("/{source_id}", summary="Edit a traffic source", dependencies=[admin])
async def edit_source(source_id: str, body: SourceEdit, services: ServicesDep) -> SourceOut:
    """Change what is given. Calls that are on record keep the source they have."""
    return _out(await services.traffic_sources.edit(source_id, _wanted(body)))


@router.delete(
    "/{source_id}", status_code=204, summary="Delete a traffic source", dependencies=[admin]
)
async def delete_source(source_id: str, services: ServicesDep) -> None:
    """Delete a source with its conversions and all that waits for them."""
    await services.conversions.delete_source(source_id)


def _wanted(body: SourceCreate | SourceEdit) -> Wanted:
    conditions = body.conditions
    return Wanted(
        name=body.name,
        medium=body.medium,
        sets_medium="medium" in body.model_fields_set,
        conditions=None
        if conditions is None
        else [Condition(each.field, each.operator, tuple(each.values)) for each in conditions],
        description=body.description,
        min_confidence=body.min_confidence,
    )


def _out(source: TrafficSource) -> SourceOut:
    return SourceOut.model_validate(
        {
            "id": source.id,
            "kind": source.kind,
            "name": source.name,
            "medium": source.medium,
            "conditions": [
                ConditionBody(field=each.field, operator=each.operator, values=list(each.values))
                for each in source.conditions
            ],
            "min_confidence": source.min_confidence,
            "description": source.description,
            "created_at": source.created_at,
        }
    )
