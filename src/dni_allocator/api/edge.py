"""The tag-facing calls, as plain ASGI in front of everything else.

A page view of every customer's site comes through here, so there is one parse of the raw bytes, no
middleware and no framework. The body is JSON whatever the content type says: a tag sends
`text/plain`, because that needs no preflight. All other paths go on to the FastAPI application.
"""

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter
from typing import Final, NamedTuple, TypeVar

import orjson
import structlog
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from dni_allocator.api.assignments import AssignmentJson, assignment_json, written
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
from dni_allocator.domain.lease import Alive, Assignment, Leased
from dni_allocator.metrics import Metrics
from dni_allocator.services.allocation import Allocation

log = structlog.get_logger(__name__)

LARGEST_BODY = 16 * 1024
_DIGITS_OF_ANY = 4
"""A length of so many digits is allowed, whatever it is."""

WHOLE: Final = "dni.whole"
"""Extension of an ASGI scope: a function that sends a whole answer at once, or says it does not.

Given the scope, the status, the headers as they are written and the body; true when it has sent
them. uvicorn checks and joins headers at each answer, in two calls: 30,000 instructions, a fifth of
what it does for a request. See `cli.corked`, ADR 46.
"""

Headers = list[tuple[bytes, bytes]]
Found = dict[bytes, bytes]
"""Headers of a request; of several of one name, the last."""


class Head(NamedTuple):
    """The headers of an answer: for ASGI, and, where that is worth it, as they are written."""

    headers: Headers
    written: bytes | None = None


Handler = Callable[[bytes, Found, Scope], Awaitable[tuple[int, bytes, Head]]]
Body = TypeVar("Body", bound=BaseModel)

_JSON: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_UNWRITABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What must not stand in the value of a header (RFC 9110, 5.5)."""
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
            body = await _read(receive, found)
            if body is None:
                return
            status, answer, head = await handler(body, found, scope)
            if answer is _GONE:
                outcome = "gone"
            elif status == _TOO_MANY:
                outcome = RateLimited.code
        except DniError as error:
            status, answer, more = problem_of(error)
            head, outcome = _problem_head(more), error.code
        except Exception as error:
            log.exception("request.failed", call=call, exc_info=error)
            status, answer, head = 500, internal_problem(), _problem_head({})
            outcome = "internal-error"
        self._metrics.calls[call, outcome] += 1
        if head.written is not None and WHOLE in scope.get("extensions", ()):
            send_whole = scope["extensions"][WHOLE]["send"]
            if send_whole(scope, status, head.written, answer):
                return
        await _respond(send, status, answer, head.headers)

    async def _assign(self, body: bytes, found: Found, scope: Scope) -> tuple[int, bytes, Head]:
        caller = caller_of(scope["headers"], scope.get("client"), self._proxies, found)
        asked = _parse(AssignBody, body)
        began = perf_counter()
        assignment = await self._allocation.assign(
            asked, site_key=asked.key, origin=caller.origin, browser=caller
        )
        self._metrics.assign_durations.observe(perf_counter() - began)
        if assignment.heartbeat_s is None:
            wait_s = _wait_s(assignment)
            if wait_s is not None:
                return _rate_limited(assignment_json(assignment, self._metrics), wait_s)
        return 200, written(assignment, self._metrics), _allow(caller.origin)

    async def _heartbeat(self, body: bytes, found: Found, _: Scope) -> tuple[int, bytes, Head]:
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

    async def _close(self, body: bytes, found: Found, _: Scope) -> tuple[int, bytes, Head]:
        origin = origin_of(found)
        asked = _parse(PageBody, body)
        await self._allocation.close(
            site_key=asked.key,
            origin=origin,
            visitor_id=asked.visitor_id,
            page_id=asked.page_id,
        )
        return 204, b"", _allow(origin)


def _wait_s(assignment: Assignment) -> int | None:
    """Seconds until a rate limit allows a lease; None where no limit was met."""
    waits = [
        answer.retry_in_ms
        for answer in assignment.answers
        if not isinstance(answer, Leased) and answer.retry_in_ms is not None
    ]
    return -(-min(waits) // 1000) if waits else None


def _rate_limited(answer: AssignmentJson, wait_s: int) -> tuple[int, bytes, Head]:
    """A problem document that carries the answer too: what the page is to show meanwhile."""
    error = RateLimited("Too many new numbers for one visitor or network; ask again later.")
    status, problem, more = problem_of(error)
    head = _problem_head({**more, "Retry-After": str(max(1, wait_s))})
    return status, orjson.dumps({**orjson.loads(problem), **answer}), head


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


async def _read(receive: Receive, found: Found) -> bytes | None:
    """The whole body, or None when the client left. Raises `BodyTooLarge` early."""
    length = found.get(b"content-length", b"")
    if len(length) > _DIGITS_OF_ANY and declared_length(found) > LARGEST_BODY:
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
def _allow(origin: str | None) -> Head:
    """Headers of a good answer: the origin was checked against the pool's list before."""
    headers = _JSON
    if origin is not None:
        allowed = (b"access-control-allow-origin", origin.encode("latin-1"))
        headers = [*_JSON, allowed, (b"vary", b"Origin")]
    if any(_UNWRITABLE.search(value) for _, value in headers):
        return Head(headers)  # the server will say what is wrong
    return Head(headers, b"".join(b"%b: %b\r\n" % header for header in headers))


def _problem_head(more: dict[str, str]) -> Head:
    """Any page may read why it was refused; there is nothing secret in a problem."""
    return Head(
        [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"cache-control", b"no-store"),
            (b"access-control-allow-origin", b"*"),
            # Else a browser keeps it from the tag.
            (b"access-control-expose-headers", b"retry-after"),
            *((name.lower().encode(), value.encode()) for name, value in more.items()),
        ]
    )


async def _respond_without_work(send: Send, method: str | None) -> None:
    """A preflight is allowed, whatever the origin: the call itself is checked. All else is 405."""
    if method == "OPTIONS":
        await _respond(send, 204, b"", _PREFLIGHT)
        return
    status, body, more = problem_of(MethodNotAllowed("This call is a POST."))
    await _respond(send, status, body, _problem_head(more).headers)


async def _respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    if body:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
