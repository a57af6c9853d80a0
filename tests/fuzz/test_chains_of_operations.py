"""Operations one after another, along the links of `openapi.yaml`: make it, use it, delete it.

What single requests cannot reach: a pool that was edited and then deleted, a key that rotates
twice, a page's heartbeat after its visitor was erased. Nothing of it may end in 5xx, and what is
kept afterwards is whole (the bench looks).
"""

from typing import Any, Final

import redis
import schemathesis
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.core.transport import Response

from tests.fuzz.test_every_operation import CHECKS, SCHEMA, SPEC, request_of
from tests.support.fuzzing import AT_LENGTH, EXAMPLES, Bench, Count, fuzz
from tests.support.rig import fictional
from tests.support.service import ORIGIN, SHOP, Site

STEPS: Final = 12


def _more_often_right(case: schemathesis.Case[Any], site: Site) -> None:
    """What no schema says: which numbers there are, and which key is a pool's."""
    if not isinstance(case.body, dict):
        return
    body: dict[str, Any] = case.body
    if "destinations" in body and case.path in {"/pools", "/pools/{pool_id}"}:
        body["destinations"] = [SHOP]
        body["allowed_origins"] = [ORIGIN]
        body.pop("overflow_numbers", None)
        body.pop("traffic_sources", None)
    if case.path == "/pools/{pool_id}/numbers" and "numbers" in body:
        body["numbers"] = fictional(3, start=20)
    if case.path == "/assign":
        body["key"] = site.key
        body.pop("destinations", None)
    if case.path == "/calls" and "number" in body:
        body["number"] = fictional(1)[0]


def test_the_links_lead_somewhere() -> None:
    """Every answer that makes something says what can be done with it."""
    linked = {
        f"{method.upper()} {path}"
        for path, item in SPEC["paths"].items()
        for method, operation in item.items()
        for answer in operation["responses"].values()
        if "links" in answer
    }

    made = {
        f"POST {path}"
        for path, item in SPEC["paths"].items()
        if "201" in item.get("post", {}).get("responses", {})
    }
    assert made
    assert linked >= made | {"POST /assign", "GET /pools/{pool_id}/numbers", "GET /calls"}


class Beginning:
    """The store as it is now, to go back to: what a chain draws depends on what it is answered."""

    def __init__(self, redis_url: str) -> None:
        self._client = redis.Redis.from_url(redis_url)
        self._kept = {
            name: (value, max(0, self._client.pttl(name)))
            for name in self._client.scan_iter("*")
            if (value := self._client.dump(name)) is not None
        }

    def restore(self) -> None:
        """Forget everything since."""
        self._client.flushall()
        for name, (value, ttl_ms) in self._kept.items():
            self._client.restore(name, ttl_ms, value)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def test_no_chain_of_operations_breaks(bench: Bench, redis_url: str, count: Count) -> None:
    """Each chain begins with one pool and its numbers."""
    site = bench.run(bench.service.pool(*fictional(3)))
    beginning = Beginning(redis_url)
    answered: set[str] = set()

    class Chain(SCHEMA.as_state_machine()):  # type: ignore[misc]  # schemathesis makes the class
        """Whatever schemathesis would do, sent to the bench."""

        def setup(self) -> None:
            """As if nobody had been here before."""
            beginning.restore()
            super().setup()

        def before_call(self, case: schemathesis.Case[Any]) -> None:
            """Help it past what a schema cannot say, most of the time."""
            _more_often_right(case, site)

        def call(self, case: schemathesis.Case[Any], **_: object) -> Response:
            """Send it to the service of this test."""
            answer = bench.send(request_of(case))
            count("requests in chains, along links (schemathesis)")
            if answer.is_success:
                answered.add(case.operation.label)
            return Response.from_httpx(answer, verify=True)

        def validate_response(
            self, response: Response, case: schemathesis.Case[Any], **_: object
        ) -> None:
            """As of single requests."""
            case.validate_response(response, checks=CHECKS)

    run_state_machine_as_test(
        Chain,
        settings=settings(
            fuzz(max(4, EXAMPLES // 20)), stateful_step_count=STEPS,
            phases=[Phase.explicit, Phase.generate],
        ),
    )  # fmt: skip
    beginning.close()

    assert answered
    if AT_LENGTH:  # a few chains may all go elsewhere
        assert {"POST /pools", "GET /pools/{pool_id}", "DELETE /pools/{pool_id}"} <= answered
