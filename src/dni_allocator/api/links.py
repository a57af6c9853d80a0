"""Links of the OpenAPI description: which answers hold what other operations ask for.

Said of kinds of answers, not of each pair of operations: an answer that makes a pool leads to every
operation below that pool. Readers follow them, and so does the fuzzer (tests/fuzz).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_PAGE: Final = {
    "key": "$request.body#/key",
    "visitor_id": "$response.body#/visitor_id",
    "page_id": "$response.body#/page_id",
}


@dataclass(frozen=True, slots=True)
class _Source:
    """An answer: its operation and status, where it leads, and with which parameters."""

    operation: str
    status: str
    below: str
    """Every operation whose path begins so is led to, and no one on the way there."""
    parameters: Mapping[str, str]


_SOURCES: Final = (
    _Source("post /pools", "201", "/pools/{pool_id}", {"pool_id": "$response.body#/id"}),
    _Source("post /sites", "201", "/sites/{site_id}", {"site_id": "$response.body#/id"}),
    _Source("post /calls", "201", "/calls/{call_id}", {"call_id": "$response.body#/id"}),
    _Source("post /webhooks", "201", "/webhooks/{endpoint_id}",
            {"endpoint_id": "$response.body#/id"}),
    _Source("post /keys", "201", "/keys/{key_id}", {"key_id": "$response.body#/id"}),
    _Source("post /purchases", "202", "/purchases/{purchase_id}",
            {"purchase_id": "$response.body#/id"}),
    _Source("post /pools/{pool_id}/numbers/{number}/release", "202", "/releases/{release_id}",
            {"release_id": "$response.body#/id"}),
    _Source("get /autoscale", "200", "/autoscale/{decision_id}",
            {"decision_id": "$response.body#/decisions/0/id"}),
    _Source("post /traffic-sources", "201", "/traffic-sources/{source_id}",
            {"source_id": "$response.body#/id"}),
    _Source("post /traffic-sources/{source_id}/conversions", "201",
            "/traffic-sources/{source_id}/conversions/{conversion_id}",
            {"source_id": "$request.path.source_id", "conversion_id": "$response.body#/id"}),
    _Source("get /pools/{pool_id}/numbers", "200", "/pools/{pool_id}/numbers/{number}",
            {"pool_id": "$request.path.pool_id", "number": "$response.body#/numbers/0/number"}),
    _Source("post /assign", "200", "/attribution/{number}",
            {"number": "$response.body#/numbers/0/number"}),
    _Source("post /assign", "200", "/visitors/{visitor_id}",
            {"visitor_id": "$response.body#/visitor_id"}),
)  # fmt: skip

_OF_THE_PAGE: Final = ("/heartbeat", "/close")


def add_links(paths: Mapping[str, Any]) -> None:
    """Say in every answer where it leads."""
    for source in _SOURCES:
        method, path = source.operation.split(" ")
        links = paths[path][method]["responses"][source.status].setdefault("links", {})
        for operation, names in _below(paths, source.below):
            told = {name: told for name, told in source.parameters.items() if name in names}
            links[_title(operation)] = _link(operation, parameters=told)
    assigned = paths["/assign"]["post"]["responses"]["200"].setdefault("links", {})
    for path in _OF_THE_PAGE:
        operation = paths[path]["post"]
        assigned[_title(operation)] = _link(operation, requestBody=_PAGE)
    for path, item in paths.items():
        operation = item.get("get", {})
        if "cursor" in _names(operation) and path != "/events":
            told = {"cursor": "$response.body#/next_cursor"}
            if "{pool_id}" in path:
                told["pool_id"] = "$request.path.pool_id"
            links = operation["responses"]["200"].setdefault("links", {})
            links["next_page"] = _link(operation, parameters=told)


def _below(paths: Mapping[str, Any], prefix: str) -> Iterator[tuple[dict[str, Any], set[str]]]:
    for path, item in paths.items():
        if path == prefix or path.startswith((f"{prefix}/", f"{prefix}.")):
            for operation in item.values():
                yield operation, _names(operation)


def _names(operation: Mapping[str, Any]) -> set[str]:
    return {each["name"] for each in operation.get("parameters", ())}


def _title(operation: Mapping[str, Any]) -> str:
    """The name of a link: letters, digits, `.`, `_` and `-` only (OpenAPI 3.1)."""
    return str(operation["operationId"])


def _link(operation: Mapping[str, Any], **how: object) -> dict[str, Any]:
    return {"operationId": operation["operationId"], **how, "description": operation["summary"]}
