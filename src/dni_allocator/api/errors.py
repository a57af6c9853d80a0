"""Problem documents (RFC 9457): the one table from error code to HTTP status.

Every error body of this service has `type`, `title`, `status`, `detail` and a stable `code`.
422 is for shape only. Values are never repeated: they could be personal.
"""

from collections.abc import Mapping, Sequence

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from dni_allocator.domain.errors import DniError, InvalidRequest

log = structlog.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"
_MOST_FINDINGS = 100

STATUS_OF: Mapping[str, int] = {
    "invalid-request": 422,
    "invalid-number": 422,
    "malformed-json": 400,
    "unauthorized": 401,
    "unknown-key": 403,
    "origin-not-allowed": 403,
    "forbidden": 403,
    "not-found": 404,
    "pool-unknown": 404,
    "number-unknown": 404,
    "endpoint-unknown": 404,
    "call-unknown": 404,
    "method-not-allowed": 405,
    "pool-in-use": 409,
    "edit-conflict": 409,
    "number-taken": 409,
    "numbers-rejected": 422,
    "site-unknown": 404,
    "purchase-unknown": 404,
    "decision-unknown": 404,
    "vendor-unknown": 404,
    "purchase-closed": 409,
    "vendor-not-configured": 409,
    "vendor-refused": 502,
    "vendor-unavailable": 503,
    "traffic-source-unknown": 404,
    "conversion-unknown": 404,
    "password-required": 401,
    "secret-key-unknown": 404,
    "key-protected": 409,
    "cursor-expired": 410,
    "body-too-large": 413,
    "rate-limited": 429,
    "store-unavailable": 503,
    "bad-signature": 403,
    "telephony-off": 404,
}

_HEADERS_OF: Mapping[str, Mapping[str, str]] = {
    "unauthorized": {"WWW-Authenticate": "Bearer"},
    "password-required": {"WWW-Authenticate": 'Basic realm="conversions", charset="UTF-8"'},
    "method-not-allowed": {"Allow": "POST, OPTIONS"},
    "store-unavailable": {"Retry-After": "1"},
    "vendor-unavailable": {"Retry-After": "10"},
}

_CODE_OF_STATUS = {
    400: ("malformed-json", "The body is no valid JSON"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    413: ("body-too-large", "Body too large"),
}


class MalformedJson(DniError):
    """The body is no JSON at all."""

    code = "malformed-json"
    title = "The body is no valid JSON"


class MethodNotAllowed(DniError):
    """The path is known, but not with this method."""

    code = "method-not-allowed"
    title = "Method not allowed"


def problem_body(
    *, code: str, title: str, status: int, detail: str, extra: Mapping[str, object] | None = None
) -> bytes:
    """A problem document. `type` is a URN of the stable code."""
    return orjson.dumps(
        {
            "type": f"urn:dni-allocator:problem:{code}",
            "title": title,
            "status": status,
            "detail": detail,
            "code": code,
            **(extra or {}),
        }
    )


def problem_of(error: DniError) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and extra headers for an error of ours. Unlisted codes are bugs: 500."""
    status = STATUS_OF.get(error.code)
    if status is None:
        log.error("request.failed", code=error.code, detail=error.detail, exc_info=error)
        return 500, internal_problem(), {}
    body = problem_body(
        code=error.code, title=error.title, status=status, detail=error.detail, extra=error.extra
    )
    return status, body, dict(_HEADERS_OF.get(error.code, {}))


def internal_problem() -> bytes:
    """The body of a 500: nothing of what happened, that is in the log."""
    return problem_body(
        code="internal-error",
        title="Internal error",
        status=500,
        detail="Something broke on our side; it is in the log.",
    )


def validation_errors(errors: Sequence[object]) -> list[dict[str, str]]:
    """Pydantic's findings as `field` and `detail`, without the input they were found in."""
    found = []
    for error in errors:
        if isinstance(error, Mapping):
            location = [str(part) for part in error.get("loc", ()) if part != "body"]
            found.append({"field": ".".join(location), "detail": str(error.get("msg", ""))})
    return found


def invalid(errors: Sequence[object], *, whole: str = "") -> InvalidRequest:
    """Pydantic's findings as our error, the first hundred; `whole` names what has no field."""
    found = validation_errors(errors[:_MOST_FINDINGS])
    return InvalidRequest.of([{**each, "field": each["field"] or whole} for each in found])


def install(app: FastAPI) -> None:
    """Turn every error of the FastAPI part into a problem document."""

    async def on_dni_error(_: Request, error: Exception) -> Response:
        if not isinstance(error, DniError):
            raise error
        status, body, headers = problem_of(error)
        return Response(body, status_code=status, media_type=PROBLEM_JSON, headers=headers)

    async def on_validation(_: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        errors = error.errors()
        if any(found.get("type") == "json_invalid" for found in errors):
            status, body, headers = problem_of(MalformedJson("The body is no valid JSON."))
        else:
            status, body, headers = problem_of(invalid(errors))
        return Response(body, status_code=status, media_type=PROBLEM_JSON, headers=headers)

    async def on_http(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        code, title = _CODE_OF_STATUS.get(error.status_code, ("http-error", "Request refused"))
        body = problem_body(
            code=code, title=title, status=error.status_code, detail=str(error.detail)
        )
        return Response(
            body,
            status_code=error.status_code,
            media_type=PROBLEM_JSON,
            headers=dict(error.headers or {}),
        )

    async def on_anything(_: Request, error: Exception) -> Response:
        log.error("request.failed", exc_info=error)
        return Response(internal_problem(), status_code=500, media_type=PROBLEM_JSON)

    app.add_exception_handler(DniError, on_dni_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_anything)
