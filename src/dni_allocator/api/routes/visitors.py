"""Visitors, whom one can only erase: nobody lists them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.schemas import CLIENT_ID
from dni_allocator.services.access import Scope

router = APIRouter(prefix="/visitors", tags=["visitors"])

VisitorPath = Annotated[
    str, Path(min_length=1, max_length=128, pattern=CLIENT_ID, description="Their id.")
]


class ErasedOut(BaseModel):
    """What was erased."""

    leases_ended: int
    records: int = Field(description="Holders of numbers, present and earlier.")
    copies: int = Field(description="Events that were kept for replay, and dead letters.")
    copies_left: int = Field(
        description="Events on their way to a webhook endpoint; they go when it has taken them."
    )


@router.delete(
    "/{visitor_id}", summary="Erase a visitor", dependencies=[Depends(opens(Scope.ADMIN))]
)
async def erase_visitor(visitor_id: VisitorPath, services: ServicesDep) -> ErasedOut:
    """End the visitor's leases and erase them from all pools, now; `visitor.erased` tells others.

    An id nobody knows is told too: a receiver may know it still. Safe to repeat.
    """
    done = await services.erasure.erase(visitor_id)
    return ErasedOut(
        leases_ended=done.leases,
        records=done.holders,
        copies=done.copies,
        copies_left=done.left,
    )
