"""The OpenAPI description as a page for people: what each operation takes and answers.

Why our own and not Swagger UI: see ADR 42. Owns how a schema is said in words and links; what is
described is the application's own description, read once.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from markupsafe import Markup, escape

Schema = Mapping[str, Any]

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_BOUNDS: Final = {
    "minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than", "minLength": "length from", "maxLength": "length to",
    "minItems": "from", "maxItems": "to", "pattern": "like",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One field or parameter. `where`: `path`, `query`, `header`; "" for a field of a body."""

    name: str
    kind: Markup
    text: str
    required: bool = False
    where: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation may answer."""

    status: str
    text: str
    kind: Markup
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation. `method` is empty for what is sent to a receiver of events."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    secret: bool
    parameters: Sequence[Row]
    body: Markup | None
    fields: Sequence[Row]
    command: str
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one tag."""

    name: str
    text: str
    operations: Sequence[Operation]

    @property
    def anchor(self) -> str:
        """Where it is on the page."""
        return "group-" + re.sub(r"\W+", "-", self.name)


@dataclass(frozen=True, slots=True)
class Shape:
    """One named schema."""

    name: str
    text: str
    kind: Markup | None
    fields: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Reference:
    """The whole page."""

    title: str
    text: str
    groups: Sequence[Group]
    shapes: Sequence[Shape]

    @classmethod
    def of(cls, description: Schema) -> "Reference":
        """Read a description. O(its size): do it once."""
        operations: dict[str, list[Operation]] = {each["name"]: [] for each in description["tags"]}
        for path, item in description["paths"].items():
            for method in _METHODS:
                if method in item:
                    operations[item[method]["tags"][0]].append(
                        _operation(method, path, item[method])
                    )
        groups = [
            Group(each["name"], each["description"], operations[each["name"]])
            for each in description["tags"]
            if operations[each["name"]]
        ]
        sent = [
            _operation("", name, each["post"]) for name, each in description["webhooks"].items()
        ]
        groups.append(Group("events sent", "What receivers of events are sent.", sent))
        shapes = [_shape(name, each) for name, each in description["components"]["schemas"].items()]
        info = description["info"]
        return cls(
            info["title"], info["description"], groups, sorted(shapes, key=lambda each: each.name)
        )


def _operation(method: str, path: str, told: Schema) -> Operation:
    content: Mapping[str, Schema] = told.get("requestBody", {}).get("content", {})
    nothing: tuple[str, Schema] = ("", {})
    media_type, body = next(iter(content.items()), nothing)
    schema = body.get("schema", {})
    secret = bool(told.get("security"))
    return Operation(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        summary=told.get("summary", ""),
        text=told.get("description", ""),
        secret=secret,
        parameters=[
            Row(
                each["name"],
                _kind(each["schema"]),
                each.get("description", ""),
                required=each.get("required", False),
                where=each["in"],
                default=_default(each["schema"]),
            )
            for each in told.get("parameters", ())
        ],
        body=_kind(schema) if content else None,
        fields=list(_fields(schema)),
        command=_command(method, path, media_type, body, secret=secret) if method else "",
        answers=[_answer(status, each) for status, each in told["responses"].items()],
    )


def _answer(status: str, told: Schema) -> Answer:
    content = told.get("content", {})
    kinds = [
        _kind(each.get("schema", {})) if "json" in media_type else escape(media_type)
        for media_type, each in content.items()
    ]
    examples = [each["example"] for each in content.values() if "example" in each]
    return Answer(
        "otherwise" if status == "default" else status,
        told.get("description", ""),
        Markup(" or ").join(kinds),
        _pretty(examples[0]) if examples else "",
    )


def _command(method: str, path: str, media_type: str, body: Schema, *, secret: bool) -> str:
    """The operation as one types it, with the example of its body."""
    parts = ["curl -sS"]
    if method.upper() != ("POST" if body else "GET"):
        parts.append(f"-X {method.upper()}")
    parts.append('"$DNI' + re.sub(r"\{(\w+)\}", lambda name: "$" + name[1].upper(), path) + '"')
    if secret:
        parts.append('-H "Authorization: Bearer $KEY"')
    if body:
        if secret:
            parts.append(f'-H "Content-Type: {media_type}"')
        if "example" in body:
            text = body["example"] if isinstance(body["example"], str) else _pretty(body["example"])
            parts.append("-d '" + text.replace("'", "'\\''") + "'")
        else:
            parts.append("--data-binary @body")
    return " ".join(parts)


def _shape(name: str, schema: Schema) -> Shape:
    fields = list(_fields(schema))
    return Shape(name, schema.get("description", ""), None if fields else _kind(schema), fields)


def _fields(schema: Schema, prefix: str = "") -> Iterator[Row]:
    """The fields of an object; those of an object without a name of its own follow with dots."""
    required = schema.get("required", ())
    for name, told in schema.get("properties", {}).items():
        yield Row(
            prefix + name,
            _kind(told),
            told.get("description", ""),
            required=name in required,
            default=_default(told),
        )
        yield from _fields(told, f"{prefix}{name}.")


def _default(schema: Schema) -> str:
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else orjson.dumps(default).decode()


def _kind(schema: Schema) -> Markup:
    """A schema in words, with links to the shapes it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#shape-{0}">{0}</a>').format(name)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = dict.fromkeys(_kind(each) for each in schema[several])
            return Markup(" or ").join(kinds)
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return Markup(", ").join(Markup("<code>{}</code>").format(each) for each in values)
    return _plain_kind(schema)


def _plain_kind(schema: Schema) -> Markup:
    """One that neither names another nor lists what there is."""
    kind = schema.get("type", "anything")
    if kind == "array":
        return Markup("list of {}").format(_kind(schema.get("items") or {})) + _bounds(schema)
    if kind == "object":
        rest = schema.get("additionalProperties")
        if not isinstance(rest, Mapping) or not rest:
            return Markup("object")
        return Markup("names with {}").format(_kind(rest))
    if isinstance(kind, list):
        return Markup(" or ").join(escape(each) for each in kind)
    return escape(schema.get("format") or kind) + _bounds(schema)


def _bounds(schema: Schema) -> Markup:
    found = [
        Markup("{} <code>{}</code>").format(words, schema[name])
        for name, words in _BOUNDS.items()
        if name in schema
    ]
    return Markup(", ") + Markup(", ").join(found) if found else Markup()


def _pretty(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
