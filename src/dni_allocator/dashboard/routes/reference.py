"""The API for people to read: `/docs`, drawn from the description, without a key."""

from typing import cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

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
    """The description itself."""
    app = cast("FastAPI", request.app)
    return JSONResponse(app.openapi())
