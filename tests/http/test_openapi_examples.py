"""The examples of the description: bodies are taken as they stand there, answers are real ones."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from dni_allocator.api.examples import BODIES
from dni_allocator.app import App
from dni_allocator.settings import Settings
from tests.support import answers, tagbuild
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


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    """The description, as a running service gives it."""
    found: dict[str, Any] = App(Settings(redis_url="redis://localhost")).api.openapi()
    return found


def _contents(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every body and answer in JSON: the operation, which of the two, and what is said of it."""
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            name = f"{method.upper()} {path}"
            body = operation.get("requestBody", {}).get("content", {})
            if "application/json" in body:
                yield name, "body", body["application/json"]
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                # Files of conversions are CSV alone; the framework says JSON of them, too.
                if status != "default" and "application/json" in content and (
                    "text/csv" not in content or path == "/calls"
                ):  # fmt: skip
                    yield name, status, content["application/json"]


def test_every_body_and_every_answer_has_an_example(spec: dict[str, Any]) -> None:
    """Nobody has to guess from a schema what comes."""
    missing = [
        (name, which) for name, which, content in _contents(spec) if "example" not in content
    ]

    # A call that is recorded a second time is answered as the first time; what vendors of
    # telephony send is in their documents.
    told = {("POST /calls", "200"), ("POST /telephony/telnyx/call-control", "body")}
    assert set(missing) == told


def test_examples_have_the_shapes_that_are_described(spec: dict[str, Any]) -> None:
    """A description that contradicts its own example helps nobody."""
    checked = 0
    for name, which, content in _contents(spec):
        if "example" in content:
            schema = {**content["schema"], "components": spec["components"]}
            found = [
                each.message for each in OAS31Validator(schema).iter_errors(content["example"])
            ]
            assert found == [], (name, which)
            checked += 1

    assert checked > 100


def _shape(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Names and types; of a list what its entries have in common."""
    if isinstance(value, dict):
        return {name: _shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value[:1]]
    return "number" if isinstance(value, (int, float)) else type(value).__name__


async def test_answers_in_the_description_are_what_the_service_answers(redis_url: str) -> None:
    """The story by which they were recorded, told again: `python -m tests.support.answers`."""
    kept = json.loads(answers.FILE.read_text("utf-8"))

    fresh = await answers.recorded(redis_url)

    assert fresh.keys() == kept.keys()
    differs = {
        name: (_shape(kept[name]["body"]), _shape(answer["body"]))
        for name, answer in fresh.items()
        if (kept[name]["status"], _shape(kept[name]["body"]))
        != (answer["status"], _shape(answer["body"]))
    }
    assert differs == {}


def test_no_secret_of_a_recorded_answer_is_a_real_one() -> None:
    """They were made for nothing but the record; still, scanners of secrets should find none."""
    text = answers.FILE.read_text("utf-8")

    found = set(re.findall(r"(?:sk_|whsec_)[A-Za-z0-9+/_=-]{20,}", text))
    assert found
    assert all("0a1b2c3d4e5f" in each for each in found)


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
