"""The numbers of a pool: attach, list, detach."""

import csv
import io

import orjson
from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from dni_allocator.api.auth import opens
from dni_allocator.api.context import Services, ServicesDep
from dni_allocator.api.errors import MalformedJson, invalid
from dni_allocator.api.pool_schemas import (
    AttachBody,
    AttachOut,
    DetachOut,
    NumberOut,
    NumberPageOut,
    QuarantineBody,
    QuarantineStateOut,
    RejectedOut,
)
from dni_allocator.api.routes.pools import CursorQuery, ForceQuery, LimitQuery
from dni_allocator.domain.errors import NumbersRejected, NumberTaken
from dni_allocator.domain.moment import moment_or_none
from dni_allocator.domain.number import parse_number
from dni_allocator.services.access import Scope
from dni_allocator.services.inventory import AttachResult, NumberRow
from dni_allocator.services.quarantine import Rest
from dni_allocator.store.pools import HELD, QUARANTINE, AttachedNumber, Detached
from dni_allocator.store.shelves import Quarantined

router = APIRouter(prefix="/pools/{pool_id}/numbers", tags=["numbers"])
admin = Depends(opens(Scope.ADMIN))
reader = Depends(opens(Scope.READ))

_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/AttachBody"}},
        "text/csv": {
            "schema": {
                "type": "string",
                "description": "Header row; column `number`, any of the facts of `NumberIn`. "
                "`?all_or_nothing=true` as in the JSON form.",
            }
        },
    },
}


@router.post(
    "",
    summary="Attach numbers",
    dependencies=[admin],
    openapi_extra={"requestBody": _BODY},
)
async def attach_numbers(
    pool_id: str, request: Request, services: ServicesDep, *, all_or_nothing: bool = False
) -> AttachOut:
    """Attach the good rows and report the bad ones.

    With `all_or_nothing`, or when no row is good, nothing is attached and the answer is an error:
    409 `number-taken` if another pool has one of the numbers, else 422 `numbers-rejected`.
    """
    body = await _body(request, all_or_nothing=all_or_nothing)
    result = await services.inventory.attach(
        pool_id, rows_of(body), all_or_nothing=body.all_or_nothing
    )
    if result.rejected and not result.attached:
        raise _rejection(result)
    return AttachOut(
        attached=len(result.attached),
        numbers=list(result.attached),
        rejected=[_rejected_out(result, at) for at in range(len(result.rejected))],
    )


@router.get("", summary="List numbers", dependencies=[reader])
async def list_numbers(
    pool_id: str, services: ServicesDep, limit: LimitQuery = 100, cursor: CursorQuery = None
) -> NumberPageOut:
    """List a pool's numbers, a page at a time; `limit` is a hint, the order is none."""
    page = await services.inventory.page(pool_id, cursor=cursor, limit=limit)
    rests = await services.quarantine.of(
        pool_id, [each.number for each in page.items if each.state in {QUARANTINE, HELD}]
    )
    return NumberPageOut(
        numbers=[_number_out(each, rests.get(each.number)) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.delete("/{number}", summary="Detach a number", dependencies=[admin])
async def detach_number(
    pool_id: str, number: str, services: ServicesDep, *, force: ForceQuery = False
) -> DetachOut:
    """Take a number out of the pool.

    A leased one keeps its visitor and leaves when the lease ends (`draining`), unless forced.
    """
    e164 = await _e164(services, pool_id, number)
    outcome = await services.inventory.detach(pool_id, e164, force=force)
    return DetachOut(number=e164, state="draining" if outcome is Detached.DRAINING else "detached")


@router.put("/{number}/quarantine", summary="Put a number into quarantine", dependencies=[admin])
async def quarantine_number(
    pool_id: str, number: str, body: QuarantineBody, services: ServicesDep
) -> QuarantineStateOut:
    """Give a number to nobody until then, or until it is called off.

    A leased one keeps its visitor until the lease ends. What is known of its holders answers on.
    """
    e164 = await _e164(services, pool_id, number)
    outcome = await services.quarantine.begin(pool_id, e164, reason=body.reason, until=body.until)
    return _quarantine_state(e164, outcome)


@router.delete("/{number}/quarantine", summary="Call a quarantine off", dependencies=[admin])
async def acquit_number(pool_id: str, number: str, services: ServicesDep) -> QuarantineStateOut:
    """Put a number back on its shelf, in the place it had."""
    e164 = await _e164(services, pool_id, number)
    return _quarantine_state(e164, await services.quarantine.end(pool_id, e164))


@router.post("/{number}/spam", summary="Report a spam call", dependencies=[admin])
async def report_spam(pool_id: str, number: str, services: ServicesDep) -> QuarantineStateOut:
    """Count one sign of spam; enough of them within an hour quarantine the number."""
    e164 = await _e164(services, pool_id, number)
    outcome, signs = await services.quarantine.spam_sign(pool_id, e164)
    return _quarantine_state(e164, outcome, signs)


async def _e164(services: Services, pool_id: str, number: str) -> str:
    pool = await services.pools.read(pool_id)
    return parse_number(number, country=pool.settings.country).e164


def _quarantine_state(
    number: str, outcome: Quarantined, signals: int | None = None
) -> QuarantineStateOut:
    return QuarantineStateOut.model_validate(
        {"number": number, "state": outcome.value, "signals": signals}
    )


def csv_body(text: str) -> AttachBody:
    """What a CSV table asks to attach; an empty cell says nothing.

    Raises `csv.Error`, and pydantic's `ValidationError` for columns and cells that are not ours.
    """
    table = csv.DictReader(io.StringIO(text))
    numbers = [{str(name): cell for name, cell in row.items() if cell} for row in table]
    return AttachBody.model_validate({"numbers": numbers})


def rows_of(body: AttachBody) -> list[NumberRow]:
    """What is to be attached, with what is known of each."""
    return [
        NumberRow(row)
        if isinstance(row, str)
        else NumberRow(row.number, row.model_dump(exclude={"number"}, exclude_none=True))
        for row in body.numbers
    ]


async def _body(request: Request, *, all_or_nothing: bool) -> AttachBody:
    raw = await request.body()
    try:
        if request.headers.get("content-type", "").startswith("text/csv"):
            body = csv_body(raw.decode("utf-8-sig"))
            return body.model_copy(update={"all_or_nothing": all_or_nothing})
        body = AttachBody.model_validate(orjson.loads(raw))
    except (orjson.JSONDecodeError, UnicodeDecodeError, csv.Error) as error:
        message = "The body is neither valid JSON nor, as text/csv, valid CSV in UTF-8."
        raise MalformedJson(message) from error
    except ValidationError as error:
        raise invalid(error.errors()) from error
    if all_or_nothing and not body.all_or_nothing:
        return body.model_copy(update={"all_or_nothing": True})
    return body


def _rejection(result: AttachResult) -> NumberTaken | NumbersRejected:
    rejected = [_rejected_out(result, at).model_dump() for at in range(len(result.rejected))]
    message = f"{len(rejected)} rows were rejected and nothing was attached."
    extra = {"attached": 0, "rejected": rejected}
    if any(row.code == "number-taken" for row in result.rejected):
        return NumberTaken(message, extra=extra)
    return NumbersRejected(message, extra=extra)


def _rejected_out(result: AttachResult, at: int) -> RejectedOut:
    row = result.rejected[at]
    return RejectedOut(position=row.position, number=row.number, code=row.code, detail=row.detail)


def _number_out(number: AttachedNumber, rest: Rest | None) -> NumberOut:
    return NumberOut.model_validate(
        {
            "number": number.number,
            "national": number.national,
            "international": number.international,
            "state": _state(number),
            "locked_until": moment_or_none(number.deadline_ms),
            "quarantine": None
            if rest is None
            else {
                "reason": rest.reason,
                "since": moment_or_none(rest.since_ms),
                "until": moment_or_none(rest.until_ms),
            },
            "shelf": number.shelf,
            "facts": orjson.loads(number.facts) if number.facts else {},
        }
    )


def _state(number: AttachedNumber) -> str:
    if number.deadline_ms is not None and number.state in {"", HELD}:
        return "leased"
    return number.state or "free"
