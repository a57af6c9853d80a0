"""The API for people to read: `/docs`, drawn from the description, without a key.

Open unless `DNI_DOCS` closes it: it tells what the repository tells (ADR 40).
"""

from typing import cast

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from dni_allocator.dashboard.access import PageRoute
from dni_allocator.dashboard.page import text_of
from dni_allocator.dashboard.reference import Reference

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/docs")
def reference(request: Request) -> Response:
    """Every operation and every shape on one page; drawn once for a process.

    Not a coroutine, as below: to gather the description takes a second, in a thread.
    """
    app = cast("FastAPI", request.app)
    drawn: str | None = getattr(app.state, "reference", None)
    if drawn is None:
        drawn = text_of(request, "reference.html", reference=Reference.of(app.openapi()))
        app.state.reference = drawn
    return HTMLResponse(drawn)


@router.get("/openapi.json")
def description(request: Request) -> Response:
    """The description itself, written once: for anybody who asks it would be a lot to write."""
    app = cast("FastAPI", request.app)
    if app.state.description is None:
        app.state.description = orjson.dumps(app.openapi())
    return Response(app.state.description, media_type="application/json")
