"""The examples of the description: each is taken by a running service as it stands there."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from dni_allocator.api.examples import BODIES
from dni_allocator.app import App
from dni_allocator.settings import Settings
from tests.support import tagbuild
from tests.support.service import ORIGIN, Service

SPECTRAL: Final = Path(__file__).parents[1] / "support" / "spectral"

_OPENED_BY_PAGES = {"/assign", "/heartbeat", "/close"}


async def _given(service: Service) -> dict[str, str]:
    """What the examples speak of: a pool with a number, and a call."""
    made = (
        await service.admin("POST", "/pools", {**BODIES["post", "/pools"], "overflow_numbers": []})
    ).json()
    number = "+16025550101"
    attached = await service.admin("POST", f"/pools/{made['id']}/numbers", {"numbers": [number]})
    assert attached.is_success
    call = (await service.admin("POST", "/calls", {"number": number})).json()
    return {"pool_id": made["id"], "key": made["key"], "number": number, "call_id": call["id"]}


def _filled(body: Any, given: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    """The example with the key and the pool there are."""
    if isinstance(body, list):
        return [_filled(each, given) for each in body]
    if not isinstance(body, Mapping):
        return body
    return {
        name: given["key"] if name == "key" else
        given["pool_id"] if name == "pool" else
        [given["pool_id"]] if name == "pools" else value
        for name, value in body.items()
    }  # fmt: skip


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_the_example_of_an_operation_is_taken(
    service: Service, method: str, path: str
) -> None:
    """Who copies it gets a success, not a lesson."""
    given = await _given(service)
    body = _filled(BODIES[method, path], given)
    url = path.format(**given)

    if path in _OPENED_BY_PAGES:
        answer = await service.tag(path, body, origin=ORIGIN)
    else:
        answer = await service.admin(method.upper(), url, body)

    assert answer.is_success, answer.text
    assert _rows_without_errors(answer)


def _rows_without_errors(answer: httpx.Response) -> bool:
    """Calls of many rows answer 200 whatever becomes of a row."""
    if not answer.content or "json" not in answer.headers.get("content-type", ""):
        return True
    return not any(row.get("problem") for row in answer.json().get("results", ()))


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_the_example_has_the_shape_that_is_described(method: str, path: str) -> None:
    """A description that contradicts its own example helps nobody."""
    spec = App(Settings(redis_url="redis://localhost")).api.openapi()
    content = spec["paths"][path][method]["requestBody"]["content"]["application/json"]

    schema = {**content["schema"], "components": spec["components"]}

    OAS31Validator(schema).validate(content["example"])


def _findings(description: Path) -> list[str]:
    """What Spectral's own rules for OpenAPI have against it, warnings too."""
    node, npm = tagbuild.find_node()
    tagbuild.install(npm, SPECTRAL)
    result = subprocess.run(
        [
            node, SPECTRAL / "node_modules" / "@stoplight" / "spectral-cli" / "dist" / "index.js",
            "lint", "--format", "json", "--ruleset", SPECTRAL / "ruleset.yaml",
            description,
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert result.stdout, result.stderr
    # A sentence may follow the list.
    findings, _ = json.JSONDecoder().raw_decode(result.stdout)
    return [f"{each['code']} {each['path']}" for each in findings]


def test_the_description_is_clean_under_spectrals_rules(tmp_path: Path) -> None:
    """Neither errors nor warnings; and a flaw would be seen."""
    text = (Path(__file__).parents[2] / "openapi.yaml").read_text("utf-8")
    flawed = tmp_path / "openapi.yaml"
    flawed.write_text(text.replace("operationId: heartbeat\n", "operationId: assign\n"), "utf-8")
    clean = tmp_path / "clean.yaml"
    clean.write_text(text, "utf-8")

    assert _findings(clean) == []
    assert any("operation-operationId-unique" in each for each in _findings(flawed))
