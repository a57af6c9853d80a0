"""Judge requests and answers by a vendor's OpenAPI document: every parameter, form and body."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from jsonschema import Draft202012Validator

_HERE: Final = Path(__file__).parent
Json = Any


class Contract:
    """One document. What it does not know, a path, a parameter, a field of a form, is a problem."""

    def __init__(self, document: Mapping[str, Json]) -> None:
        self._paths: Mapping[str, Json] = document["paths"]
        self._components = _plain(document["components"])

    @classmethod
    def read(cls, name: str) -> "Contract":
        """The document of this name beside this module."""
        return cls(yaml.safe_load((_HERE / name).read_text("utf-8")))

    def of_request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]],
        body: Json = None,
        form: bool = False,
    ) -> list[str]:
        """What is wrong with a request."""
        operation, parts = self._operation(method, path)
        if operation is None:
            return [f"{method} {path}: no such operation"]
        known = {(each["in"], each["name"]): each for each in operation.get("parameters", ())}
        given = [("query", name, value) for name, value in query]
        given += [("path", name, value) for name, value in parts.items()]
        problems = []
        for place, name, value in given:
            if (place, name) not in known:
                problems.append(f"{place} {name}: not known")
                continue
            schema = known[place, name]["schema"]
            problems += self._judge(_typed(value, schema), schema, where=name)
        for (place, name), each in known.items():
            if each.get("required") and (place, name) not in {one[:2] for one in given}:
                problems.append(f"{place} {name}: missing")
        content = operation.get("requestBody", {}).get("content", {})
        if body is not None:
            kind = "application/x-www-form-urlencoded" if form else "application/json"
            if kind not in content:
                return [*problems, f"a body of {kind} is not known"]
            problems += self._of_body(body, content[kind]["schema"], form=form)
        return problems

    def of_answer(self, method: str, path: str, *, status: int, body: Json) -> list[str]:
        """What is wrong with an answer; documents say nothing of most errors."""
        operation, _ = self._operation(method, path)
        described = (operation or {}).get("responses", {}).get(str(status))
        if described is None or "content" not in described:
            return []
        schema = described["content"]["application/json"]["schema"]
        return self._judge(body, schema, where="answer")

    def _of_body(self, body: Json, schema: Json, *, form: bool) -> list[str]:
        if not form:
            return self._judge(body, schema, where="body")
        problems = []
        for name, value in body.items():
            if name not in schema["properties"]:
                problems.append(f"form {name}: not known")
                continue
            field = schema["properties"][name]
            problems += self._judge(_typed(value, field), field, where=name)
        return problems

    def _judge(self, value: Json, schema: Json, *, where: str) -> list[str]:
        whole = {**_plain(schema), "components": self._components}
        return [
            f"{where}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)
        ]

    def _operation(self, method: str, path: str) -> tuple[Json | None, dict[str, str]]:
        for template, operations in self._paths.items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+?)", re.escape(template))
            match = re.fullmatch(pattern, path)
            if match and method.lower() in operations:
                return operations[method.lower()], match.groupdict()
        return None, {}


def _typed(text: str, schema: Json) -> Json:
    """A text of a query or a form as what the schema says it is."""
    if schema.get("type") in {"integer", "number", "boolean"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _plain(schema: Json) -> Json:
    """`nullable` of OpenAPI 3.0 as JSON Schema has it."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(each) for name, each in schema.items()}
    if plain.pop("nullable", False) is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain
