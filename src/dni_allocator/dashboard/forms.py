"""Forms made of the very shapes the API takes: a new setting shows up by itself.

Owns how a setting is typed and read back. What is allowed is said by the shapes alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import orjson
from pydantic import BaseModel
from starlette.datastructures import FormData

from dni_allocator.api.pool_schemas import PoolCreate, PoolSize
from dni_allocator.api.scaling_schemas import ScalingBody


class ScalingForm(ScalingBody):
    """Rules of autoscale, and the two bounds that are the pool's own."""

    min_size: PoolSize | None = None
    max_size: PoolSize | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What a form asks for. Fields that no group names come last, under "More"."""

    model: type[BaseModel]
    groups: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str]

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return self.model.model_json_schema()


_POOL_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "The site": ("name", "country", "destinations", "allowed_origins", "campaign", "format"),
    "The lock": ("idle_limit_s", "closed_browser_delay_s", "attribution_window_s", "selection"),
    "The numbers": (
        "number_type", "match", "match_fallback", "overflow_numbers", "min_size", "max_size",
        "vendor",
    ),
    "What is captured": ("marketing_fields", "traffic_sources"),
}  # fmt: skip
"""What both seeds' forms ask for comes first; every other setting is below, under "More"."""

_POOL_LABELS: Final = {
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
POOL: Final = Shape(PoolCreate, _POOL_GROUPS, _POOL_LABELS)
AUTOSCALE: Final = Shape(
    ScalingForm,
    {
        "How far it may go": (
            "mode", "dry_run", "min_size", "max_size", "budget_per_month", "turned_away_target",
        ),
        "What it buys": (
            "vendor", "type", "area_code", "prefix", "price_ceiling", "currency",
        ),
        "Growing": ("grow_share", "step_cap", "cool_down_s", "lead_s"),
        "Shrinking": (
            "shrinks", "shrink_step", "shrink_cool_down_s", "headroom_share", "rest_s",
        ),
    },
    {
        "mode": "Who has the last word",
        "min_size": "Least numbers",
        "max_size": "Most numbers",
        "budget_per_month": "Budget a month",
        "turned_away_target": "Share turned away that is borne",
        "price_ceiling": "Most for one number a month",
        "grow_share": "Most of one step, as a share",
        "step_cap": "Most of one step, numbers",
        "cool_down_s": "Rest between steps up, seconds",
        "lead_s": "Ahead of a learnt peak, seconds",
        "shrinks": "Let numbers go, too",
        "shrink_step": "Most that one step lets go",
        "shrink_cool_down_s": "Rest between steps down, seconds",
        "headroom_share": "Headroom, as a share",
        "rest_s": "Rest of a number before it leaves, seconds",
    },
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting as it is typed.

    `kind`: `text`, `number`, `money` (a number that stays text), `checkbox`, `select`, `lines` (one
    value a line), `json` for what has parts of its own, or `mixed`: lines, or JSON where one has.
    `text` is what stands in the field.
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
            case "mixed" if not text.startswith("["):
                return [line.strip() for line in text.splitlines() if line.strip()]
            case "json" | "number" | "mixed":
                try:
                    return orjson.loads(text) if text else None
                except orjson.JSONDecodeError:
                    return text
            case _:
                return text or (None if self.nullable else "")


@dataclass(frozen=True, slots=True)
class FilledForm:
    """All settings of a shape, in groups. `problem` is about the form as a whole."""

    shape: Shape
    fields: tuple[Field, ...]
    problem: str = ""
    revision: str = ""

    @classmethod
    def of(cls, shape: Shape, told: Mapping[str, object], *, revision: object = "") -> Self:
        """The form with what is told, as JSON has it, and defaults for the rest."""
        return cls(shape, _fields(shape, told), revision=str(revision))

    @classmethod
    def typed(cls, shape: Shape, data: FormData) -> Self:
        """The form as somebody sent it. An unticked box sends nothing."""
        sent = {name: str(value) for name, value in data.items() if isinstance(value, str)}
        fields = tuple(replace(each, text=sent.get(each.name, "")) for each in _fields(shape, {}))
        return cls(shape, fields, revision=sent.get("revision", ""))

    def offering(self, name: str, choices: Sequence[str]) -> Self:
        """The form with a list of choices where any text is allowed."""
        fields = tuple(
            replace(each, kind="select", choices=tuple(choices)) if each.name == name else each
            for each in self.fields
        )
        return replace(self, fields=fields)

    @property
    def groups(self) -> list[tuple[str, list[Field]]]:
        """The fields under their headings; "More" comes last."""
        by_name = {each.name: each for each in self.fields}
        found = [
            (title, [by_name.pop(name) for name in names if name in by_name])
            for title, names in self.shape.groups.items()
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


def _fields(shape: Shape, values: Mapping[str, object]) -> tuple[Field, ...]:
    whole = shape.schema
    required = set(whole.get("required", ()))
    return tuple(
        replace(
            _field(
                name,
                _resolved(told, whole.get("$defs", {})),
                values.get(name, told.get("default")),
                label=shape.labels.get(name, ""),
            ),
            required=name in required,
        )
        for name, told in whole["properties"].items()
    )


def _field(name: str, told: tuple[Mapping[str, Any], bool], value: object, *, label: str) -> Field:
    schema, nullable = told
    kind, choices = _kind(schema)
    return Field(
        name=name,
        label=label or (name.removesuffix("_s").replace("_", " ").capitalize()),
        kind=kind,
        hint=str(schema.get("description", "")),
        text=_text(kind, value),
        nullable=nullable,
        choices=choices,
        minimum=str(schema.get("minimum", "")),
        maximum=str(schema.get("maximum", "")),
        step="any" if schema.get("type") == "number" else "",
    )


def _resolved(
    schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> tuple[Mapping[str, Any], bool]:
    """A schema without references, and whether null is allowed. What is said of a field wins."""
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if options:
        nullable = len(options) < len(schema["anyOf"])
        # Of what may be a number or text, the number is described better.
        found = {**_resolved(options[0], definitions)[0], **schema}
        return {**found, "decimal": len(options) > 1 and found.get("type") == "number"}, nullable
    reference = schema.get("$ref")
    if reference:
        return {**definitions[reference.rpartition("/")[2]], **schema}, False
    return schema, False


def _kind(schema: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    if "enum" in schema:
        return "select", tuple(map(str, schema["enum"]))
    if schema.get("decimal"):
        return "money", ()
    kind = schema.get("type", "")
    if kind == "array":
        items = schema.get("items", {})
        texts = [each.get("type") == "string" for each in items.get("anyOf", (items,))]
        return ("lines" if all(texts) else "mixed" if any(texts) else "json"), ()
    return _PLAIN.get(kind, "json"), ()


_PLAIN: Final = {
    "integer": "number", "number": "number", "boolean": "checkbox", "string": "text",
}  # fmt: skip


def _text(kind: str, value: object) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, list) and kind != "json" and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    if kind in {"json", "mixed"}:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if value else ""
    return "on" if value is True else str(value)
