"""How many numbers a pool needs: as JSON and as a picture."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.sizing_schemas import (
    Kind,
    PoolSizingQuery,
    SizingOut,
    SizingQuery,
    sizing_out,
)
from dni_allocator.services.access import Scope
from dni_allocator.services.sizing import Answer
from dni_allocator.services.sizing_chart import MEDIA_TYPES, draw

router = APIRouter(tags=["sizing"], dependencies=[Depends(opens(Scope.READ))])

_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {media_type: {} for media_type in MEDIA_TYPES.values()},
    }
}


@router.get("/sizing", summary="How many numbers, from typed figures")
async def size(asked: Annotated[SizingQuery, Query()], services: ServicesDep) -> SizingOut:
    """Say how many numbers typed traffic needs. Without `numbers` there is no present size."""
    return sizing_out(await services.sizing.typed(asked.asked()), pool_id=None)


@router.get("/pools/{pool_id}/sizing", summary="How many numbers a pool needs")
async def size_pool(
    pool_id: str, asked: Annotated[PoolSizingQuery, Query()], services: ServicesDep
) -> SizingOut:
    """Say how many numbers a pool needs, what its present size gives and what one more would.

    Figures are those measured in the last `days`; a typed one takes its place: what if?
    """
    found = await services.sizing.of_pool(pool_id, asked.asked(), days=asked.days)
    return sizing_out(found, pool_id=pool_id)


@router.get(
    "/sizing.{kind}", summary="The same as a picture", response_class=Response, responses=_PICTURE
)
async def draw_size(
    kind: Kind, asked: Annotated[SizingQuery, Query()], services: ServicesDep
) -> Response:
    """Draw the share turned away against the numbers of the pool."""
    return await _picture(await services.sizing.typed(asked.asked()), kind)


@router.get(
    "/pools/{pool_id}/sizing.{kind}",
    summary="The same as a picture, the present size marked",
    response_class=Response,
    responses=_PICTURE,
)
async def draw_pool(
    pool_id: str, kind: Kind, asked: Annotated[PoolSizingQuery, Query()], services: ServicesDep
) -> Response:
    """Draw the share turned away against the numbers of the pool."""
    found = await services.sizing.of_pool(pool_id, asked.asked(), days=asked.days)
    return await _picture(found, kind)


async def _picture(answer: Answer, kind: Kind) -> Response:
    return Response(await asyncio.to_thread(draw, answer, kind), media_type=MEDIA_TYPES[kind])
