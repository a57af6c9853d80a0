"""For orchestrators: alive, ready, which version."""

from fastapi import APIRouter

from dni_allocator import __version__
from dni_allocator.api.context import ServicesDep

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
