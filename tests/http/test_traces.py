"""Spans for OpenTelemetry: sent to a real OTLP receiver when switched on, else not there at all."""

import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from dni_allocator.app import App, Options
from dni_allocator.settings import Settings
from tests.support.receiver import Receiver, receiving
from tests.support.service import ADMIN_KEY

NUMBER = "+16025550101"
PARENT = "4bf92f3577b34da6a3ce929d0e0e4736"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    """Who takes the spans."""
    async with receiving() as receiver:
        receiver.answer = lambda _: 200
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url.removesuffix("/hook"))
        yield receiver


async def spans_of(redis_url: str, collector: Receiver) -> list[Span]:
    """What is told of some requests: one of a tag, two of backends, one to nowhere."""
    settings = Settings.model_validate(
        {"redis_url": redis_url, "shards": 4, "admin_key": ADMIN_KEY, "traces": True}
    )
    app = App(settings, Options(forwarder=False, sweeper=False, buyer=False))
    transport = httpx.ASGITransport(app)
    async with (
        app.running(),
        httpx.AsyncClient(transport=transport, base_url="http://dni.example") as client,
    ):
        await client.post("/assign", json={"key": "pk_none", "visitor_id": "visitor-1"})
        followed = {**ADMIN, "traceparent": f"00-{PARENT}-00f067aa0ba902b7-01"}
        await client.get(f"/attribution/{NUMBER}?caller=%2B16025550177", headers=followed)
        await client.get("/pools", headers=ADMIN)
        await client.get("/nowhere/visitor-1", headers=ADMIN)
    found = []
    for delivery in collector.came:
        assert delivery.path == "/v1/traces"
        message = ExportTraceServiceRequest.FromString(delivery.body)
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                found += scope.spans
    return found


async def test_each_request_is_a_span_named_by_its_route(
    redis_url: str, collector: Receiver
) -> None:
    """The tag's calls too, with the status they were answered with."""
    found = await spans_of(redis_url, collector)

    told = {
        span.name: {each.key: each.value for each in span.attributes}[
            "http.response.status_code"
        ].int_value
        for span in found
    }
    assert told == {
        "POST /assign": 403,
        "GET /attribution/{number}": 404,
        "GET /pools": 200,
        "GET": 404,
    }


async def test_a_trace_that_comes_in_is_followed(redis_url: str, collector: Receiver) -> None:
    """W3C Trace Context: our span belongs to the caller's trace."""
    found = await spans_of(redis_url, collector)

    (span,) = [each for each in found if each.name == "GET /attribution/{number}"]
    assert span.trace_id.hex() == PARENT
    assert len({each.trace_id for each in found}) == 4


async def test_no_span_names_a_number_or_a_visitor(redis_url: str, collector: Receiver) -> None:
    """Neither path nor query leaves the process, nor a key."""
    await spans_of(redis_url, collector)

    sent = b"".join(each.body for each in collector.came)
    assert sent
    for personal in (NUMBER[1:], "16025550177", "visitor-1", ADMIN_KEY, "pk_none"):
        assert personal.encode() not in sent


def test_switched_off_it_is_not_even_loaded() -> None:
    """Off costs nothing: neither spans nor what sends them is imported."""
    code = (
        "import sys; from dni_allocator.app import App;"
        "from dni_allocator.settings import Settings; App(Settings(redis_url='redis://127.0.0.1:1'));"
        "sys.exit(bool({'opentelemetry.sdk.trace', 'opentelemetry.exporter'} & set(sys.modules)))"
    )

    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)

    assert ended.returncode == 0, ended.stderr.decode()
