"""The tag-facing calls, as plain ASGI in front of everything else.

A page view of every customer's site comes through here, so there is one parse of the raw bytes, no
middleware and no framework. The body is JSON whatever the content type says: a tag sends
`text/plain`, because that needs no preflight. All other paths go on to the FastAPI application.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter
from typing import TypedDict, TypeVar

import orjson
import structlog
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from dni_allocator.api.caller import TrustedProxies, caller_of, declared_length, origin_of
from dni_allocator.api.errors import (
    PROBLEM_JSON,
    MalformedJson,
    MethodNotAllowed,
    internal_problem,
    problem_of,
    validation_errors,
)
from dni_allocator.api.schemas import AssignBody, PageBody
from dni_allocator.domain.errors import BodyTooLarge, DniError, InvalidRequest, RateLimited
from dni_allocator.domain.lease import Alive, Answer, Assignment, Leased, Overflow
from dni_allocator.domain.number import Formats, parse_number
from dni_allocator.domain.pool import Format, Pool
from dni_allocator.metrics import Metrics
from dni_allocator.services.allocation import Allocation

log = structlog.get_logger(__name__)

LARGEST_BODY = 16 * 1024

Headers = list[tuple[bytes, bytes]]
Found = dict[bytes, bytes]
"""Headers of a request; of several of one name, the last."""

Handler = Callable[[bytes, Found, Scope], Awaitable[tuple[int, bytes, Headers]]]
Body = TypeVar("Body", bound=BaseModel)

_JSON: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_GONE = b'{"gone":true}'
_TOO_MANY = 429
_PREFLIGHT: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"86400"),
]


class Edge:
    """ASGI application: `/assign`, `/heartbeat`, `/close`; the rest is passed on."""

    def __init__(
        self,
        *,
        allocation: Allocation,
        metrics: Metrics,
        rest: ASGIApp,
        proxies: TrustedProxies,
    ) -> None:
        self._allocation = allocation
        self._metrics = metrics
        self._proxies = proxies
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
        if handler is None:
            await self._rest(scope, receive, send)
            return
        if method != "POST":
            await _respond_without_work(send, method)
            return
        call = scope["path"][1:]
        found = dict(scope["headers"])
        outcome = "ok"
        try:
            body = await _read(receive, declared_length(found))
            if body is None:
                return
            status, answer, headers = await handler(body, found, scope)
            if answer is _GONE:
                outcome = "gone"
            elif status == _TOO_MANY:
                outcome = RateLimited.code
        except DniError as error:
            status, answer, more = problem_of(error)
            headers, outcome = _problem_headers(more), error.code
        except Exception as error:
            log.exception("request.failed", call=call, exc_info=error)
            status, answer, headers = 500, internal_problem(), _problem_headers({})
            outcome = "internal-error"
        self._metrics.calls[call, outcome] += 1
        await _respond(send, status, answer, headers)

    async def _assign(self, body: bytes, found: Found, scope: Scope) -> tuple[int, bytes, Headers]:
        caller = caller_of(scope["headers"], scope.get("client"), self._proxies, found)
        asked = _parse(AssignBody, body)
        began = perf_counter()
        assignment = await self._allocation.assign(
            asked, site_key=asked.key, origin=caller.origin, browser=caller
        )
        answer = assignment_json(assignment, self._metrics)
        self._metrics.assign_durations.observe(perf_counter() - began)
        if assignment.heartbeat_s is None:
            wait_s = _wait_s(assignment)
            if wait_s is not None:
                return _rate_limited(answer, wait_s)
        return 200, orjson.dumps(answer), _allow(caller.origin)

    async def _heartbeat(self, body: bytes, found: Found, _: Scope) -> tuple[int, bytes, Headers]:
        origin = origin_of(found)
        asked = _parse(PageBody, body)
        pool, alive = await self._allocation.heartbeat(
            site_key=asked.key,
            origin=origin,
            visitor_id=asked.visitor_id,
            page_id=asked.page_id,
        )
        if not isinstance(alive, Alive):
            return 200, _GONE, _allow(origin)
        answer = {
            "expires_in_s": alive.expires_in_ms // 1000,
            "heartbeat_s": pool.heartbeat_within(alive.expires_in_ms),
        }
        return 200, orjson.dumps(answer), _allow(origin)

    async def _close(self, body: bytes, found: Found, _: Scope) -> tuple[int, bytes, Headers]:
        origin = origin_of(found)
        asked = _parse(PageBody, body)
        await self._allocation.close(
            site_key=asked.key,
            origin=origin,
            visitor_id=asked.visitor_id,
            page_id=asked.page_id,
        )
        return 204, b"", _allow(origin)


class FormatsJson(TypedDict):
    """`FormatsOut`, as it is built on the hot path."""

    e164: str
    national: str
    international: str
    rfc3966: str


class NumberJson(TypedDict):
    """`AssignedNumberOut`, as it is built on the hot path."""

    destination: str
    number: str
    display: str
    formats: FormatsJson
    status: str
    reason: str
    expires_in_s: int | None
    lease_id: str | None


class AssignmentJson(TypedDict):
    """`AssignOut`, as it is built on the hot path."""

    visitor_id: str
    page_id: str
    heartbeat_s: int | None
    numbers: list[NumberJson]


def assignment_json(assignment: Assignment, metrics: Metrics) -> AssignmentJson:
    """An assignment as `AssignOut` describes it; each number is counted for the pool it is of."""
    numbers = []
    for answer, pool in zip(assignment.answers, assignment.pools, strict=True):
        row = _number_json(answer, pool)
        metrics.assigned[pool.id, row["status"], row["reason"]] += 1
        numbers.append(row)
    return {
        "visitor_id": assignment.visitor_id,
        "page_id": assignment.page_id,
        "heartbeat_s": assignment.heartbeat_s,
        "numbers": numbers,
    }


def _wait_s(assignment: Assignment) -> int | None:
    """Seconds until a rate limit allows a lease; None where no limit was met."""
    waits = [
        answer.retry_in_ms
        for answer in assignment.answers
        if not isinstance(answer, Leased) and answer.retry_in_ms is not None
    ]
    return -(-min(waits) // 1000) if waits else None


def _rate_limited(answer: AssignmentJson, wait_s: int) -> tuple[int, bytes, Headers]:
    """A problem document that carries the answer too: what the page is to show meanwhile."""
    error = RateLimited("Too many new numbers for one visitor or network; ask again later.")
    status, problem, more = problem_of(error)
    headers = _problem_headers({**more, "Retry-After": str(max(1, wait_s))})
    return status, orjson.dumps({**orjson.loads(problem), **answer}), headers


def _number_json(answer: Answer, pool: Pool) -> NumberJson:
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
        "display": _display(shown, pool.settings.format),
        "formats": {
            "e164": shown.e164,
            "national": shown.national,
            "international": shown.international,
            "rfc3966": shown.rfc3966,
        },
        "status": status,
        "reason": str(answer.reason),  # the hash of an enum's member is a call of its own
        "expires_in_s": expires_in_s,
        "lease_id": lease_id,
    }


def _display(shown: Formats, wanted: Format) -> str:
    match wanted:
        case Format.MIRROR | Format.NATIONAL:
            return shown.national
        case Format.E164:
            return shown.e164
        case Format.INTERNATIONAL:
            return shown.international
        case Format.RFC3966:
            return shown.rfc3966


def _parse(model: type[Body], body: bytes) -> Body:
    try:
        # `model_validate_json` without its options, of which none is used here.
        parsed: Body = model.__pydantic_validator__.validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            message = "The body is no valid JSON."
            raise MalformedJson(message) from error
        found = validation_errors(errors)
        detail = "; ".join(f"{each['field']}: {each['detail']}" for each in found[:5])
        raise InvalidRequest(detail, extra={"errors": found}) from error
    return parsed


async def _read(receive: Receive, declared: int) -> bytes | None:
    """The whole body, or None when the client left. Raises `BodyTooLarge` early."""
    if declared > LARGEST_BODY:
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


@lru_cache(maxsize=4096)
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
        # Else a browser keeps it from the tag.
        (b"access-control-expose-headers", b"retry-after"),
        *((name.lower().encode(), value.encode()) for name, value in more.items()),
    ]


async def _respond_without_work(send: Send, method: str | None) -> None:
    """A preflight is allowed, whatever the origin: the call itself is checked. All else is 405."""
    if method == "OPTIONS":
        await _respond(send, 204, b"", _PREFLIGHT)
        return
    status, body, more = problem_of(MethodNotAllowed("This call is a POST."))
    await _respond(send, status, body, _problem_headers(more))


async def _respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    if body:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
