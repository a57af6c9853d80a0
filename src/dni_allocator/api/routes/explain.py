"""Why would this visitor be shown that number?"""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from dni_allocator.api.auth import opens
from dni_allocator.api.backend_schemas import ExplainQuery, ExplanationOut
from dni_allocator.api.caller import NO_PROXIES, address_of
from dni_allocator.api.context import ServicesDep
from dni_allocator.domain.errors import OriginNotAllowed
from dni_allocator.services.access import Scope
from dni_allocator.services.explaining import Candidate, Described

router = APIRouter(prefix="/pools/{pool_id}", tags=["pools"])
reader = Depends(opens(Scope.READ))

_MOST_FIELDS = 64


@router.get("/explain", summary="Who would get which number, and why", dependencies=[reader])
async def explain(
    pool_id: str,
    services: ServicesDep,
    asked: Annotated[ExplainQuery, Query()],
) -> ExplanationOut:
    """Say what would be given to a described visitor, and why, without giving it.

    All other parameters are captured fields: `?utm_medium=cpc&gclid=…`. The answer holds for this
    instant.
    """
    pool = await services.pools.read(pool_id)
    fields = list((asked.model_extra or {}).items())
    if asked.origin is not None and not pool.allows_origin(asked.origin):
        message = "Pages of this origin may not use the key; add it to allowed_origins."
        raise OriginNotAllowed(message)
    found = await services.explainer.explain(
        pool,
        Described(
            destination=asked.destination,
            visitor_id=asked.visitor_id or "",
            user_agent=asked.user_agent or "",
            purpose=asked.purpose or "",
            network=address_of((asked.address, 0), None, NO_PROXIES) if asked.address else "",
            url=asked.url,
            referrer=asked.referrer,
            fields={name: str(value) for name, value in fields[:_MOST_FIELDS]},
        ),
    )
    seen = found.seen
    return ExplanationOut.model_validate(
        {
            "destination": found.destination,
            "status": found.status,
            "reason": found.reason,
            "number": found.number,
            "checks": [check._asdict() for check in found.checks],
            "shelves": [_shelf(each) for each in found.shelves],
            "pool": {
                "circulating": seen.circulating,
                "leased": seen.leased,
                "quarantined": seen.resting,
                "about_to_end": seen.over,
                "idle_limit_in_force_s": seen.idle_in_force_ms / 1000,
                "kept_for_reserve": seen.kept,
            },
        }
    )


def _shelf(candidate: Candidate) -> dict[str, object]:
    place = candidate.place
    return {**candidate._asdict(), "place": None if place is None else asdict(place)}
