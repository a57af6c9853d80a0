"""docs/pools.md is the reference of a pool's settings: names, defaults and ranges are compared.

Those of `routing` have a table of their own, which is compared with its own body.
"""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from dni_allocator.api.pool_schemas import PoolCreate
from dni_allocator.api.routing_schemas import HandlingBody, RoutingBody
from dni_allocator.domain.pool import PoolSettings
from dni_allocator.domain.routing import Routing

DOCUMENT = Path(__file__).parents[2] / "docs" / "pools.md"
TABLES = re.split(
    r"^\| setting of `routing` ", DOCUMENT.read_text("utf-8"), maxsplit=1, flags=re.MULTILINE
)
ROWS, ROUTING_ROWS = (
    {
        name: (default, allowed)
        for name, default, allowed in re.findall(
            r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| \S.* \|$", table, re.MULTILINE
        )
    }
    for table in TABLES
)


IN_WORDS = {
    "boolean": "`true` `false`",
    "object": "an object",
    "country": "two letters",
    "language": "two parts, `en-US`",
}


def resolved(name: str, body: type[BaseModel]) -> dict[str, Any]:
    """The schema of a setting: references followed, the alternative `null` left out."""
    schema = body.model_json_schema()
    found: dict[str, Any] = schema["properties"][name]
    for alternative in found.get("anyOf", ()):
        if alternative.get("type") != "null":
            found = {**found, **alternative}
    if "$ref" in found:
        found = {**found, **schema["$defs"][found["$ref"].rpartition("/")[2]]}
    return found


def default_of(name: str, body: type[BaseModel]) -> str:
    """The default as the document writes it."""
    field = body.model_fields[name]
    if field.is_required():
        return "(required)"
    default = field.get_default(call_default_factory=True)
    if default is None:
        return "(none)"
    if default == []:
        return "(empty)"
    if isinstance(default, BaseModel):
        return "(as any)" if isinstance(default, HandlingBody) else "(as below)"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def range_of(name: str, body: type[BaseModel]) -> str:
    """What is allowed, as the document writes it."""
    found = resolved(name, body)
    if "enum" in found:
        return " ".join(f"`{value}`" for value in found["enum"])
    if "minimum" in found:
        return f"{found['minimum']:,} to {found['maximum']:,}"
    if "maxItems" in found:
        return f"{found.get('minItems', 0)} to {found['maxItems']:,} entries"
    if "maxLength" in found:
        return f"at most {found['maxLength']} characters"
    worded = IN_WORDS.get(name) or IN_WORDS.get(found["type"])
    assert worded, f"{name} has a shape this test does not know"
    return worded


def test_the_table_has_every_setting_of_a_pool_and_no_other() -> None:
    """Whoever wonders what a pool can do finds all of it on one page."""
    assert ROWS.keys() == {field.name for field in fields(PoolSettings)}
    assert ROUTING_ROWS.keys() == {field.name for field in fields(Routing)}


@pytest.mark.parametrize("name", [field.name for field in fields(PoolSettings)])
def test_default_and_range_are_those_of_the_api(name: str) -> None:
    """What the table promises is what `POST /pools` does with a body that says nothing of it."""
    assert ROWS.get(name) == (default_of(name, PoolCreate), range_of(name, PoolCreate))


@pytest.mark.parametrize("name", [field.name for field in fields(Routing)])
def test_default_and_range_of_routing_are_those_of_the_api(name: str) -> None:
    """The same for what is done with calls."""
    assert ROUTING_ROWS.get(name) == (default_of(name, RoutingBody), range_of(name, RoutingBody))
