"""The form of a pool, made of the very shape the API takes: a new setting shows up by itself.

Owns how a setting is typed and read back. What is allowed is said by `PoolCreate` alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import orjson
from starlette.datastructures import FormData

from dni_allocator.api.pool_schemas import PoolCreate, PoolOut

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "The site": ("name", "country", "destinations", "allowed_origins", "campaign", "format"),
    "The lock": ("idle_limit_s", "closed_browser_delay_s", "attribution_window_s", "selection"),
    "The numbers": (
        "number_type", "match", "match_fallback", "overflow_numbers", "min_size", "max_size",
        "vendor",
    ),
    "What is captured": ("marketing_fields", "traffic_sources"),
}  # fmt: skip
"""What both seeds' forms ask for comes first; every other setting is below, under "More"."""

_LABELS: Final = {
    "name": "Name",
    "country": "Country",
    "destinations": "Replacement numbers (destinations)",
    "allowed_origins": "Origins of the pages",
    "format": "Phone number format",
    "idle_limit_s": "Idle limit, seconds",
    "closed_browser_delay_s": "Closed browser delay, seconds",
    "attribution_window_s": "Attribution window, seconds",
    "overflow_numbers": "Overflow numbers",
    "traffic_sources": "Traffic sources",
    "marketing_fields": "Marketing data",
}
_SCHEMA: Final = PoolCreate.model_json_schema()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting as it is typed.

    `kind`: `text`, `number`, `checkbox`, `select`, `lines` (one value a line), or `json` for what
    has parts of its own. `text` is what stands in the field.
    """

    name: str
    label: str
    kind: str
    hint: str
    text: str
    required: bool = False
    nullable: bool = False
    choices: tuple[str, ...] = ()
    minimum: str = ""
    maximum: str = ""
    step: str = ""
    error: str = ""

    @property
    def value(self) -> object:
        """What was typed, as JSON has it; what is unreadable stays text, for pydantic to refuse."""
        text = self.text.strip()
        match self.kind:
            case "checkbox":
                return bool(text)
            case "lines":
                return [line.strip() for line in text.splitlines() if line.strip()]
            case "json" | "number":
                try:
                    return orjson.loads(text) if text else None
                except orjson.JSONDecodeError:
                    return text
            case _:
                return text or (None if self.nullable else "")


@dataclass(frozen=True, slots=True)
class PoolForm:
    """All settings, in groups. `problem` is about the form as a whole."""

    fields: tuple[Field, ...] = field(default_factory=lambda: _fields({}))
    problem: str = ""
    revision: str = ""

    @classmethod
    def of(cls, pool: PoolOut) -> Self:
        """The form of a pool as it is."""
        told = pool.model_dump(mode="json", include=set(_SCHEMA["properties"]))
        return cls(_fields(told), revision=str(pool.revision))

    @classmethod
    def typed(cls, data: FormData) -> Self:
        """The form as somebody sent it. An unticked box sends nothing."""
        sent = {name: str(value) for name, value in data.items() if isinstance(value, str)}
        fields = tuple(replace(each, text=sent.get(each.name, "")) for each in _fields({}))
        return cls(fields, revision=sent.get("revision", ""))

    @property
    def groups(self) -> list[tuple[str, list[Field]]]:
        """The fields under their headings; "More" comes last."""
        by_name = {each.name: each for each in self.fields}
        found = [
            (title, [by_name.pop(name) for name in names if name in by_name])
            for title, names in _GROUPS.items()
        ]
        return [*found, ("More", list(by_name.values()))]

    def body(self) -> dict[str, object]:
        """What the API would be sent. An empty field is left out, unless it may be null."""
        return {
            each.name: each.value
            for each in self.fields
            if each.nullable or each.value not in (None, "")
        }

    def marked(self, findings: object, problem: str = "") -> Self:
        """The form with what is wrong beside each field."""
        found: dict[str, str] = {}
        for each in findings if isinstance(findings, Sequence) else ():
            if isinstance(each, Mapping):
                found.setdefault(str(each.get("field", "")).split(".")[0], str(each.get("detail")))
        fields = tuple(replace(each, error=found.pop(each.name, "")) for each in self.fields)
        rest = "; ".join(f"{name}: {detail}" for name, detail in found.items())
        some = "Nothing was changed. Some fields need mending."
        return replace(self, fields=fields, problem=rest or problem or some)


def _fields(values: Mapping[str, object]) -> tuple[Field, ...]:
    required = set(_SCHEMA.get("required", ()))
    return tuple(
        _field(name, schema, values.get(name, schema.get("default")), required=name in required)
        for name, schema in _SCHEMA["properties"].items()
    )


def _field(name: str, told: Mapping[str, Any], value: object, *, required: bool) -> Field:
    schema, nullable = _resolved(told)
    kind, choices = _kind(schema)
    return Field(
        name=name,
        label=_LABELS.get(name, name.removesuffix("_s").replace("_", " ").capitalize()),
        kind=kind,
        hint=str(told.get("description", schema.get("description", ""))),
        text=_text(kind, value),
        required=required,
        nullable=nullable,
        choices=choices,
        minimum=str(schema.get("minimum", "")),
        maximum=str(schema.get("maximum", "")),
        step="any" if schema.get("type") == "number" else "",
    )


def _resolved(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """A schema without references, and whether null is allowed."""
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(options) == 1 and len(schema["anyOf"]) > 1:
        return {**schema, **_resolved(options[0])[0]}, True
    reference = schema.get("$ref")
    if reference:
        return _SCHEMA["$defs"][reference.rpartition("/")[2]], False
    return schema, False


def _kind(schema: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    if "enum" in schema:
        return "select", tuple(map(str, schema["enum"]))
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        return "number", ()
    if kind == "boolean":
        return "checkbox", ()
    if kind == "array" and schema.get("items", {}).get("type") == "string":
        return "lines", ()
    return ("text" if kind == "string" else "json"), ()


def _text(kind: str, value: object) -> str:
    if value is None or value is False:
        return ""
    if kind == "lines" and isinstance(value, Sequence):
        return "\n".join(map(str, value))
    if kind == "json":
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if value else ""
    return "on" if value is True else str(value)
