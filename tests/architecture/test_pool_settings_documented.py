"""docs/pools.md is the reference of a pool's settings: names, defaults and ranges are compared."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dni_allocator.api.pool_schemas import PoolCreate
from dni_allocator.domain.pool import PoolSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "pools.md"
SCHEMA: dict[str, Any] = PoolCreate.model_json_schema()
ROWS: dict[str, tuple[str, str]] = {
    name: (default, allowed)
    for name, default, allowed in re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| \S.* \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE
    )
}


def resolved(name: str) -> dict[str, Any]:
    """The schema of a setting: references followed, the alternative `null` left out."""
    found: dict[str, Any] = SCHEMA["properties"][name]
    for alternative in found.get("anyOf", ()):
        if alternative.get("type") != "null":
            found = {**found, **alternative}
    if "$ref" in found:
        found = {**found, **SCHEMA["$defs"][found["$ref"].rpartition("/")[2]]}
    return found


def default_of(name: str) -> str:
    """The default as the document writes it."""
    field = PoolCreate.model_fields[name]
    if field.is_required():
        return "(required)"
    default = field.get_default(call_default_factory=True)
    if default is None:
        return "(none)"
    if default == []:
        return "(empty)"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def range_of(name: str) -> str:
    """What is allowed, as the document writes it."""
    found = resolved(name)
    if "enum" in found:
        return " ".join(f"`{value}`" for value in found["enum"])
    if "minimum" in found:
        return f"{found['minimum']:,} to {found['maximum']:,}"
    if "maxItems" in found:
        return f"{found.get('minItems', 0)} to {found['maxItems']:,} entries"
    if "maxLength" in found:
        return f"at most {found['maxLength']} characters"
    if found["type"] == "boolean":
        return "`true` `false`"
    assert name == "country", f"{name} has a shape this test does not know"
    return "two letters"


def test_the_table_has_every_setting_of_a_pool_and_no_other() -> None:
    """Whoever wonders what a pool can do finds all of it on one page."""
    assert ROWS.keys() == {field.name for field in fields(PoolSettings)}


@pytest.mark.parametrize("name", [field.name for field in fields(PoolSettings)])
def test_default_and_range_are_those_of_the_api(name: str) -> None:
    """What the table promises is what `POST /pools` does with a body that says nothing of it."""
    assert ROWS.get(name) == (default_of(name), range_of(name))
