"""All pools at a glance, and the form that makes one."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError
from starlette.datastructures import FormData

from dni_allocator.api.errors import validation_errors
from dni_allocator.api.pool_schemas import PoolOrder
from dni_allocator.api.routes import pools as api
from dni_allocator.dashboard import live
from dni_allocator.dashboard.access import Operator, PageRoute, Person, Viewer
from dni_allocator.dashboard.forms import POOL, FilledForm
from dni_allocator.dashboard.overview import cards
from dni_allocator.dashboard.page import fragment, render
from dni_allocator.domain.digits import whole
from dni_allocator.domain.errors import InvalidRequest, NumberTaken

router = APIRouter(prefix="/dashboard", route_class=PageRoute, include_in_schema=False)

_AT_ONCE = 50


@router.get("")
async def list_pools(
    request: Request, person: Viewer, cursor: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """Every pool: how full, how busy, how many went without."""
    page = await person.services.pools.page(cursor=cursor, limit=_AT_ONCE, only=person.caller.pools)
    return render(
        request,
        "pools.html",
        person=person,
        cards=await cards(person.services, page.items),
        next_cursor=page.next_cursor,
        cursor=cursor or "",
    )


@router.get("/live/pools", response_class=EventSourceResponse)
async def live_pools(
    person: Viewer, cursor: Annotated[str | None, Query(max_length=200)] = None
) -> AsyncIterator[ServerSentEvent]:
    """The list again, whenever it changes."""
    async for event in live.changes(person, lambda: _rows(person, cursor)):
        yield event


async def _rows(person: Person, cursor: str | None) -> str:
    page = await person.services.pools.page(
        cursor=cursor or None, limit=_AT_ONCE, only=person.caller.pools
    )
    return fragment("_pool_rows.html", cards=await cards(person.services, page.items))


@router.get("/new-pool")
async def new_pool(request: Request, person: Operator) -> Response:
    """The empty form."""
    return render(request, "pool_form.html", person=person, form=_empty(person), pool=None)


@router.post("/new-pool")
async def make_pool(request: Request, person: Operator) -> Response:
    """Make the pool, or show the form again with what is wrong."""
    sent = await request.form()
    form = FilledForm.typed(POOL, sent).offering("vendor", list(person.services.shops.names()))
    try:
        pool = await api.create_pool(
            PoolOrder.model_validate(form.body() | _auto_buy(sent)), person.services, Response()
        )
    except ValidationError as error:
        found = validation_errors(error.errors(include_url=False, include_input=False))
        form = form.marked(found)
    except (InvalidRequest, NumberTaken) as error:
        form = form.marked(error.extra.get("errors"), error.detail)
    else:
        return RedirectResponse(f"/dashboard/pools/{pool.id}?done=created", 303)
    return render(request, "pool_form.html", status=422, person=person, form=form, pool=None)


def _empty(person: Person) -> FilledForm:
    return FilledForm.of(POOL, {}).offering("vendor", list(person.services.shops.names()))


def _auto_buy(sent: FormData) -> dict[str, object]:
    """The order that goes with a new pool: how many, beginning with what."""
    quantity = str(sent.get("auto_buy_quantity", "")).strip()
    prefix = str(sent.get("auto_buy_prefix", "")).strip().lstrip("+")
    if not quantity:
        return {}
    typed = whole(quantity)
    wanted = quantity if typed is None else typed
    return {"auto_buy": {"quantity": wanted, **({"prefix": prefix} if prefix else {})}}
