"""The tag-facing calls, as plain ASGI in front of everything else.

A page view of every customer's site comes through here, so there is one parse of the raw bytes, no
middleware and no framework. The body is JSON whatever the content type says: a tag sends
`text/plain`, because that needs no preflight. All other paths go on to the FastAPI application.
"""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import TypeVar

import orjson
import structlog
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from dni_allocator.api.errors import (
    PROBLEM_JSON,
    MalformedJson,
    internal_problem,
    problem_of,
    validation_errors,
)
from dni_allocator.api.schemas import AssignBody, PageBody
from dni_allocator.domain.errors import BodyTooLarge, DniError, InvalidRequest
from dni_allocator.domain.lease import Alive, Answer, Assignment, Leased, Overflow
from dni_allocator.domain.number import Formats, parse_number
from dni_allocator.domain.pool import Format, Pool
from dni_allocator.services.allocation import Allocation, Page

log = structlog.get_logger(__name__)

LARGEST_BODY = 16 * 1024

Headers = list[tuple[bytes, bytes]]
Handler = Callable[[bytes, str | None], Awaitable[tuple[int, bytes, Headers]]]
Body = TypeVar("Body", bound=BaseModel)

_JSON: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_PREFLIGHT: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"86400"),
]


class Edge:
    """ASGI application: `/assign`, `/heartbeat`, `/close`; the rest is passed on."""

    def __init__(self, *, allocation: Allocation, rest: ASGIApp) -> None:
        self._allocation = allocation
        self._rest = rest
        self._handlers: dict[str, Handler] = {
            "/assign": self._assign,
            "/heartbeat": self._heartbeat,
            "/close": self._close,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of the ASGI server."""
        handler = self._handlers.get(scope["path"]) if scope["type"] == "http" else None
        method = scope.get("method")
        if handler is None or method not in {"POST", "OPTIONS"}:
            await self._rest(scope, receive, send)
            return
        if method == "OPTIONS":
            await _respond(send, 204, b"", _PREFLIGHT)
            return
        origin = _header(scope["headers"], b"origin")
        try:
            body = await _read(receive, scope["headers"])
            if body is None:
                return
            status, answer, headers = await handler(body, origin)
        except DniError as error:
            status, answer, more = problem_of(error)
            headers = _problem_headers(more)
        except Exception as error:
            log.exception("request.failed", path=scope["path"], exc_info=error)
            status, answer, headers = 500, internal_problem(), _problem_headers({})
        await _respond(send, status, answer, headers)

    async def _assign(self, body: bytes, origin: str | None) -> tuple[int, bytes, Headers]:
        asked = _parse(AssignBody, body)
        page = Page(
            visitor_id=asked.visitor_id,
            page_id=asked.page_id,
            destinations=asked.destinations,
            previous={
                destination: number for destination, number in asked.previous.items() if number
            },
            url=asked.url,
            referrer=asked.referrer,
            fields=asked.fields,
            keep_data=asked.consent != "none",
        )
        pool, assignment = await self._allocation.assign(page, site_key=asked.key, origin=origin)
        return 200, orjson.dumps(assignment_json(assignment, pool=pool)), _allow(origin)

    async def _heartbeat(self, body: bytes, origin: str | None) -> tuple[int, bytes, Headers]:
        asked = _parse(PageBody, body)
        _, alive = await self._allocation.heartbeat(
            site_key=asked.key, origin=origin, visitor_id=asked.visitor_id, page_id=asked.page_id
        )
        if isinstance(alive, Alive):
            return 200, orjson.dumps({"expires_in_s": alive.expires_in_ms // 1000}), _allow(origin)
        return 200, b'{"gone":true}', _allow(origin)

    async def _close(self, body: bytes, origin: str | None) -> tuple[int, bytes, Headers]:
        asked = _parse(PageBody, body)
        await self._allocation.close(
            site_key=asked.key, origin=origin, visitor_id=asked.visitor_id, page_id=asked.page_id
        )
        return 204, b"", _allow(origin)


def assignment_json(assignment: Assignment, *, pool: Pool) -> dict[str, object]:
    """An assignment as `AssignOut` describes it."""
    return {
        "visitor_id": assignment.visitor_id,
        "page_id": assignment.page_id,
        "heartbeat_s": assignment.heartbeat_s,
        "numbers": [_number_json(answer, pool=pool) for answer in assignment.answers],
    }


def _number_json(answer: Answer, *, pool: Pool) -> dict[str, object]:
    expires_in_s: int | None = None
    lease_id: str | None = None
    if isinstance(answer, Leased):
        status, shown = "leased", answer.formats
        expires_in_s, lease_id = answer.expires_in_ms // 1000, answer.lease_id
    elif isinstance(answer, Overflow):
        status, shown = "overflow", answer.formats
    else:
        original = parse_number(answer.destination, country=pool.settings.country)
        status = "original"
        shown = Formats(
            e164=original.e164,
            national=original.national,
            international=original.international,
            rfc3966="tel:" + original.international.replace(" ", "-"),
        )
    return {
        "destination": answer.destination,
        "number": shown.e164,
        "display": _display(shown, wanted=pool.settings.format),
        "formats": shown,
        "status": status,
        "reason": answer.reason,
        "expires_in_s": expires_in_s,
        "lease_id": lease_id,
    }


def _display(shown: Formats, *, wanted: Format) -> str:
    match wanted:
        case Format.E164:
            return shown.e164
        case Format.INTERNATIONAL:
            return shown.international
        case Format.RFC3966:
            return shown.rfc3966
        case _:
            return shown.national


def _parse(model: type[Body], body: bytes) -> Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            message = "The body is no valid JSON."
            raise MalformedJson(message) from error
        found = validation_errors(errors)
        detail = "; ".join(f"{each['field']}: {each['detail']}" for each in found[:5])
        raise InvalidRequest(detail, extra={"errors": found}) from error


async def _read(receive: Receive, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The whole body, or None when the client left. Raises `BodyTooLarge` early."""
    declared = _header(headers, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > LARGEST_BODY:
        raise _too_large()
    message = await receive()
    if message["type"] != "http.request":
        return None
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        if len(body) > LARGEST_BODY:
            raise _too_large()
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
    if len(body) > LARGEST_BODY:
        raise _too_large()
    return body


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The body is over {LARGEST_BODY} bytes.")


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None


def _allow(origin: str | None) -> Headers:
    """Headers of a good answer: the origin was checked against the pool's list before."""
    if origin is None:
        return _JSON
    return [
        *_JSON,
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"vary", b"Origin"),
    ]


def _problem_headers(more: dict[str, str]) -> Headers:
    """Any page may read why it was refused; there is nothing secret in a problem."""
    return [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"cache-control", b"no-store"),
        (b"access-control-allow-origin", b"*"),
        *((name.lower().encode(), value.encode()) for name, value in more.items()),
    ]


async def _respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    if status != HTTPStatus.NO_CONTENT:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
