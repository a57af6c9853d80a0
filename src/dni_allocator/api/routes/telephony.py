"""Webhooks of telephony vendors: where a call goes, and what became of it.

Twilio and Telnyx' TeXML ask in the same words, and get documents in the same words; Call Control
posts events, and takes commands at its API.
"""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from dni_allocator.api.context import Services, ServicesDep
from dni_allocator.api.routes.tag import public_origin
from dni_allocator.api.vendor_requests import Form, TelnyxBody, TelnyxForm, TwilioForm
from dni_allocator.domain.errors import StoreUnavailable, TelephonyOff
from dni_allocator.domain.routing import LONGEST_WHISPER, Connect
from dni_allocator.vendors.telnyx.call_control import event_of
from dni_allocator.vendors.twilio.voice import dialed_report, report_of, ring_of, rings_on
from dni_allocator.vendors.voice_xml import MEDIA_TYPE, CallbackUrls, answered, hung_up, said

router = APIRouter(prefix="/telephony", tags=["telephony"])

TWILIO, TELNYX = "twilio", "telnyx"

Following = Annotated[
    int, Query(alias="next", ge=1, le=100, description="Which destination rings next, from 0.")
]
Say = Annotated[str, Query(max_length=LONGEST_WHISPER)]
Language = Annotated[str | None, Query(max_length=16)]


def _asked(content: str) -> dict[str, Any]:
    """What a vendor posts; its fields are the vendor's to describe."""
    schema = {"type": "object", "additionalProperties": True}
    return {"requestBody": {"required": True, "content": {content: {"schema": schema}}}}


_FORM = _asked("application/x-www-form-urlencoded")
_DOCUMENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "TwiML, or TeXML.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


def _document(content: bytes) -> Response:
    """A document for a vendor; never kept by anybody on the way."""
    return Response(content, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@router.post(
    "/twilio/voice",
    summary="Twilio: a call comes in",
    response_class=Response,
    responses=_DOCUMENT,
    openapi_extra=_FORM,
)
async def twilio_voice(form: TwilioForm, request: Request, services: ServicesDep) -> Response:
    """Record a call, and answer where it goes, also while the store is away."""
    return await _voice(form, request, services, vendor=TWILIO)


@router.post(
    "/twilio/dialed",
    summary="Twilio: a destination has rung",
    response_class=Response,
    responses=_DOCUMENT,
    openapi_extra=_FORM,
)
async def twilio_dialed(
    form: TwilioForm, request: Request, services: ServicesDep, following: Following
) -> Response:
    """Note what came of it, and ring the next one if nobody answered."""
    return await _dialed(form, request, services, vendor=TWILIO, following=following)


@router.post(
    "/twilio/whisper",
    summary="Twilio: a destination has answered",
    response_class=Response,
    responses=_DOCUMENT,
    openapi_extra=_FORM,
)
async def twilio_whisper(_: TwilioForm, say: Say = "", language: Language = None) -> Response:
    """Answer what is said to whoever picked up, before the caller is connected."""
    return _document(said(say, language=language))


@router.post(
    "/twilio/status",
    status_code=204,
    summary="Twilio: what became of a call or a recording",
    openapi_extra=_FORM,
)
async def twilio_status(form: TwilioForm, services: ServicesDep) -> None:
    """Note it; of a call that is not on record yet, too."""
    await services.telephony.report(report_of(form, vendor=TWILIO))


@router.post(
    "/telnyx/texml",
    summary="Telnyx TeXML: a call comes in",
    response_class=Response,
    responses=_DOCUMENT,
    openapi_extra=_FORM,
)
async def telnyx_voice(form: TelnyxForm, request: Request, services: ServicesDep) -> Response:
    """Record a call, and answer where it goes, also while the store is away."""
    return await _voice(form, request, services, vendor=TELNYX)


@router.post(
    "/telnyx/dialed",
    summary="Telnyx TeXML: a destination has rung",
    response_class=Response,
    responses=_DOCUMENT,
    openapi_extra=_FORM,
)
async def telnyx_dialed(
    form: TelnyxForm, request: Request, services: ServicesDep, following: Following
) -> Response:
    """Note what came of it, and ring the next one if nobody answered."""
    return await _dialed(form, request, services, vendor=TELNYX, following=following)


@router.post(
    "/telnyx/whisper",
    summary="Telnyx TeXML: a destination has answered",
    response_class=Response,
    responses=_DOCUMENT,
    openapi_extra=_FORM,
)
async def telnyx_whisper(_: TelnyxForm, say: Say = "", language: Language = None) -> Response:
    """Answer what is said to whoever picked up, before the caller is connected."""
    return _document(said(say, language=language))


@router.post(
    "/telnyx/status",
    status_code=204,
    summary="Telnyx TeXML: what became of a call or a recording",
    openapi_extra=_FORM,
)
async def telnyx_status(form: TelnyxForm, services: ServicesDep) -> None:
    """Note it; of a call that is not on record yet, too."""
    await services.telephony.report(report_of(form, vendor=TELNYX))


@router.post(
    "/telnyx/call-control",
    status_code=204,
    summary="Telnyx Call Control: an event",
    openapi_extra=_asked("application/json"),
)
async def telnyx_call_control(body: TelnyxBody, services: ServicesDep) -> None:
    """Note what it says, and command what comes next at Telnyx' API. Each event counts once."""
    if services.call_control is None:
        message = "Call Control needs DNI_TELNYX_API_KEY."
        raise TelephonyOff(message)
    await services.call_control.handle(event_of(body))


async def _voice(form: Form, request: Request, services: Services, *, vendor: str) -> Response:
    ring = ring_of(form, vendor=vendor)
    answer = await services.telephony.answer(ring)
    return _document(answered(answer, ring, urls=_urls(request, vendor)))


async def _dialed(
    form: Form, request: Request, services: Services, *, vendor: str, following: int
) -> Response:
    ring = ring_of(form, vendor=vendor)
    document, last = hung_up(), True
    if rings_on(form):
        answer = await services.telephony.answer(ring)
        if isinstance(answer.plan, Connect) and following < len(answer.plan.destinations):
            document = answered(answer, ring, urls=_urls(request, vendor), attempt=following)
            last = False
    # What cannot be noted now is held; the caller must not wait for it.
    with suppress(StoreUnavailable):
        await services.telephony.report(dialed_report(form, vendor=vendor, last=last))
    return _document(document)


def _urls(request: Request, vendor: str) -> CallbackUrls:
    return CallbackUrls(f"{public_origin(request)}/telephony/{vendor}")
