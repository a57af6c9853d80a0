"""Attribution: whose number was it when the phone rang?"""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime

from dni_allocator.api.auth import opens
from dni_allocator.api.backend_schemas import AttributionBatchOut, AttributionRowBody
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.rows import answered, body_of, rows_of
from dni_allocator.api.schemas import AttributionOut, CandidateOut, PoolRefOut
from dni_allocator.domain.attribution import Candidate
from dni_allocator.domain.errors import NumberUnknown
from dni_allocator.domain.lease import lease_id
from dni_allocator.domain.moment import instant_or_none, moment, moment_or_none
from dni_allocator.domain.number import parse_number
from dni_allocator.domain.traffic_source import Source
from dni_allocator.services.access import Caller, Scope
from dni_allocator.services.attribution import NUMBER_UNKNOWN, Attribution

router = APIRouter(tags=["attribution"])

NumberPath = Annotated[
    str, Path(max_length=40, description="The dialed number, E.164; the plus may be left out.")
]
AtQuery = Annotated[
    AwareDatetime | None,
    Query(description="Instant of the call, ISO 8601 with a time zone; default: now."),
]


CallerQuery = Annotated[
    str | None,
    Query(
        alias="caller",
        max_length=40,
        description="Who called: somebody who called before is known by it.",
    ),
]


def dialed_number(text: str) -> str:
    """A dialed number as E.164. Raises `InvalidNumber`."""
    return parse_number(f"+{text.strip().lstrip('+')}", country="ZZ").e164


@router.get("/attribution/{number}", summary="Who was it?")
async def read_attribution(
    number: NumberPath,
    caller: Annotated[Caller, Depends(opens(Scope.ATTRIBUTION, within=True))],
    services: ServicesDep,
    at: AtQuery = None,
    calling: CallerQuery = None,
) -> AttributionOut:
    """Name the visitor who had the dialed number, how sure that is, and where the call belongs."""
    found = await services.attribution.attribute(
        dialed_number(number), at_ms=instant_or_none(at), caller=calling
    )
    if not caller.reaches(found.pool.id):
        # The same as for a number of nobody: the key learns nothing of other pools.
        raise NumberUnknown(NUMBER_UNKNOWN)
    return attribution_out(found)


@router.post(
    "/attribution/batch", summary="Who were they?", openapi_extra=body_of("AttributionRowBody")
)
async def read_attributions(
    request: Request,
    caller: Annotated[Caller, Depends(opens(Scope.ATTRIBUTION, within=True))],
    services: ServicesDep,
) -> AttributionBatchOut:
    """Answer up to 1,000 calls in their order, to reconcile call records.

    A bad row spoils none of the others. Changes nothing.
    """

    async def answer(row: AttributionRowBody) -> dict[str, object]:
        found = await services.attribution.attribute(
            dialed_number(row.number), at_ms=instant_or_none(row.at), caller=row.caller
        )
        if not caller.reaches(found.pool.id):
            raise NumberUnknown(NUMBER_UNKNOWN)
        return {"attribution": attribution_out(found)}

    results = await answered(rows_of(await request.body()), AttributionRowBody, answer)
    return AttributionBatchOut.model_validate({"results": results})


def attribution_out(found: Attribution) -> AttributionOut:
    """An attribution as the API shows it."""
    candidates = [
        _candidate_out(each, source, pool_id=found.pool.id)
        for each, source in zip(found.candidates, found.sources, strict=True)
    ]
    best = candidates[0] if candidates else None
    settings = found.pool.settings
    return AttributionOut(
        number=found.number,
        at=moment(found.at_ms),
        basis=found.basis.value,
        confidence=found.confidence,
        route_to=found.route_to,
        pool=PoolRefOut(id=found.pool.id, name=settings.name, campaign=settings.campaign),
        visitor_id=best.visitor_id if best else None,
        lease_id=best.lease_id if best else None,
        assigned_at=best.assigned_at if best else None,
        ended_at=best.ended_at if best else None,
        url=best.url if best else None,
        referrer=best.referrer if best else None,
        fields=best.fields if best else {},
        candidates=candidates,
        source=best.source if best else None,
        source_name=best.source_name if best else None,
        source_id=best.source_id if best else None,
        medium=best.medium if best else None,
        told_by=best.told_by if best else None,
    )


def _candidate_out(candidate: Candidate, source: Source, *, pool_id: str) -> CandidateOut:
    holder = candidate.holder
    data = orjson.loads(holder.data) if holder.data else {}
    return CandidateOut(
        visitor_id=holder.visitor_id,
        lease_id=None if holder.shared else lease_id(pool_id, holder.fence),
        destination=holder.destination,
        basis=candidate.basis.value,
        confidence=candidate.confidence,
        reason=candidate.reason,
        assigned_at=moment(holder.from_ms),
        ended_at=moment_or_none(holder.until_ms),
        url=data.get("url"),
        referrer=data.get("referrer"),
        fields=data.get("fields", {}),
        source=source.kind.value,
        source_name=source.name,
        source_id=source.id,
        medium=source.medium.value,
        told_by=source.told_by,
    )
