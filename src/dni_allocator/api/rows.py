"""Bodies of many rows: each row is answered by itself, in order; a bad one spoils none."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from dni_allocator.api.errors import MalformedJson, invalid, problem_of
from dni_allocator.domain.errors import DniError, InvalidRequest

MOST_ROWS = 1_000
_AT_ONCE = 100
"""Rows under way together: the store's connection carries many more, and pages use it too."""

Row = TypeVar("Row", bound=BaseModel)


def body_of(row_schema: str) -> dict[str, Any]:
    """What `openapi.yaml` says of such a body; the rows are parsed one by one, not by FastAPI."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "array",
                        "maxItems": MOST_ROWS,
                        "items": {"$ref": f"#/components/schemas/{row_schema}"},
                    }
                }
            },
        }
    }


def rows_of(raw: bytes) -> Sequence[object]:
    """The rows of a body, unread: a list, or `{"requests": list}`.

    Raises `MalformedJson`, `InvalidRequest` for no rows or too many.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = "The body is no valid JSON."
        raise MalformedJson(message) from error
    rows = body["requests"] if isinstance(body, dict) and body.keys() == {"requests"} else body
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_ROWS:
        message = f"The body is a list of 1 to {MOST_ROWS} requests."
        raise InvalidRequest(message)
    return rows


async def answered(
    rows: Sequence[object],
    model: type[Row],
    answer: Callable[[Row], Awaitable[Mapping[str, object]]],
) -> list[Mapping[str, object]]:
    """What `answer` says to each row, in order; `problem` where it, or the row, is wrong."""

    async def one(row: object) -> Mapping[str, object]:
        told = row.get("request_id") if isinstance(row, dict) else None
        request_id = told if isinstance(told, str) else None
        try:
            found = await answer(_parsed(model, row))
        except DniError as error:
            _, problem, _ = problem_of(error)
            return {"request_id": request_id, "problem": orjson.loads(problem)}
        return {"request_id": request_id, **found}

    results: list[Mapping[str, object]] = []
    for start in range(0, len(rows), _AT_ONCE):
        results += await asyncio.gather(*map(one, rows[start : start + _AT_ONCE]))
    return results


def _parsed(model: type[Row], row: object) -> Row:
    try:
        return model.model_validate(row)
    except ValidationError as error:
        raise invalid(error.errors(), whole="row") from error
