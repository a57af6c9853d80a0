"""One pool: how it does, its numbers and visitors, its settings, its code for the site."""

import asyncio
import csv
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError

from dni_allocator.api.errors import validation_errors
from dni_allocator.api.pool_schemas import PoolEdit, QuarantineBody
from dni_allocator.api.routes import numbers as numbers_api
from dni_allocator.api.routes import pools as api
from dni_allocator.api.routes.sizing import draw_pool
from dni_allocator.api.routes.tag import integration_code
from dni_allocator.api.sizing_schemas import PoolSizingQuery
from dni_allocator.dashboard import live
from dni_allocator.dashboard.access import Operator, PageRoute, Person, Viewer
from dni_allocator.dashboard.forms import POOL, FilledForm
from dni_allocator.dashboard.overview import arrivals_chart, cards, occupancy_chart
from dni_allocator.dashboard.page import fragment, render
from dni_allocator.domain.errors import EditConflict, InvalidRequest, NumberTaken
from dni_allocator.domain.history import Resolution, joined
from dni_allocator.domain.moment import instant
from dni_allocator.domain.pool import Pool
from dni_allocator.services.inventory import AttachResult, NumberRow

router = APIRouter(
    prefix="/dashboard/pools/{pool_id}", route_class=PageRoute, include_in_schema=False
)

_NUMBERS_AT_ONCE = 100
_LEASES_AT_ONCE = 50
_DAY_MS = 86_400_000
_DAYS = (2, 7, 30)
_MOST_DAYS = 35
"""As far back as hours are kept."""

_MOST_TYPED = 100_000
"""Characters: some 5,000 numbers; more go by the API."""

CursorQuery = Annotated[str | None, Query(max_length=200)]
NumberForm = Annotated[str, Form(max_length=40)]


@router.get("")
async def pool_page(
    request: Request,
    pool_id: str,
    person: Viewer,
    cursor: CursorQuery = None,
    days: Annotated[int, Query(ge=1, le=_MOST_DAYS)] = _DAYS[0],
) -> Response:
    """Everything about a pool on one page."""
    services = person.services
    pool = await services.pools.read(pool_id)
    (card,), hours, numbers, code, suggestions, upkeep = await asyncio.gather(
        cards(services, [pool]),
        services.history.of(
            pool_id, Resolution.HOUR, start_ms=int(time.time() * 1000) - days * _DAY_MS
        ),
        numbers_api.list_numbers(pool_id, services, _NUMBERS_AT_ONCE, cursor),
        integration_code(pool_id, request, services),
        services.suggestions.of(pool),
        services.scaling.rules(pool_id),
    )
    leased = {
        each.number: instant(each.locked_until)
        for each in numbers.numbers
        if each.locked_until is not None
    }
    return render(
        request,
        "pool.html",
        person=person,
        pool=pool,
        card=card,
        days=joined(hours.buckets),
        shown_days=days,
        day_choices=_DAYS,
        hour_occupancy=occupancy_chart(card.hour),
        hour_arrivals=arrivals_chart(card.hour),
        days_occupancy=occupancy_chart(hours),
        days_arrivals=arrivals_chart(hours),
        leases=await _leases(person, pool_id),
        numbers=numbers.numbers,
        holders=await services.live_leases.holders(pool_id, leased),
        next_cursor=numbers.next_cursor,
        code=code,
        suggestions=suggestions,
        upkeep=upkeep,
        vendors=services.shops.names(),
    )


@router.get("/live", response_class=EventSourceResponse)
async def live_pool(pool_id: str, person: Viewer) -> AsyncIterator[ServerSentEvent]:
    """What changes on the page, whenever it does."""
    async for event in live.changes(person, lambda: _live_part(person, pool_id)):
        yield event


async def _live_part(person: Person, pool_id: str) -> str:
    pool = await person.services.pools.read(pool_id)
    (card,) = await cards(person.services, [pool])
    return fragment("_pool_live.html", pool=pool, card=card, leases=await _leases(person, pool_id))


async def _leases(person: Person, pool_id: str) -> object:
    return await person.services.live_leases.page(pool_id, cursor=None, limit=_LEASES_AT_ONCE)


@router.get("/sizing.png")
async def sizing_picture(pool_id: str, person: Viewer) -> Response:
    """The share turned away against the numbers, the present size marked.

    Not as SVG: its own style sheet would be against the policy of these pages.
    """
    return await draw_pool(pool_id, "png", PoolSizingQuery(), person.services)


# --- numbers ---------------------------------------------------------------------------------


@router.post("/numbers")
async def attach_numbers(
    request: Request,
    pool_id: str,
    person: Operator,
    typed: Annotated[str, Form(max_length=_MOST_TYPED)] = "",
    table: UploadFile | None = None,
) -> Response:
    """Attach what was typed, a number a line, or the rows of a CSV file; say what was refused."""
    rows = [NumberRow(line.strip()) for line in typed.splitlines() if line.strip()]
    if table is not None and table.size:
        rows += _rows(await table.read())
    if not rows:
        raise InvalidRequest("Type a number a line, or choose a CSV file with a column `number`.")
    result = await person.services.inventory.attach(pool_id, rows, all_or_nothing=False)
    if result.rejected:
        return _refused(request, person, pool_id, result)
    return _back(pool_id, "attached")


def _refused(request: Request, person: Person, pool_id: str, result: AttachResult) -> Response:
    return render(
        request, "attached.html", status=422, person=person, pool_id=pool_id, result=result
    )


def _rows(table: bytes) -> list[NumberRow]:
    try:
        return numbers_api.rows_of(numbers_api.csv_body(table.decode("utf-8-sig")))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidRequest("The file is no CSV table in UTF-8.") from error


@router.post("/detach")
async def detach(pool_id: str, person: Operator, number: NumberForm) -> Response:
    """Take a number out of the pool, at the end of its lease."""
    await numbers_api.detach_number(pool_id, number, person.services)
    return _back(pool_id, "detached")


@router.post("/quarantine")
async def quarantine(
    pool_id: str,
    person: Operator,
    number: NumberForm,
    reason: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Give a number to nobody until it is called off."""
    body = QuarantineBody(reason=reason.strip() or "by hand, at the dashboard")
    await numbers_api.quarantine_number(pool_id, number, body, person.services)
    return _back(pool_id, "quarantined")


@router.post("/acquit")
async def acquit(pool_id: str, person: Operator, number: NumberForm) -> Response:
    """Put a number back on its shelf."""
    await numbers_api.acquit_number(pool_id, number, person.services)
    return _back(pool_id, "acquitted")


# --- settings --------------------------------------------------------------------------------


@router.get("/settings")
async def settings_page(request: Request, pool_id: str, person: Operator) -> Response:
    """The form with the settings as they are."""
    pool = await person.services.pools.read(pool_id)
    form = _form_of(pool, person)
    return render(request, "pool_form.html", person=person, form=form, pool=pool)


@router.post("/settings")
async def save_settings(request: Request, pool_id: str, person: Operator) -> Response:
    """Save the form, or show it again with what is wrong."""
    form = _offering(FilledForm.typed(POOL, await request.form()), person)
    pool = await person.services.pools.read(pool_id)
    if form.revision != str(pool.revision):
        late = "Somebody else edited the pool meanwhile. Load the form again."
        form = form.marked(None, late)
        return render(request, "pool_form.html", status=409, person=person, form=form, pool=pool)
    try:
        await api.edit_pool(pool_id, PoolEdit.model_validate(form.body()), person.services)
    except ValidationError as error:
        found = validation_errors(error.errors(include_url=False, include_input=False))
        form = form.marked(found)
    except (InvalidRequest, NumberTaken, EditConflict) as error:
        form = form.marked(error.extra.get("errors"), error.detail)
    else:
        return _back(pool_id, "saved")
    return render(request, "pool_form.html", status=422, person=person, form=form, pool=pool)


@router.post("/delete")
async def delete(
    pool_id: str, person: Operator, name: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Delete the pool; its name has to be typed, since nothing brings it back."""
    pool = await person.services.pools.read(pool_id)
    if name.strip() != pool.settings.name:
        raise InvalidRequest("To delete the pool, type its name exactly.")
    await person.services.pools.delete(pool_id, force=False)
    return RedirectResponse("/dashboard?done=deleted", 303)


def _form_of(pool: Pool, person: Person) -> FilledForm:
    told = api.pool_out(pool).model_dump(mode="json")
    return _offering(FilledForm.of(POOL, told, revision=pool.revision), person)


def _offering(form: FilledForm, person: Person) -> FilledForm:
    """The form with the vendors there are; one that was set by hand stays what it is."""
    names = person.services.shops.names()
    kept = [each.text for each in form.fields if each.name == "vendor" and each.text]
    return form.offering("vendor", [*names, *(each for each in kept if each not in names)])


def _back(pool_id: str, done: str) -> Response:
    return RedirectResponse(f"/dashboard/pools/{pool_id}?done={done}", 303)
