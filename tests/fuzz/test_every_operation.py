"""Every operation of `openapi.yaml` with what its schema allows and what it does not.

Whatever is sent, the answer is none of 5xx, and one that the operation describes. Takes minutes, so
`make fuzz` runs it; the main story is checked against its schemas in test_openapi.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import hypothesis.strategies as st
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, reject, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, Service, Site, serving

EXAMPLES: Final = max(2, int(os.environ.get("DNI_FUZZ_EXAMPLES", "200")) // 100)
FILE: Final = Path(__file__).parents[2] / "openapi.yaml"
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ENDLESS: Final = {"GET /events/tail"}
"""News as they come: the answer does not end, so nothing can be said of it here."""

SPEC: Final = yaml.safe_load(FILE.read_text("utf-8"))
_READ: Final[list[Any]] = list(schemathesis.openapi.from_dict(SPEC).get_all_operations())
OPERATIONS: Final[dict[str, Any]] = {each.ok().label: each.ok() for each in _READ}


class Bench:
    """The service on a loop of its own, as Hypothesis does not know coroutines."""

    def __init__(self, redis_url: str) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.service: Service = self._runner.run(self._start(redis_url))
        self.site: Site = self._runner.run(self.service.pool(*fictional(3)))
        self._runner.run(self.site.view("v"))

    async def _start(self, redis_url: str) -> Service:
        return await self._stack.enter_async_context(serving(redis_url))

    def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, read whole."""
        return self._runner.run(self.service.http.send(request))

    def close(self) -> None:
        """Stop the service and its loop."""
        self._runner.run(self._stack.aclose())
        self._runner.close()


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    """The service with a pool, its numbers and a visitor."""
    opened = Bench(redis_url)
    yield opened
    opened.close()


def test_the_operations_are_those_of_the_service() -> None:
    """The list below is worth something only if it is whole."""
    described = {f"{m.upper()} {path}" for path, item in SPEC["paths"].items() for m in item}

    assert described == OPERATIONS.keys()
    assert len(OPERATIONS) > 90


@pytest.mark.long
@pytest.mark.parametrize("label", sorted(OPERATIONS.keys() - ENDLESS))
def test_no_request_breaks_an_operation(label: str, bench: Bench) -> None:
    """Right and wrong requests, on a pool that is there and on one that is not."""
    operation = OPERATIONS[label]
    known: dict[str, Any] = {
        "pool_id": bench.site.pool_id,
        "number": fictional(1)[0],
        "e164": fictional(1)[0],
        "visitor_id": "v",
    }
    cases = st.one_of(
        operation.as_strategy(GenerationMode.POSITIVE),
        operation.as_strategy(GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases, there=st.booleans())
    def check(case: schemathesis.Case[Any], there: bool) -> None:  # noqa: FBT001 -- drawn
        if there:
            case.path_parameters.update(
                {name: known[name] for name in case.path_parameters if name in known}
            )
            if isinstance(case.body, dict) and "key" in case.body:
                case.body["key"] = bench.site.key
        told = {"Authorization": f"Bearer {ADMIN_KEY}", "Origin": ORIGIN}
        sent = case.as_transport_kwargs(base_url="http://dni.example", headers=told)
        if isinstance(sent.get("data"), (bytes, str)):
            sent["content"] = sent.pop("data")
        try:
            request = httpx.Request(**sent)
        except httpx.InvalidURL:
            reject()  # longer than this client sends
        answer = bench.send(request)
        case.validate_response(answer, checks=CHECKS)

    check()
