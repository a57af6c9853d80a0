"""Calls: whose they were, what came of them, and all of them as a table to take away."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from dni_allocator.api.routes import calls as api
from dni_allocator.dashboard.access import PageRoute, Person, Viewer
from dni_allocator.dashboard.page import render
from dni_allocator.domain.call import CallFilter, CallStatus, pool_of_call
from dni_allocator.domain.errors import CallUnknown, Forbidden, InvalidRequest
from dni_allocator.domain.moment import instant
from dni_allocator.services.calls import CALL_UNKNOWN


async def _hears(person: Viewer) -> None:
    """Raise `Forbidden` for a key that may not read calls by the API either."""
    if not person.hears:
        message = "The key lacks the scope calls."
        raise Forbidden(message)


router = APIRouter(
    prefix="/dashboard/calls",
    route_class=PageRoute,
    include_in_schema=False,
    dependencies=[Depends(_hears)],
)

_AT_ONCE = 50
Text = Annotated[str, Query(max_length=200)]


async def _filter(
    person: Viewer,
    *,
    pool_id: Text = "",
    number: Text = "",
    source: Text = "",
    status: Text = "",
    qualified: Text = "",
    since: Text = "",
    until: Text = "",
) -> CallFilter:
    """The filter as the form sends it: what is left empty is no wish."""
    pools = person.caller.pools
    if pool_id:
        person.caller.must_reach(pool_id)
        pools = frozenset({pool_id})
    if status and status not in set(CallStatus):
        raise InvalidRequest.at("status", "There is no such status.")
    return CallFilter(
        pool_ids=None if pools is None else tuple(sorted(pools)),
        number=f"+{number.strip().lstrip('+')}" if number.strip() else None,
        source=source or None,
        status=CallStatus(status) if status else None,
        qualified={"yes": True, "no": False}.get(qualified),
        since_ms=_day_ms(since),
        until_ms=_day_ms(until),
    )


Wanted = Annotated[CallFilter, Depends(_filter)]


@router.get("")
async def list_calls(
    request: Request,
    person: Viewer,
    wanted: Wanted,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> Response:
    """Calls, the newest first, and the form that narrows them."""
    services = person.services
    page = await services.calls.page(wanted, cursor=cursor, limit=_AT_ONCE)
    pools = await services.pools.page(cursor=None, limit=200, only=person.caller.pools)
    query = {name: value for name, value in request.query_params.items() if name != "cursor"}
    return render(
        request,
        "calls.html",
        person=person,
        calls=page.items,
        next_cursor=page.next_cursor,
        pools={pool.id: pool.settings.name for pool in pools.items},
        statuses=list(CallStatus),
        query=query,
    )


@router.get("/export.csv")
async def export(request: Request, person: Viewer, wanted: Wanted) -> Response:
    """All calls that match, as CSV."""
    answer = await api.list_calls(request, wanted, person.services, format="csv")
    if not isinstance(answer, Response):
        message = "a list as CSV is a response"
        raise TypeError(message)
    return answer


@router.get("/{call_id}")
async def read_call(request: Request, call_id: str, person: Viewer) -> Response:
    """One call: who it was taken for, how sure that is, who else it may have been."""
    _must_reach(person, call_id)
    call = await person.services.calls.find(call_id)
    return render(request, "call.html", person=person, call=call)


def _must_reach(person: Person, call_id: str) -> None:
    if not person.caller.reaches(pool_of_call(call_id) or ""):
        raise CallUnknown(CALL_UNKNOWN)


def _day_ms(text: str) -> int | None:
    """The beginning of a day, UTC, as a date field sends it."""
    if not text:
        return None
    try:
        return instant(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
    except ValueError as error:
        raise InvalidRequest("A day is written as 2026-11-25.") from error
