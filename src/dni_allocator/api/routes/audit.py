"""The audit log, for those who ask what happened."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.domain.audit import AuditEntry
from dni_allocator.domain.moment import instant_or_none, moment
from dni_allocator.services.access import Scope
from dni_allocator.services.audit import AuditFilter

router = APIRouter(prefix="/audit", tags=["keys"], dependencies=[Depends(opens(Scope.READ))])

Text = Annotated[str | None, Query(max_length=200)]


class ChangeOut(BaseModel):
    """One change of the administration."""

    at: datetime
    key_id: str = Field(description="Whose key it was; `cli`: somebody on the machine.")
    action: str = Field(description="Method and route, or the command.")
    about: dict[str, str] = Field(description="Ids; of numbers the last four digits.")
    changed: list[str] = Field(description="Names of the fields that were sent, never values.")
    status: int


class AuditPageOut(BaseModel):
    """Some changes, newest first."""

    changes: list[ChangeOut]
    next_cursor: str | None


@router.get("", summary="Who changed what")
async def read_audit(
    services: ServicesDep,
    *,
    key_id: Text = None,
    action: Annotated[
        str | None, Query(max_length=200, description="How it begins, such as `PATCH /pools`.")
    ] = None,
    about: Annotated[str | None, Query(max_length=200, description="An id, of anything.")] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Text = None,
) -> AuditPageOut:
    """List changes, newest first. A page may be short, or empty, and still have a next one."""
    page = await services.audit.page(
        AuditFilter(
            key_id=key_id,
            action=action,
            about=about,
            since_ms=instant_or_none(since),
            until_ms=instant_or_none(until),
        ),
        cursor=cursor,
        limit=limit,
    )
    return AuditPageOut(changes=[_out(entry) for entry in page.items], next_cursor=page.next_cursor)


def _out(entry: AuditEntry) -> ChangeOut:
    return ChangeOut(
        at=moment(entry.at_ms),
        key_id=entry.key_id,
        action=entry.action,
        about=dict(entry.about),
        changed=list(entry.changed),
        status=entry.status,
    )
