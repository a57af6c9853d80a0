"""For orchestrators: alive, ready, which version."""

from typing import cast

from fastapi import APIRouter, Depends, Request, Response

from dni_allocator import __version__
from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.metrics import CONTENT_TYPE, Metrics
from dni_allocator.services.access import Scope

router = APIRouter(tags=["operations"])


@router.get("/livez", summary="Is the process alive?")
async def livez() -> dict[str, str]:
    """Answer as long as the event loop turns. Depends on nothing else."""
    return {"status": "alive"}


@router.get("/readyz", summary="Can the process serve?")
async def readyz(services: ServicesDep) -> dict[str, str]:
    """Answer 200 when the store answers, 503 when it does not or while draining."""
    await services.health.check()
    return {"status": "ready"}


@router.get("/version", summary="Which version runs?")
async def version() -> dict[str, str]:
    """Name the running version."""
    return {"version": __version__}


@router.get(
    "/metrics",
    summary="Prometheus metrics of this process",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=[Depends(opens(Scope.READ))],
)
async def metrics(request: Request) -> Response:
    """Give the counters of this process. Needs a key: traffic figures are nobody else's business.

    Prometheus sends it with `authorization: credentials` of the scrape configuration.
    """
    counted = cast("Metrics", request.app.state.metrics)
    return Response(counted.exposition(), media_type=CONTENT_TYPE)
