"""Spans of requests, for OpenTelemetry; nothing of it is loaded unless DNI_TRACES is on.

FastAPI has spans of its own, but they carry the path and the query, where numbers and visitors
stand, and they know nothing of the tag's calls. These carry the method, the route and the status.
A `traceparent` that comes in is followed (W3C Trace Context). Where spans go, and how many, is said
by the variables every OpenTelemetry SDK knows: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, …
"""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dni_allocator import __version__
from dni_allocator.domain.errors import ConfigurationError

_OF_THE_TAG: Final = frozenset({"/assign", "/heartbeat", "/close"})
_BROKEN: Final = 500


class Tracing:
    """The spans of one process. Raises `ConfigurationError` without the extra `otel`."""

    def __init__(self) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 -- see the module
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- as above
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- as above
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 -- as above
        except ImportError as error:
            message = "DNI_TRACES needs the extra: pip install 'dni-allocator[otel]'."
            raise ConfigurationError(message) from error
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "dni-allocator"}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("dni_allocator", __version__)

    async def close(self) -> None:
        """Send what is left. The exporter blocks, so in a thread."""
        await asyncio.to_thread(self._provider.shutdown)

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application with a span for each request."""
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 -- see the module
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 -- as above
            TraceContextTextMapPropagator,
        )

        follow = TraceContextTextMapPropagator()

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = _BROKEN
            scope.pop("extensions", None)  # a way around `send`

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in scope["headers"]
                if name in {b"traceparent", b"tracestate"}
            }
            with self._tracer.start_as_current_span(
                scope["method"],
                context=follow.extract(headers),
                kind=SpanKind.SERVER,
                # The words of an exception may repeat what somebody sent.
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                try:
                    await app(scope, receive, noting)
                finally:
                    route = _route(scope)
                    span.update_name(f"{scope['method']} {route}".rstrip())
                    span.set_attribute("http.request.method", scope["method"])
                    span.set_attribute("http.response.status_code", status)
                    if route:
                        span.set_attribute("http.route", route)
                    if status >= _BROKEN:
                        span.set_status(StatusCode.ERROR)

        return traced


def _route(scope: Scope) -> str:
    """The route as the code writes it, never the path as it came: `/attribution/{number}`."""
    if scope["path"] in _OF_THE_TAG:
        return str(scope["path"])
    return str(getattr(scope.get("route"), "path", ""))
