"""Events for those who fetch them, and the schemas of all types."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.schemas_webhooks import EventsOut
from dni_allocator.domain.catalogue import KINDS
from dni_allocator.services.access import Caller, Scope

router = APIRouter(prefix="/events", tags=["events"])
reader = opens(Scope.READ, within=True)


@router.get("", summary="Fetch events")
async def fetch_events(
    caller: Annotated[Caller, Depends(reader)],
    services: ServicesDep,
    *,
    cursor: Annotated[
        str, Query(max_length=30_000, description="`oldest`, `now`, or of the last answer.")
    ] = "oldest",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    type: Annotated[list[str] | None, Query(description="Only these types.")] = None,  # noqa: A002 -- the name in the query
    pool: Annotated[list[str] | None, Query(description="Only of these pools.")] = None,
    wait_s: Annotated[float, Query(ge=0, le=20, description="Wait so long for one.")] = 0.0,
) -> EventsOut:
    """Events behind a cursor, those of one number in order. Repeating a call repeats its events.

    What is kept: all that a webhook endpoint has not taken, and the newest besides. A cursor that
    stayed away for longer is answered 410, with `oldest_cursor`.
    """
    if pool or caller.pools is None:
        caller.must_reach(*(pool or ()))
    else:
        pool = sorted(caller.pools)
    at = cursor
    if at == "oldest":
        at = await services.event_feed.start("oldest")
    elif at == "now":
        at = await services.event_feed.start("now")
    page = await services.event_feed.page(
        at, limit=limit, types=type or (), pools=pool or (), wait_s=wait_s
    )
    return EventsOut(
        events=[event.payload() for event in page.events],
        cursor=page.cursor,
        has_more=page.has_more,
    )


@router.get(
    "/schemas",
    summary="Read the JSON Schemas of all event types",
    dependencies=[Depends(reader)],
)
async def read_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (draft 2020-12) of the payload, by type."""
    return {kind.type: kind.schema() for kind in KINDS.values()}
