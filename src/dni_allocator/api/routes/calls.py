"""Calls: record, bring up to date, read, list."""

from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from dni_allocator.api import call_csv
from dni_allocator.api.auth import opens
from dni_allocator.api.call_schemas import (
    CallAttributionOut,
    CallCreate,
    CallEdit,
    CallOut,
    CallPageOut,
    ClaimOut,
)
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.routes.attribution import dialed_number
from dni_allocator.domain.call import (
    Call,
    CallFilter,
    CallStatus,
    CallUpdate,
    NewCall,
    pool_of_call,
)
from dni_allocator.domain.errors import CallUnknown, InvalidRequest
from dni_allocator.domain.moment import instant_or_none, moment, moment_or_none
from dni_allocator.services.access import Caller, Scope
from dni_allocator.services.calls import CALL_UNKNOWN

router = APIRouter(prefix="/calls", tags=["calls"])

CallerDep = Annotated[Caller, Depends(opens(Scope.CALLS, within=True))]
Text = Annotated[str | None, Query(max_length=200)]


async def _filter(
    who: CallerDep,
    *,
    pool_id: Text = None,
    number: Annotated[str | None, Query(max_length=40, description="Dialed, E.164.")] = None,
    caller: Annotated[str | None, Query(max_length=40, description="Who called, E.164.")] = None,
    visitor_id: Text = None,
    source: Annotated[
        str | None,
        Query(max_length=200, description="Kind of source, its name, or your source's id."),
    ] = None,
    status: CallStatus | None = None,
    outcome: Text = None,
    qualified: bool | None = None,
    min_duration_s: Annotated[int | None, Query(ge=0, le=604_800)] = None,
    since: Annotated[
        AwareDatetime | None, Query(alias="from", description="Rang then or later.")
    ] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Rang before.")] = None,
) -> CallFilter:
    pools = who.pools
    if pool_id is not None:
        who.must_reach(pool_id)
        pools = frozenset({pool_id})
    return CallFilter(
        pool_ids=None if pools is None else tuple(sorted(pools)),
        number=None if number is None else f"+{number.strip().lstrip('+')}",
        caller=None if caller is None else f"+{caller.strip().lstrip('+')}",
        visitor_id=visitor_id,
        source=source,
        status=status,
        outcome=outcome,
        qualified=qualified,
        min_duration_s=min_duration_s,
        since_ms=instant_or_none(since),
        until_ms=instant_or_none(until),
    )


FilterDep = Annotated[CallFilter, Depends(_filter)]


@router.post(
    "",
    status_code=201,
    summary="Record a call",
    responses={200: {"model": CallOut, "description": "It was recorded before."}},
)
async def record_call(
    body: CallCreate, who: CallerDep, services: ServicesDep, response: Response
) -> CallOut:
    """Record a call that rings: whose it is and where it belongs are fixed from now on.

    With `provider` and `provider_call_id` a second request for the same call gets the first one's
    answer, with 200.
    """
    if (body.provider is None) != (body.provider_call_id is None):
        raise InvalidRequest.at("provider", "provider and provider_call_id go together.")
    started = await services.calls.start(
        NewCall(
            number=dialed_number(body.number),
            caller=body.caller,
            provider=body.provider or "",
            provider_call_id=body.provider_call_id or "",
            started_ms=instant_or_none(body.started_at),
        ),
        reaches=who.reaches,
    )
    response.status_code = 201 if started.created else 200
    response.headers["Location"] = f"/calls/{started.call.id}"
    return call_out(started.call)


@router.get(
    "",
    summary="List calls",
    response_model=CallPageOut,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def list_calls(
    request: Request,
    wanted: FilterDep,
    services: ServicesDep,
    *,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    format: Annotated[  # noqa: A002 -- the name in the query
        Literal["json", "csv"] | None, Query(description="Else as `Accept` says.")
    ] = None,
) -> CallPageOut | StreamingResponse:
    """List calls, newest first, a page at a time; as CSV (`Accept: text/csv`) all of them."""
    if format == "csv" or (format is None and _wants_csv(request.headers.get("accept", ""))):
        every = services.calls.all(wanted)
        # The first ones before the status is sent: a store that is away is a 503, not half a file.
        first = await anext(every)
        return StreamingResponse(
            _as_csv(first, every),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="calls.csv"'},
        )
    page = await services.calls.page(wanted, cursor=cursor, limit=limit)
    return CallPageOut(calls=[call_out(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/{call_id}", summary="Read a call")
async def read_call(call_id: str, who: CallerDep, services: ServicesDep) -> CallOut:
    """Read one call."""
    _must_reach(who, call_id)
    return call_out(await services.calls.find(call_id))


@router.patch("/{call_id}", summary="Say what became of a call")
async def edit_call(call_id: str, body: CallEdit, who: CallerDep, services: ServicesDep) -> CallOut:
    """Note how far a call got and what came of it. Repeating a request changes nothing."""
    _must_reach(who, call_id)
    call = await services.calls.update(
        call_id,
        CallUpdate(
            status=body.status,
            answered_ms=instant_or_none(body.answered_at),
            ended_ms=instant_or_none(body.ended_at),
            duration_s=body.duration_s,
            outcome=body.outcome,
            value=body.value,
            currency=body.currency,
            recording_url=body.recording_url,
        ),
    )
    return call_out(call)


def _wants_csv(accept: str) -> bool:
    """Whether a client asks for CSV by name, and not for JSON."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "text/csv" in kinds and "application/json" not in kinds


async def _as_csv(
    first: Iterable[Call], others: AsyncIterator[Iterable[Call]]
) -> AsyncIterator[str]:
    yield call_csv.header() + call_csv.lines(first)
    async for some in others:
        yield call_csv.lines(some)


def _must_reach(who: Caller, call_id: str) -> None:
    """A call of another pool is as unknown as any: the key learns nothing of it."""
    if not who.reaches(pool_of_call(call_id) or ""):
        raise CallUnknown(CALL_UNKNOWN)


def call_out(call: Call) -> CallOut:
    """A call as the API shows it."""
    return CallOut(
        id=call.id,
        pool_id=call.pool_id,
        number=call.number,
        caller=call.caller,
        provider=call.provider or None,
        provider_call_id=call.provider_call_id or None,
        route_to=call.route_to,
        status=call.status,
        started_at=moment(call.started_ms),
        answered_at=moment_or_none(call.answered_ms),
        ended_at=moment_or_none(call.ended_ms),
        duration_s=call.duration_s,
        first_time_caller=call.first_time_caller,
        source=call.source or None,
        source_name=call.source_name or None,
        source_id=call.source_id or None,
        medium=call.medium or None,
        outcome=call.outcome or None,
        value=None if call.value is None else float(call.value),
        currency=call.currency or None,
        recording_url=call.recording_url or None,
        qualified=call.qualified,
        updated_at=moment(call.updated_ms),
        attribution=CallAttributionOut(
            basis=call.basis.value,
            confidence=call.confidence,
            visitor_id=call.visitor_id or None,
            lease_id=call.lease_id or None,
            url=call.url or None,
            referrer=call.referrer or None,
            fields=dict(call.fields),
            candidates=[
                ClaimOut(
                    visitor_id=each.visitor_id,
                    lease_id=each.lease_id or None,
                    basis=each.basis.value,
                    confidence=each.confidence,
                    reason=each.reason,
                )
                for each in call.claims
            ],
        ),
    )
