"""For orchestrators: alive, ready, which version."""

from typing import Final, cast

from fastapi import APIRouter, Depends, Request, Response

from dni_allocator import __version__
from dni_allocator.api.auth import BearerDep, Opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.domain.errors import DniError, StoreUnavailable
from dni_allocator.metrics import CONTENT_TYPE, Metrics
from dni_allocator.services.access import Caller, Scope, digest
from dni_allocator.services.measuring import Measuring

router = APIRouter(tags=["operations"])

_MOST_SCRAPERS: Final = 16


class _OpensScrapes(Opens):
    """As `opens`, and for who was let in before also while the store, and with it keys, is away.

    That the store is away is what a scrape has to tell then.
    """

    async def __call__(
        self, request: Request, services: ServicesDep, bearer: BearerDep, response: Response
    ) -> Caller:
        """Let the caller in, or raise."""
        known: dict[str, Caller] = request.app.state.scrapers
        presented = "" if bearer is None else digest(bearer.credentials)
        try:
            caller = await Opens.__call__(self, request, services, bearer, response)
        except StoreUnavailable:
            if presented not in known:
                raise
            return known[presented]
        except DniError:
            known.pop(presented, None)
            raise
        if len(known) < _MOST_SCRAPERS:
            known[presented] = caller
        return caller


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
    dependencies=[Depends(_OpensScrapes(Scope.READ, within=False))],
)
async def metrics(request: Request) -> Response:
    """Give the counters of this process. Needs a key: traffic figures are nobody else's business.

    Prometheus sends it with `authorization: credentials` of the scrape configuration.
    """
    await cast("Measuring", request.app.state.measuring).measure()
    counted = cast("Metrics", request.app.state.metrics)
    return Response(counted.exposition(), media_type=CONTENT_TYPE)
