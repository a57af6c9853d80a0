"""The pages under `/demo`: the company's landing page, and what a person may look at behind it.

Owns HTTP of the demonstration. Asks service and sink through `demo.client` only.
"""

import time
from datetime import datetime
from html import escape
from importlib import resources
from string import Template
from typing import Annotated, Final, Literal

import httpx
from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, StringConstraints

from dni_allocator.demo.client import Client, EventSeen, NumberSeen
from dni_allocator.demo.stage import Stage
from dni_allocator.domain.number import parse_number

NEWEST: Final = 12
"""Events shown at once."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
}
_STATIC: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class CallBody(BaseModel):
    """`POST /demo/call`."""

    number: Annotated[str, StringConstraints(pattern=r"^\+[0-9]{6,15}$")]


class NumberRow(BaseModel):
    """One line of the pool. `ends_in_s`: seconds to the end of the lock as known now."""

    number: str
    national: str
    state: Literal["free", "leased", "draining", "quarantined", "held"]
    ends_in_s: float | None


class EventRow(BaseModel):
    """One event that the sink took. `latency_ms`: from the fact to the sink's commit."""

    id: str
    type: str
    number: str | None
    visitor_id: str | None
    reason: str | None
    source: str | None
    received_at: datetime
    latency_ms: int | None
    deliveries: int
    signature: Literal["verified"] = "verified"


class PoolShown(BaseModel):
    """`GET /demo/pool`."""

    numbers: list[NumberRow]


class ReceivedShown(BaseModel):
    """`GET /demo/received`, the newest first."""

    events: list[EventRow]


class DemoPages:
    """The pages of one scene; `router` has them all."""

    def __init__(self, stage: Stage, client: Client) -> None:
        self._stage = stage
        self._client = client
        self._landing = _landing_page(stage)
        self.router = APIRouter(include_in_schema=False)
        self.router.get("/")(self._home)
        self.router.get("/demo")(self._page)
        self.router.get("/demo/static/{name}")(self._static)
        self.router.post("/demo/call")(self._call)
        self.router.get("/demo/pool", response_model=PoolShown)(self._pool)
        self.router.get("/demo/received", response_model=ReceivedShown)(self._received)

    async def _home(self) -> RedirectResponse:
        """Lead whoever opens the bare address to the page."""
        return RedirectResponse("/demo")

    async def _page(self) -> HTMLResponse:
        """Show the company's landing page, with the tag in it."""
        return HTMLResponse(self._landing, headers=_HEADERS)

    async def _static(self, name: str) -> Response:
        """Serve the page's style, script and icon."""
        if name not in _STATIC:
            return Response(status_code=404)
        return Response(_file(name), media_type=_STATIC[name], headers=_HEADERS)

    async def _call(self, body: CallBody) -> Response:
        """Play an incoming call: record it as a backend would, pass the answer on."""
        try:
            answer = await self._client.record_call(body.number)
        except httpx.HTTPError:
            return _no_answer("The service does not answer.")
        return Response(
            answer.content,
            status_code=answer.status_code,
            media_type=answer.headers["content-type"],
            headers={"Cache-Control": "no-store"},
        )

    async def _pool(self) -> PoolShown | Response:
        """Show who has what, as an operator would see it."""
        try:
            numbers = await self._client.numbers(self._stage.pool_id)
        except httpx.HTTPError:
            return _no_answer("The service does not answer.")
        now = time.time()
        return PoolShown(numbers=[_number_row(each, now_s=now) for each in numbers])

    async def _received(self) -> ReceivedShown | Response:
        """Show what the downstream store has taken."""
        try:
            events = await self._client.received(limit=NEWEST)
        except httpx.HTTPError:
            return _no_answer("The downstream store does not answer.")
        return ReceivedShown(events=[_event_row(each) for each in events])


def _landing_page(stage: Stage) -> str:
    company = stage.company
    phone = parse_number(company.destination, country="US")
    digits = phone.national_digits
    values = {
        "key": stage.key,
        "e164": phone.e164,
        "national": phone.national,
        "international": phone.international,
        "dotted": f"{digits[:3]}.{digits[3:6]}.{digits[6:]}",
        "dashed": f"{digits[:3]}-{digits[3:6]}-{digits[6:]}",
        "numbers": str(len(company.numbers)),
        "idle": str(company.idle_limit_s),
        "delay": str(company.closed_browser_delay_s),
        "overflow": parse_number(company.overflow_number, country="US").national,
    }
    text = Template(_file("landing.html").decode())
    return text.substitute({name: escape(value) for name, value in values.items()})


def _number_row(number: NumberSeen, *, now_s: float) -> NumberRow:
    until = number.locked_until
    return NumberRow(
        number=number.number,
        national=number.national,
        state=number.state,
        ends_in_s=None if until is None else max(0.0, round(until.timestamp() - now_s, 1)),
    )


def _event_row(event: EventSeen) -> EventRow:
    fields = event.fields
    latency = None
    if event.occurred_at is not None:
        latency = max(0, round((event.received_at - event.occurred_at).total_seconds() * 1000))
    return EventRow(
        id=event.id,
        type=event.type,
        number=None if event.number is None else parse_number(event.number, country="ZZ").national,
        visitor_id=event.visitor_id,
        reason=event.reason,
        source=str(fields["utm_source"]) if fields.get("utm_source") else None,
        received_at=event.received_at,
        latency_ms=latency,
        deliveries=event.deliveries,
    )


def _no_answer(detail: str) -> Response:
    return JSONResponse(
        {"type": "about:blank", "title": "No answer", "status": 502, "detail": detail},
        status_code=502,
        media_type="application/problem+json",
    )


def _file(name: str) -> bytes:
    return resources.files(__package__).joinpath("static", name).read_bytes()
