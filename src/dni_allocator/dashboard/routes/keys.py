"""Secret keys, and the log of who changed what."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from dni_allocator.api.schemas_keys import KeyCreate
from dni_allocator.dashboard.access import Operator, PageRoute, Person, Viewer, in_all_pools
from dni_allocator.dashboard.page import render
from dni_allocator.services.access import ADMIN, Scope
from dni_allocator.services.audit import AuditFilter

router = APIRouter(prefix="/dashboard", route_class=PageRoute, include_in_schema=False)

_AT_ONCE = 100


@router.get("/keys")
async def list_keys(request: Request, person: Viewer) -> Response:
    """All keys by their prefixes."""
    in_all_pools(person)
    return await _page(request, person)


@router.post("/keys")
async def create(
    request: Request,
    person: Operator,
    name: Annotated[str, Form(max_length=200)],
    scopes: Annotated[list[str], Form(max_length=10)],
    pools: Annotated[str, Form(max_length=20_000)] = "",
) -> Response:
    """Make a key, and show it this once: so no other page follows."""
    body = KeyCreate.model_validate(
        {"name": name, "scopes": scopes, "pools": pools.split() or None}
    )
    _, secret = await person.services.secret_keys.create(
        name=body.name, scopes=body.scopes, pools=body.pools
    )
    return await _page(request, person, secret=secret)


@router.post("/keys/{key_id}/rotate")
async def rotate(
    request: Request,
    key_id: str,
    person: Operator,
    overlap_s: Annotated[int, Form(ge=0, le=90 * 86_400)] = 86_400,
) -> Response:
    """Give a key a new secret, shown this once."""
    _, secret = await person.services.secret_keys.rotate(key_id, overlap_s=overlap_s)
    return await _page(request, person, secret=secret)


@router.post("/keys/{key_id}/revoke")
async def revoke(key_id: str, person: Operator) -> Response:
    """End a key."""
    await person.services.secret_keys.revoke(key_id)
    return RedirectResponse("/dashboard/keys?done=revoked", 303)


async def _page(request: Request, person: Person, secret: str = "") -> Response:
    return render(
        request,
        "keys.html",
        person=person,
        keys=await person.services.secret_keys.all(),
        scopes=list(Scope),
        protected=ADMIN,
        secret=secret,
    )


@router.get("/audit")
async def audit(
    request: Request, person: Viewer, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """Who changed what, the newest first."""
    in_all_pools(person)
    services = person.services
    page = await services.audit.page(AuditFilter(), cursor=cursor, limit=_AT_ONCE)
    return render(
        request,
        "audit.html",
        person=person,
        entries=page.items,
        # Of those there are: a key that was revoked is known by its id alone.
        names={key.id: key.name for key in await services.secret_keys.all()},
        next_cursor=page.next_cursor,
    )
