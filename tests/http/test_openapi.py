"""`openapi.yaml`: fresh, valid, and true: real answers have the described shapes."""

import asyncio
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from dni_allocator.cli.describing import describe
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, POOL, Service

FILE: Final = Path(__file__).parents[2] / "openapi.yaml"
ONE, TWO = fictional(2)


def _assert_described(
    spec: dict[str, object], answer: httpx.Response, *, method: str, path: str
) -> None:
    """The answer's status and body are among those of the operation."""
    operation = spec["paths"][path][method.lower()]  # type: ignore[index]  # nested JSON
    described = operation["responses"].get(str(answer.status_code))
    described = described or operation["responses"]["default"]
    content = described.get("content", {})
    if not content:
        assert answer.content == b""
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in content, f"{answer.status_code} {media_type} is not described"
    if "json" in media_type:
        schema = {**content[media_type]["schema"], "components": spec["components"]}
        OAS31Validator(schema).validate(answer.json())


@pytest.fixture(scope="module")
def spec() -> dict[str, object]:
    """The committed description."""
    loaded: dict[str, object] = yaml.safe_load(FILE.read_text("utf-8"))
    return loaded


def test_the_committed_description_is_what_the_code_says() -> None:
    """Who changed an endpoint forgot nothing: `make openapi` has been run."""
    assert describe(FILE, check=True) == 0


def test_a_stale_description_is_noticed(tmp_path: Path) -> None:
    """The check above can fail."""
    stale = tmp_path / "openapi.yaml"
    stale.write_text("openapi: 3.1.0\n")

    assert describe(stale, check=True) == 1


def test_the_description_is_valid(spec: dict[str, object]) -> None:
    """Generators of clients can read it."""
    validate(spec)


async def test_who_asks_at_the_same_time_gets_the_whole_description(service: Service) -> None:
    """It is gathered once, in a thread; nobody is given half of it."""
    paths = ["/openapi.json", "/docs"] * 3

    answers = await asyncio.gather(*(service.http.get(path) for path in paths))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers[::2]}) == 1
    assert len({answer.content for answer in answers[1::2]}) == 1
    told = answers[0].json()
    assert told["paths"]["/assign"]["post"]["operationId"] == "assign"
    assert "number.assigned" in told["webhooks"]
    assert 'id="assign"' in answers[1].text


async def test_real_answers_are_as_described(service: Service, spec: dict[str, object]) -> None:
    """Each operation of the main story, good and bad, against its own schema."""
    site = await service.pool(ONE, overflow_numbers=["+18005550100"])
    pool, ids = f"/pools/{site.pool_id}", {"key": site.key, "visitor_id": "v", "page_id": "p"}
    calls: list[tuple[str, str, str, object]] = [
        ("POST", "/assign", "/assign", ids),
        ("POST", "/assign", "/assign", {**ids, "visitor_id": "w"}),
        ("POST", "/assign", "/assign", {}),
        ("POST", "/heartbeat", "/heartbeat", ids),
        ("POST", "/heartbeat", "/heartbeat", {**ids, "visitor_id": "nobody"}),
        ("POST", "/close", "/close", ids),
        ("POST", "/pools", "/pools", POOL),
        ("POST", "/pools", "/pools", {}),
        ("GET", "/pools", "/pools", None),
        ("GET", pool, "/pools/{pool_id}", None),
        ("PATCH", pool, "/pools/{pool_id}", {"campaign": "spring"}),
        ("GET", "/pools/pool_none", "/pools/{pool_id}", None),
        ("POST", f"{pool}/numbers", "/pools/{pool_id}/numbers", {"numbers": [TWO, "x"]}),
        ("POST", f"{pool}/numbers", "/pools/{pool_id}/numbers", {"numbers": ["x"]}),
        ("GET", f"{pool}/numbers", "/pools/{pool_id}/numbers", None),
        ("GET", f"{pool}/integration-code", "/pools/{pool_id}/integration-code", None),
        ("GET", f"/attribution/{ONE}", "/attribution/{number}", None),
        ("GET", "/attribution/+18005550100", "/attribution/{number}", None),
        ("GET", "/attribution/+16025550199", "/attribution/{number}", None),
        ("GET", f"/tag.js?key={site.key}", "/tag.js", None),
        ("DELETE", f"{pool}/numbers/{TWO}", "/pools/{pool_id}/numbers/{number}", None),
        ("DELETE", pool, "/pools/{pool_id}", None),
        ("DELETE", f"{pool}?force=true", "/pools/{pool_id}", None),
        ("GET", "/livez", "/livez", None),
        ("GET", "/readyz", "/readyz", None),
        ("GET", "/version", "/version", None),
    ]

    for method, url, path, body in calls:
        _assert_described(spec, await service.admin(method, url, body), method=method, path=path)

    refused = await service.http.get("/pools", headers={"Authorization": f"Bearer {ADMIN_KEY}x"})
    _assert_described(spec, refused, method="GET", path="/pools")
