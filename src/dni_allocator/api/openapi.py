"""The OpenAPI description: what FastAPI derives, plus the tag-facing calls of `api.edge`."""

from collections.abc import Callable
from threading import Lock
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dni_allocator.api.backend_schemas import AttributionRowBody, BulkRowBody
from dni_allocator.api.examples import add_examples
from dni_allocator.api.links import add_links
from dni_allocator.api.pool_schemas import AttachBody
from dni_allocator.api.schemas import AssignBody, AssignOut, HeartbeatOut, PageBody, ProblemOut
from dni_allocator.domain.catalogue import KINDS, Kind

_SUMMARY = (
    "Give each website visitor a phone number of their own, and know who it was when it rings."
)
_DESCRIPTION = """\
Dynamic number insertion, self-hosted. Tag-facing calls take a publishable key (`pk_…`) in a JSON
body of any content type (`text/plain` needs no preflight); backend calls take a secret key as
`Authorization: Bearer sk_…`. Errors are problem documents (RFC 9457) with a stable `code`.
"""
_CONTACT = {"name": "The operator of this service"}
_MODELS: list[type[BaseModel]] = [
    AssignBody, AssignOut, PageBody, HeartbeatOut, ProblemOut, AttachBody, BulkRowBody,
    AttributionRowBody,
]  # fmt: skip
_TAGS = [
    {"name": "tag", "description": "What the JavaScript tag calls."},
    {"name": "attribution", "description": "Who it was when the phone rang."},
    {"name": "calls", "description": "Calls: recorded, edited, listed."},
    {"name": "assign", "description": "Assign on a visitor's behalf, with a secret key."},
    {"name": "sites", "description": "Several pools behind one publishable key."},
    {"name": "pools", "description": "Pools and their settings."},
    {"name": "numbers", "description": "The numbers of a pool."},
    {"name": "buying", "description": "Buy numbers from vendors, give them back, compare."},
    {"name": "webhooks", "description": "Where events go."},
    {"name": "keys", "description": "Secret keys: scopes, pools, rotation."},
    {"name": "events", "description": "Events for those who fetch them."},
    {"name": "visitors", "description": "Erase them."},
    {"name": "sizing", "description": "How many numbers a pool needs."},
    {"name": "telephony", "description": "What telephony vendors call, signed by them."},
    {
        "name": "traffic sources",
        "description": "Where visits come from, and where their calls are reported.",
    },
    {"name": "operations", "description": "For orchestrators."},
]


def describe(app: FastAPI) -> None:
    """Let `app.openapi()` describe the whole service.

    The first call takes a second; from any thread but that of the event loop, since others wait.
    """
    derived: Callable[[], dict[str, Any]] = app.openapi
    turn, whole = Lock(), dict[str, Any]()

    def openapi() -> dict[str, Any]:
        # Half of it must not be seen: the framework keeps what it derived before it is completed.
        with turn:
            if not whole:
                whole.update(_completed(derived()))
            return whole

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    _, models = models_json_schema(
        [(model, "serialization" if model.__name__.endswith("Out") else "validation")
         for model in _MODELS],
        ref_template="#/components/schemas/{model}",
    )  # fmt: skip
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    for name, model in models.get("$defs", {}).items():
        components.setdefault(name, model)
    components.pop("HTTPValidationError", None)
    components.pop("ValidationError", None)
    schema["info"]["summary"] = _SUMMARY
    schema["info"]["description"] = _DESCRIPTION
    schema["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    schema["info"]["contact"] = _CONTACT
    # Relative: wherever this description was fetched from.
    schema["servers"] = [{"url": "/", "description": "This service."}]
    schema["tags"] = _TAGS
    schema["paths"] = {**_tag_facing(), **schema["paths"]}
    schema["webhooks"] = {kind.type: _delivery(kind) for kind in KINDS.values()}
    for operations in schema["paths"].values():
        for operation in operations.values():
            _add_problems(operation)
    add_examples(schema["paths"])
    add_links(schema["paths"])
    _close_tuples(components)
    return schema


def _close_tuples(schema: object) -> None:
    """Say `items` of arrays that pydantic describes by position alone; readers of 3.0 need it."""
    if isinstance(schema, dict):
        if "prefixItems" in schema:
            schema.setdefault("items", {})
        for each in schema.values():
            _close_tuples(each)
    elif isinstance(schema, list):
        for each in schema:
            _close_tuples(each)


def _add_problems(operation: dict[str, Any]) -> None:
    """Every operation may answer with a problem; FastAPI's own 422 is not what we send."""
    responses = operation["responses"]
    responses.pop("422", None)
    responses["default"] = {
        "description": "A problem document; `code` is stable.",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}
        },
    }


def _delivery(kind: Kind) -> dict[str, Any]:
    """One type of event, as its receiver sees it."""
    return {
        "post": {
            "tags": ["webhooks"],
            "summary": kind.summary,
            "operationId": f"{kind.type}.v{kind.version}",
            "parameters": [
                {"name": name, "in": "header", "required": True, "schema": {"type": "string"},
                 "description": meaning}
                for name, meaning in _SIGNING_HEADERS.items()
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            name: each for name, each in kind.schema().items() if name != "$schema"
                        }
                    }
                },
            },
            "responses": {"2XX": {"description": "Taken; anything else is tried again."}},
        }
    }  # fmt: skip


_SIGNING_HEADERS = {
    "webhook-id": "The same for all attempts: store by it.",
    "webhook-timestamp": "Seconds since 1970, of this attempt.",
    "webhook-signature": "`v1,` (HMAC-SHA256) or `v1a,` (ed25519) and base64, space separated.",
}


def _tag_facing() -> dict[str, Any]:
    return {
        "/assign": {
            "post": _operation(
                "Give a page its numbers",
                "Lease, renew or return one number for every destination, in one atomic step. "
                "Idempotent. At most 16 KB.",
                operation_id="assign",
                body="AssignBody",
                answer="AssignOut",
            )
        },
        "/heartbeat": {
            "post": _operation(
                "Keep a visitor's numbers",
                "A sign of life of one page. `gone`: the visitor holds nothing, assign again.",
                operation_id="heartbeat",
                body="PageBody",
                answer="HeartbeatOut",
            )
        },
        "/close": {
            "post": _operation(
                "Say that a page closed",
                "The last open page of a visitor shortens the lock to the closed-browser delay. "
                "Repeated and late beacons change nothing.",
                operation_id="close",
                body="PageBody",
                answer=None,
            )
        },
    }


def _operation(
    summary: str, description: str, *, operation_id: str, body: str, answer: str | None
) -> dict[str, Any]:
    reference = {"schema": {"$ref": f"#/components/schemas/{body}"}}
    success: dict[str, Any] = {"204": {"description": "Taken."}}
    if answer is not None:
        success = {
            "200": {
                "description": "The answer.",
                "content": {
                    "application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}
                },
            }
        }
    return {
        "tags": ["tag"],
        "summary": summary,
        "description": description,
        "operationId": operation_id,
        "requestBody": {
            "required": True,
            "content": {"application/json": reference, "text/plain": reference},
        },
        "responses": success,
    }
