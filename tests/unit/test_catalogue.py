"""The published schemas, judged by a validator of JSON Schema."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from dni_allocator.domain.catalogue import KINDS, Kind
from dni_allocator.domain.events import from_entry

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def kinds() -> list[Kind]:
    """All of them, by type."""
    return [KINDS[name] for name in sorted(KINDS)]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.type)
def test_what_is_sent_has_the_published_shape(kind: Kind) -> None:
    """With and without the data a page may tell; and the validator does find what is missing."""
    schema = kind.schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    bare = {name: text for name, text in kind.example.items() if name != "x"}

    for entry in (kind.example, bare):
        validator.validate(from_entry(3, "1795423137176-0", entry).payload())
    with pytest.raises(ValidationError):
        validator.validate({"type": kind.type, "timestamp": "2026-11-23T08:38:57.176Z", "data": {}})


def test_every_schema_is_published_and_no_other() -> None:
    """One file for each type and version; `make check` compares what is in them."""
    assert {path.name for path in SCHEMAS.iterdir()} == {kind.file_name for kind in kinds()}
