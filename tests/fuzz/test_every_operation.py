"""Every operation of `openapi.yaml` with what its schema allows and what it does not.

Whatever is sent, the answer is none of 5xx, and one that the operation describes. `make test` sends
a few requests to each operation, `make fuzz` hundreds.
"""

from pathlib import Path
from typing import Any, Final

import httpx
import hypothesis.strategies as st
import pytest
import schemathesis
import yaml
from hypothesis import given, reject
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.fuzzing import EXAMPLES, Bench, Count, fuzz
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, Site

FILE: Final = Path(__file__).parents[2] / "openapi.yaml"
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

SPEC: Final = yaml.safe_load(FILE.read_text("utf-8"))
SCHEMA: Final = schemathesis.openapi.from_dict(SPEC)
_READ: Final[list[Any]] = list(SCHEMA.get_all_operations())
OPERATIONS: Final[dict[str, Any]] = {each.ok().label: each.ok() for each in _READ}

TOLD: Final = {"Authorization": f"Bearer {ADMIN_KEY}", "Origin": ORIGIN}


def request_of(case: schemathesis.Case[Any]) -> httpx.Request:
    """A case as this client sends it. Rejects what it cannot send."""
    sent = case.as_transport_kwargs(base_url="http://dni.example", headers=TOLD)
    if isinstance(sent.get("data"), (bytes, str)):
        sent["content"] = sent.pop("data")
    try:
        return httpx.Request(**sent)
    except httpx.InvalidURL:
        reject()  # longer than this client sends


@pytest.fixture
def site(bench: Bench) -> Site:
    """A pool with numbers, and a visitor who has one."""
    made = bench.run(bench.service.pool(*fictional(3)))
    bench.run(made.view("v"))
    return made


def test_the_operations_are_those_of_the_service() -> None:
    """The list below is worth something only if it is whole."""
    described = {f"{m.upper()} {path}" for path, item in SPEC["paths"].items() for m in item}

    assert described == OPERATIONS.keys()
    assert len(OPERATIONS) > 90


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_no_request_breaks_an_operation(label: str, bench: Bench, site: Site, count: Count) -> None:
    """Right and wrong requests, on a pool that is there and on one that is not."""
    operation = OPERATIONS[label]
    known: dict[str, Any] = {
        "pool_id": site.pool_id,
        "number": fictional(1)[0],
        "e164": fictional(1)[0],
        "visitor_id": "v",
    }
    cases = st.one_of(
        operation.as_strategy(GenerationMode.POSITIVE),
        operation.as_strategy(GenerationMode.NEGATIVE),
    )

    @fuzz(max(3, EXAMPLES // 40))
    @given(case=cases, there=st.booleans())
    def check(case: schemathesis.Case[Any], there: bool) -> None:  # noqa: FBT001 -- drawn
        if there:
            case.path_parameters.update(
                {name: known[name] for name in case.path_parameters if name in known}
            )
            if isinstance(case.body, dict) and "key" in case.body:
                case.body["key"] = site.key

        answer = bench.send(request_of(case))

        count("requests of the whole OpenAPI (schemathesis)")
        case.validate_response(answer, checks=CHECKS)

    check()
