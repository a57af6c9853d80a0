"""The ASGI side: the FastAPI application with every route, and what wraps it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dni_allocator import __version__
from dni_allocator.api import errors
from dni_allocator.api.caller import declared_length
from dni_allocator.api.context import Services
from dni_allocator.api.openapi import describe
from dni_allocator.api.routes import (
    assigning,
    attribution,
    audit,
    calls,
    conversion_files,
    conversions,
    events,
    explain,
    health,
    history,
    keys,
    leases,
    numbers,
    pools,
    purchases,
    scaling,
    sites,
    sizing,
    tag,
    telephony,
    traffic_sources,
    visitors,
    webhooks,
)
from dni_allocator.api.vendor_requests import VendorKeys
from dni_allocator.dashboard.routes import PAGES, reference
from dni_allocator.domain.errors import BodyTooLarge
from dni_allocator.metrics import Metrics
from dni_allocator.services.measuring import Measuring
from dni_allocator.settings import Settings

LARGEST_ADMIN_BODY = 4 * 1024 * 1024

ROUTES = (
    health,
    assigning,
    sites,
    pools,
    explain,
    history,
    sizing,
    numbers,
    purchases,
    scaling,
    leases,
    attribution,
    calls,
    telephony,
    webhooks,
    events,
    keys,
    audit,
    tag,
    visitors,
    traffic_sources,
    conversions,
    conversion_files,
)


def build_api(
    services: Services,
    *,
    settings: Settings,
    vendor_keys: VendorKeys,
    metrics: Metrics,
    measuring: Measuring,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
) -> FastAPI:
    """Every route but the tag's three calls, which `api.edge` takes before the framework."""
    api = FastAPI(
        title="dni-allocator",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        # Its pages fetch scripts from elsewhere, and the description is gathered while visitors
        # wait; `dashboard.routes.reference` has ours.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        max_body_size=LARGEST_ADMIN_BODY,
        # Its spans and logs tell paths, queries and what was sent: `app.tracing` has ours.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    api.state.services = services
    api.state.public_url = settings.public_url
    api.state.metrics = metrics
    api.state.measuring = measuring
    api.state.scrapers = {}
    api.state.vendor_keys = vendor_keys
    api.state.description = None
    errors.install(api)
    for room in (*ROUTES, *PAGES):
        if settings.docs or room is not reference:
            api.include_router(room.router)
    describe(api)
    return api


def bounded_bodies(app: ASGIApp) -> ASGIApp:
    """Refuse a body declared too large with a problem document; the framework's own is plain text.

    Bodies of undeclared length are counted by the framework as they come.
    """

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        if declared_length(dict(scope.get("headers", ()))) > LARGEST_ADMIN_BODY:
            error = BodyTooLarge(f"The body is over {LARGEST_ADMIN_BODY} bytes.")
            status, body, _ = errors.problem_of(error)
            await Response(body, status, media_type=errors.PROBLEM_JSON)(scope, receive, send)
            return
        await app(scope, receive, send)

    return bounded


def behind_proxies(app: ASGIApp, *, believed: str) -> ASGIApp:
    """Take the client's address and the scheme from the headers of proxies that are believed."""
    # uvicorn types ASGI messages more narrowly than Starlette does.
    inner: Any = app
    outer: Any = ProxyHeadersMiddleware(inner, trusted_hosts=believed)
    return cast("ASGIApp", outer)


def closing(send: Send) -> Send:
    """Ask the client to come back on another connection: this process is about to stop."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_closing


def only_operations(app: ASGIApp) -> ASGIApp:
    """Let nothing through but what orchestrators and Prometheus ask for."""
    let_through = {route.path for route in health.router.routes if isinstance(route, Route)}

    async def operations(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in let_through:
            body = errors.problem_body(
                code="not-found",
                title="Not found",
                status=404,
                detail="This process serves health and metrics only.",
            )
            await Response(body, 404, media_type=errors.PROBLEM_JSON)(scope, receive, send)
            return
        await app(scope, receive, send)

    return operations
